package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect/api"
)

func TestThePortIsTheAddress(t *testing.T) {
	if want := fmt.Sprintf("127.0.0.1:%d", api.Port); contract.InspectAddress != want {
		t.Errorf("%s, and not %s", contract.InspectAddress, want)
	}
}

func TestTextLosesNothing(t *testing.T) {
	for text, want := range map[string]string{
		"Ada":          `"Ada"`,
		"":             `""`,
		"<b>&":         `"\u003cb\u003e\u0026"`,
		"\xff\x00":     `{"base64":"/wA="}`,
		"a\ufffdb":     "\"a\ufffdb\"",
		"\u2028":       `"\u2028"`,
		`{"base64":1}`: `"{\"base64\":1}"`,
	} {
		got, err := json.Marshal(api.Text(text))
		if err != nil || string(got) != want {
			t.Errorf("%q is %s, %v", text, got, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		want := api.Text(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got api.Text
		if err := json.Unmarshal(data, &got); err != nil || got != want {
			t.Fatalf("%q came back as %q from %s: %v", want, got, data, err)
		}
	})
	for _, bad := range []string{`1`, `{}`, `{"base64":"!"}`, `null`, `[]`} {
		var got api.Text
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s is %q", bad, got)
		}
	}
}

func TestAPathHoldsAnyKey(t *testing.T) {
	var got, below string
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+api.EntitiesPath+"/", func(_ http.ResponseWriter, r *http.Request) {
		got, below, _ = api.SplitEntityPath(r.URL.EscapedPath())
	})
	rapid.Check(t, func(t *rapid.T) {
		odd := rapid.SampledFrom([]string{".", "..", "/", "//", "a/../b", "%2F", "?", "#", " ", "\xff", "\x00", "+", "☃", "history"})
		key := rapid.OneOf(odd, rapid.StringN(1, 20, -1), rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 20), func(b []byte) string { return string(b) })).Draw(t, "key")
		for _, want := range []string{"", api.History} {
			path := api.EntityPath(key)
			if want != "" {
				path = api.EntityPath(key, want)
			}
			got, below = "", ""
			answer := httptest.NewRecorder()
			mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, http.NoBody))
			if got != key || below != want || answer.Code != http.StatusOK {
				t.Fatalf("%s arrived as %q, %q, %d", path, got, below, answer.Code)
			}
		}
	})
	for _, path := range []string{"/v1/entities/", "/v1/entities", "/v1/entities/%zz", "/v1/states"} {
		if key, _, ok := api.SplitEntityPath(path); ok {
			t.Errorf("%s is of the entity %q", path, key)
		}
	}
}

func TestLinesEndWithTheEndOrAnError(t *testing.T) {
	for name, test := range map[string]struct {
		body  string
		lines int
		err   error
	}{
		"an end":               {`{"progress":{"entries":1}}` + "\n" + `{"end":{}}` + "\n", 2, nil},
		"an error":             {`{"step":{"id":"1-0"}}` + "\n" + `{"error":{"reason":"TooLarge","message":"…"}}` + "\n", 1, api.Error{Reason: api.ReasonTooLarge, Message: "…"}},
		"cut after a line":     {`{"step":{"id":"1-0"}}` + "\n", 1, api.ErrCut},
		"cut within a line":    {`{"step":{"id":"1-0"}}` + "\n" + `{"st`, 1, api.ErrCut},
		"nothing":              {"", 0, api.ErrCut},
		"nothing after an end": {`{"end":{}}{"end":{}}`, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			lines, last := 0, error(nil)
			for _, err := range api.Lines(strings.NewReader(test.body)) {
				if last = err; err == nil {
					lines++
				}
			}
			if diff := cmp.Diff(test.lines, lines); diff != "" || !errors.Is(last, test.err) {
				t.Errorf("%d lines, %v", lines, last)
			}
		})
	}
}
