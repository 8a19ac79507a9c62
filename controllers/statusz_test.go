package controllers

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestReadingStatusz(t *testing.T) {
	tests := map[string]struct {
		answer http.HandlerFunc
		want   string // of the error, "" for none
	}{
		"a projector":         {answerWith(200, `{"version": 1, "projection": "shop/user-profile"}`), ""},
		"another version":     {answerWith(200, `{"version": 2}`), "speaks version 2"},
		"something else":      {answerWith(200, `<html>`), "decode the projector's status"},
		"an error":            {answerWith(503, ``), "503"},
		"a redirect":          {http.RedirectHandler("http://169.254.169.254/", http.StatusFound).ServeHTTP, "302"},
		"an endless answer":   {func(w http.ResponseWriter, _ *http.Request) { endless(w) }, "decode the projector's status"},
		"a hung-up projector": {func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, "ask projector"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tc.answer)
			defer server.Close()
			status, err := NewHTTPStatusReader().get(context.Background(), server.URL)
			if tc.want == "" && (err != nil || status.Projection != "shop/user-profile") {
				t.Errorf("got %+v, %v", status, err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func answerWith(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}
}

func endless(w http.ResponseWriter) {
	fmt.Fprint(w, `{"projection": "`)
	for range 3 * statuszLimit / 1024 {
		if _, err := w.Write([]byte(strings.Repeat("x", 1024))); err != nil {
			return
		}
	}
}
