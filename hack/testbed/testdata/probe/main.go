// Command probe is what the testbed's own tests run in pods. `probe serve` answers over HTTP; `probe get URL` asks once.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "serve":
		fmt.Println("serving")
		err = http.ListenAndServe(":8080", http.HandlerFunc(greet))
	case len(os.Args) == 3 && os.Args[1] == "get":
		err = get(os.Args[2])
	default:
		err = fmt.Errorf("usage: probe serve | probe get URL")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func greet(writer http.ResponseWriter, request *http.Request) {
	_, _ = fmt.Fprintf(writer, "hello from the probe, %s\n", request.URL.Path)
}

// get tries for a while: a Service and its name take a moment to be known.
func get(url string) error {
	client := &http.Client{Timeout: 2 * time.Second}
	var failed error
	for range 30 {
		answer, err := client.Get(url)
		if err == nil {
			_, err = io.Copy(os.Stdout, answer.Body)
			_ = answer.Body.Close()
			return err
		}
		failed = err
		time.Sleep(300 * time.Millisecond)
	}
	return failed
}
