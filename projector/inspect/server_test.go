package inspect_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/engine"
	"github.com/refold-dev/refold/projector/inspect"
	"github.com/refold-dev/refold/projector/inspect/api"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/readmodel/redishash"
	"github.com/refold-dev/refold/projector/reduce/builtin"
	"github.com/refold-dev/refold/projector/stream"
)

// world is one Redis, and a Projection that is folded there and asked about.
type world struct {
	t        testing.TB
	addr     string
	client   *goredis.Client
	document contract.Document
	options  inspect.Options
	server   *inspect.Server
	url      string
	status   func() contract.Partition
}

func newWorld(t testing.TB, d contract.Document) *world {
	t.Helper()
	return newWorldAt(t, redis.Start(t).Addr(), d)
}

// newWorldAt is of a server that others use, too.
func newWorldAt(t testing.TB, addr string, d contract.Document) *world {
	t.Helper()
	w := &world{t: t, addr: addr, client: newClient(t, addr), document: d}
	w.status = func() contract.Partition { return contract.Partition{State: contract.StateLive, Position: "0-0"} }
	w.serve(0)
	return w
}

func newClient(t testing.TB, addr string) *goredis.Client {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: addr, MaxRetries: -1, ContextTimeoutEnabled: true, Protocol: 2})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// serve answers questions, in a process with that memory limit.
func (w *world) serve(memory int64) {
	w.t.Helper()
	schema, err := projector.NewSchema(w.document.ReadModel.Fields)
	if err != nil {
		w.t.Fatal(err)
	}
	reducer := func() (projector.Reducer, error) {
		return builtin.Registry().New(projector.Config{Reducer: w.document.Reducer, Format: w.document.Source.Format, Schema: schema})
	}
	source := newClient(w.t, w.addr)
	w.options = inspect.Options{
		Document: w.document, Digest: "c0ffee", Build: "test", Schema: schema, Reducer: reducer,
		Browser: redishash.New(newClient(w.t, w.addr), schema, w.document.ReadModel.RedisHash.KeyPrefix, ""),
		Reader:  func(s contract.Source) *stream.Reader { return stream.NewReader(source, s, "nobody") },
		Status:  func() contract.Partition { return w.status() },
		Log:     slog.New(slog.DiscardHandler), MemoryBytes: memory,
	}
	w.start()
}

func (w *world) start() {
	w.server = inspect.New(w.options)
	site := httptest.NewServer(w.server)
	w.t.Cleanup(site.Close)
	w.url = site.URL
}

// add appends an event with an ID: its type, then names and values.
func (w *world) add(id string, typ string, fields ...any) {
	w.t.Helper()
	err := w.client.XAdd(w.t.Context(), &goredis.XAddArgs{Stream: w.document.Source.Stream, ID: id, Values: append([]any{"type", typ}, fields...)}).Err()
	if err != nil {
		w.t.Fatal(err)
	}
}

// fold runs a projector of a document until it has folded all, and ends it.
func (w *world) fold(d contract.Document) {
	w.t.Helper()
	start, _ := projector.ParseStart(d.Source.From)
	reducer, err := w.options.Reducer()
	if err != nil {
		w.t.Fatal(err)
	}
	source, target := newClient(w.t, w.addr), newClient(w.t, w.addr)
	e := engine.New(engine.Options{
		Claim:  readmodel.Claim{Projection: d.Projection, Revision: d.Revision, Start: start.Prev(), Source: "log"},
		Reader: stream.NewReader(source, d.Source, d.Revision), Acker: stream.NewReader(source, d.Source, d.Revision),
		Decoder: stream.NewDecoder(d.Source), Reducer: reducer, Schema: w.options.Schema,
		Store: redishash.New(target, w.options.Schema, d.ReadModel.RedisHash.KeyPrefix, ""),
	})
	if d.Revision != w.document.Revision {
		w.t.Fatal("fold another world")
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	tail := w.client.XInfoStream(ctx, d.Source.Stream).Val().LastGeneratedID
	for deadline := time.Now().Add(20 * time.Second); e.Status().Position != tail; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("it never came to %s: %+v", tail, e.Status())
		}
	}
	cancel()
	if err := <-done; err != nil {
		w.t.Fatal(err)
	}
	status := e.Status()
	w.status = func() contract.Partition { return status }
}

