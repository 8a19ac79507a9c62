package inspect_test

import (
	"context"
	"net/http"
	"strconv"
	"testing"

	"github.com/refold-dev/refold/projector/inspect"
	"github.com/refold-dev/refold/projector/inspect/api"
	"github.com/refold-dev/refold/projector/readmodel"
)

// held is a read model that answers when it is let.
type held struct {
	readmodel.Browser
	came chan struct{}
	free chan struct{}
}

func (h held) Look(context.Context, string, []string, string) ([]readmodel.Seen, error) {
	h.came <- struct{}{}
	<-h.free
	return []readmodel.Seen{{Row: readmodel.Row{Exists: true}}}, nil
}

func TestOnlyAFewAskAtOnceWhatNeedsNoScan(t *testing.T) {
	w := newWorld(t, users())
	h := held{w.options.Browser, make(chan struct{}), make(chan struct{})}
	w.options.Browser = h
	w.start()
	done := make(chan struct{})
	for range inspect.MostOthers {
		go func() {
			if response, err := http.Get(w.url + api.EntityPath("7")); err == nil {
				_ = response.Body.Close()
			}
			done <- struct{}{}
		}()
		<-h.came
	}
	for _, path := range []string{api.InfoPath, api.EntitiesPath, api.EntityPath("8")} {
		w.fails(path, 429, api.ReasonTooMany, "questions", "ask again")
	}
	close(h.free)
	for range inspect.MostOthers {
		<-done
	}
	w.body(api.InfoPath)
}

// A key that there is not costs a look at some two thousand others, in small pieces.
func TestAMissDoesNotWalkTheReadModel(t *testing.T) {
	w := newWorld(t, users())
	w.many(60_000)
	w.fold(w.document)
	w.client.ConfigSet(t.Context(), "slowlog-max-len", "1000")
	w.client.ConfigSet(t.Context(), "slowlog-log-slower-than", "0")
	w.fails(api.EntityPath("zzzz"), 404, api.ReasonNoSuchEntity, "no entity")
	looked := 0
	for _, entry := range w.client.SlowLogGet(t.Context(), -1).Val() {
		if entry.Args[0] == "sscan" {
			count, err := strconv.Atoi(entry.Args[len(entry.Args)-1])
			if err != nil {
				t.Fatal(entry.Args)
			}
			looked += count
		}
	}
	if looked == 0 || looked > 2000 {
		t.Errorf("it looks at %d keys", looked)
	}
}