func (w *world) get(path string, header ...string) *http.Response {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	return response
}

func (w *world) body(path string, header ...string) (string, *http.Response) {
	w.t.Helper()
	response := w.get(path, header...)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(body), response
}

// object asks for one object.
func object[T any](w *world, path string) T {
	w.t.Helper()
	body, response := w.body(path)
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/json" {
		w.t.Fatalf("%s: %s, %s", path, response.Status, body)
	}
	var v T
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		w.t.Fatalf("%s: %v: %s", path, err, body)
	}
	return v
}

// lines asks for a stream, of which progress is left out.
func (w *world) lines(path string) (lines []api.Line, end api.End) {
	w.t.Helper()
	response := w.get(path)
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != api.StreamType {
		body, _ := io.ReadAll(response.Body)
		w.t.Fatalf("%s: %s, %s", path, response.Status, body)
	}
	for line, err := range api.Lines(response.Body) {
		switch {
		case err != nil:
			w.t.Fatalf("%s: %v", path, err)
		case line.End != nil:
			end = *line.End
		case line.Progress == nil:
			lines = append(lines, line)
		}
	}
	if int64(len(lines)) != end.Lines {
		w.t.Fatalf("%s: %d lines, and the end says %d", path, len(lines), end.Lines)
	}
	return lines, end
}

// fails asks for what must be refused. Where a stream had begun, its last line says so.
func (w *world) fails(path string, status int, reason string, says ...string) {
	w.t.Helper()
	body, response := w.body(path)
	var f api.Failure
	all := strings.Split(strings.TrimSpace(body), "\n")
	if err := json.Unmarshal([]byte(all[len(all)-1]), &f); err != nil {
		w.t.Fatalf("%s: %v: %s", path, err, body)
	}
	if len(all) > 1 {
		status = http.StatusOK
	}
	if response.StatusCode != status || f.Error.Reason != reason || f.Error.Message == "" {
		w.t.Errorf("%s: want %d %s: %s, %s", path, status, reason, response.Status, body)
	}
	for _, words := range says {
		if !strings.Contains(f.Error.Message, words) {
			w.t.Errorf("%s does not say %q: %s", path, words, f.Error.Message)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	w := newWorld(t, users())
	for path, want := range map[string]struct {
		status       int
		reason, says string
	}{
		"/":                                     {404, api.ReasonNotFound, "/"},
		"/v1/nothing":                           {404, api.ReasonNotFound, "docs/inspect.md"},
		"/v1/entities/":                         {404, api.ReasonNotFound, "names no entity"},
		"/v1/entities/7/future":                 {404, api.ReasonNotFound, "history and state"},
		"/v1/entities?limit=0":                  {400, api.ReasonBadRequest, "limit"},
		"/v1/entities?limit=1001":               {400, api.ReasonBadRequest, "from 1 to 1000"},
		"/v1/entities?limt=5":                   {400, api.ReasonBadRequest, "prefix, after, limit"},
		"/v1/entities?limit=5&limit=6":          {400, api.ReasonBadRequest, "more than once"},
		"/v1/entities?after=x":                  {400, api.ReasonBadRequest, "after"},
		"/v1/entities?prefix=%zz":               {400, api.ReasonBadRequest, "parameters"},
		"/v1/info?x=y":                          {400, api.ReasonBadRequest, `"x"`},
		"/v1/entities/7?at=1":                   {400, api.ReasonBadRequest, `"at"`},
		"/v1/entities/7/state?at=yesterday":     {400, api.ReasonBadID, "RFC 3339"},
		"/v1/entities/7/state?at=":              {400, api.ReasonBadID, "at"},
		"/v1/entities/7/state?at=1-2-3":         {400, api.ReasonBadID, "1-2-3"},
		"/v1/entities/7/state?incomplete=maybe": {400, api.ReasonBadRequest, "maybe"},
		"/v1/entities/7/history?until=99999999999999999999": {400, api.ReasonBadID, "until"},
		"/v1/entities/7/history?field=age":                  {400, api.ReasonBadRequest, "not declared"},
		"/v1/states?part=9/8":                               {400, api.ReasonBadRequest, "3/8"},
		"/v1/states?part=x":                                 {400, api.ReasonBadRequest, "part"},
		"/v1/log?from=x":                                    {400, api.ReasonBadID, "from"},
		"/v1/log?from=9-0&until=8-0":                        {400, api.ReasonBadRequest, "after until"},
		"/v1/log?follow=true&reverse=true":                  {400, api.ReasonBadRequest, "follow"},
		"/v1/log?limit=100001":                              {400, api.ReasonBadRequest, "100000"},
		"/v1/log":                                           {404, contract.ReasonSourceMissing, "not there yet"},
		"/v1/entities/7/history":                            {404, contract.ReasonSourceMissing, "not there yet"},
		"/v1/entities":                                      {404, api.ReasonNoRevision, "r1"},
		"/v1/diff":                                          {404, api.ReasonNoRevision, "published"},
	} {
		w.fails(path, want.status, want.reason, want.says)
	}
	info := object[api.Info](w, "/v1/info")
	if info.Log.Entries != 0 || info.Log.History != contract.HistoryUnknown || info.Projection != "shop/users" || len(info.Reducer.Rules) != 6 {
		t.Errorf("%+v", info)
	}
}

func TestOnlyThisSideOfThePortForwardIsAnswered(t *testing.T) {
	w := newWorld(t, users())
	for name, test := range map[string]struct {
		method, host string
		header       []string
		want         int
	}{
		"as the plugin asks":         {"GET", "127.0.0.1:8081", nil, 200},
		"by name":                    {"GET", "localhost:9999", nil, 200},
		"by IPv6":                    {"GET", "[::1]:8081", nil, 200},
		"without a port":             {"GET", "localhost", nil, 200},
		"by a name that was rebound": {"GET", "evil.example:8081", nil, 403},
		"by another address":         {"GET", "10.0.0.7:8081", nil, 403},
		"by no name":                 {"GET", "", nil, 403},
		"from another site's page":   {"GET", "127.0.0.1:8081", []string{"Origin", "https://evil.example"}, 403},
		"as another site's picture":  {"GET", "127.0.0.1:8081", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"typed into a browser":       {"GET", "127.0.0.1:8081", []string{"Sec-Fetch-Site", "none"}, 200},
		"to change something":        {"POST", "127.0.0.1:8081", nil, 405},
		"to delete something":        {"DELETE", "127.0.0.1:8081", nil, 405},
	} {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequest(test.method, "/v1/info", http.NoBody)
			request.Host = test.host
			for i := 0; i < len(test.header); i += 2 {
				request.Header.Set(test.header[i], test.header[i+1])
			}
			out := httptest.NewRecorder()
			w.server.ServeHTTP(out, request)
			if out.Code != test.want || out.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%d, %v: %s", out.Code, out.Header(), out.Body)
			}
		})
	}
	refused := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, "/v1/info", http.NoBody)
	request.Host = "localhost"
	inspect.Refused(fmt.Errorf("reducer.rules[0]: bad"), slog.New(slog.DiscardHandler)).ServeHTTP(refused, request)
	if refused.Code != http.StatusServiceUnavailable {
		t.Errorf("%d: %s", refused.Code, refused.Body)
	}
}
