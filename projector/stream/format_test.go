package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

func decoderOf(format string) Decoder {
	return NewDecoder(contract.Source{Format: format, PayloadField: "payload", TypeField: "type"})
}

func entryOf(fields ...string) *projector.Event {
	e := &projector.Event{ID: projector.ID{Ms: 5, Seq: 1}}
	for i := 0; i < len(fields); i += 2 {
		e.Fields = append(e.Fields, projector.Field{Name: []byte(fields[i]), Value: []byte(fields[i+1])})
	}
	return e
}

const envelope = `{"specversion":"1.0","id":"1","source":"/shop","type":"OrderPlaced"`

func TestDecodeReadsTypeAndDocument(t *testing.T) {
	type doc = map[string]any
	for name, test := range map[string]struct {
		format   string
		event    *projector.Event
		typ      string
		document map[string]any
	}{
		"Fields has no document":                 {contract.FormatFields, entryOf("a", "1", "type", "T"), "T", nil},
		"of doubled fields the first counts":     {contract.FormatFields, entryOf("type", "T", "type", "U"), "T", nil},
		"the entry's type goes first":            {contract.FormatJSON, entryOf("type", "T", "payload", `{"type":"U"}`), "T", doc{"type": "U"}},
		"else the document's":                    {contract.FormatJSON, entryOf("payload", `{"type":"U"}`), "U", doc{"type": "U"}},
		"numbers keep their digits":              {contract.FormatJSON, entryOf("type", "T", "payload", `{"n":9007199254740993,"d":1.10e+2}`), "T", doc{"n": json.Number("9007199254740993"), "d": json.Number("1.10e+2")}},
		"all kinds of value":                     {contract.FormatJSON, entryOf("type", "T", "payload", " {\"a\" : [ null, true ,false,\"\\u00e9\\ud83d\\ude00\\n\", {}, [] ] }\n"), "T", doc{"a": []any{nil, true, false, "é😀\n", doc{}, []any{}}}},
		"an envelope is the document":            {contract.FormatCloudEvents, entryOf("payload", envelope+`,"data":{"n":1}}`), "OrderPlaced", doc{"specversion": "1.0", "id": "1", "source": "/shop", "type": "OrderPlaced", "data": doc{"n": json.Number("1")}}},
		"an envelope needs no data":              {contract.FormatCloudEvents, entryOf("payload", envelope+`}`), "OrderPlaced", doc{"specversion": "1.0", "id": "1", "source": "/shop", "type": "OrderPlaced"}},
		"data_base64 is decoded":                 {contract.FormatCloudEvents, entryOf("payload", envelope+`,"data_base64":"/wA="}`), "OrderPlaced", doc{"specversion": "1.0", "id": "1", "source": "/shop", "type": "OrderPlaced", "data_base64": []byte{0xff, 0}}},
		"the entry's type is not the envelope's": {contract.FormatCloudEvents, entryOf("type", "T", "payload", envelope+`}`), "OrderPlaced", doc{"specversion": "1.0", "id": "1", "source": "/shop", "type": "OrderPlaced"}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := decoderOf(test.format).Decode(test.event); err != nil {
				t.Fatal(err)
			}
			if got := string(test.event.Type); got != test.typ {
				t.Errorf("type %q, want %q", got, test.typ)
			}
			if diff := cmp.Diff(test.document, test.event.Document); diff != "" {
				t.Errorf("document (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeSaysWhatIsWrong(t *testing.T) {
	payload := func(text string) *projector.Event { return entryOf("type", "T", "payload", text) }
	for name, test := range map[string]struct {
		format  string
		event   *projector.Event
		message string
	}{
		"no type":                     {contract.FormatFields, entryOf("a", "1"), `the entry has no field "type" to take the type from`},
		"an empty type":               {contract.FormatFields, entryOf("type", ""), `the type in "type" is empty`},
		"no payload":                  {contract.FormatJSON, entryOf("type", "T"), `the entry has no field "payload" to take the document from`},
		"no type anywhere":            {contract.FormatJSON, entryOf("payload", "{}"), `neither the entry nor its document has a field "type" to take the type from`},
		"a type that is a number":     {contract.FormatJSON, entryOf("payload", `{"type":1}`), `the document's "type" is a number and not the name of a type`},
		"an empty type in a document": {contract.FormatJSON, entryOf("payload", `{"type":""}`), `the type in "type" is empty`},
		"an empty payload":            {contract.FormatJSON, payload(""), `the field "payload" is not one JSON object: it ends at byte 0, want an object`},
		"a list":                      {contract.FormatJSON, payload("[1]"), `the field "payload" is not one JSON object: at byte 0: '[', want an object`},
		"a second object":             {contract.FormatJSON, payload("{} {}"), `the field "payload" is not one JSON object: at byte 3: '{', want nothing after the object`},
		"a doubled name":              {contract.FormatJSON, payload(`{"a":1,"a":2}`), `the field "payload" is not one JSON object: at byte 11: the name "a" is there twice`},
		"an object that ends":         {contract.FormatJSON, payload(`{"a":`), `the field "payload" is not one JSON object: it ends at byte 5, want a value`},
		"bytes that are no UTF-8":     {contract.FormatJSON, payload("{\"a\":\"\xff\"}"), `the field "payload" is not one JSON object: it is not valid UTF-8`},
		"a lone surrogate":            {contract.FormatJSON, payload(`{"a":"\ud800"}`), `the field "payload" is not one JSON object: at byte 12: an escape that stands for no character`},
		"a NUL in a string":           {contract.FormatJSON, payload("{\"a\":\"\x00\"}"), `the field "payload" is not one JSON object: at byte 6: '\x00', want no control character in a string`},
		"a deep document":             {contract.FormatJSON, payload(`{"a":` + strings.Repeat("[", MaxDocumentDepth)), `the field "payload" is not one JSON object: it is nested deeper than 128 levels`},
		"very many values":            {contract.FormatJSON, payload(`{"a":[` + strings.Repeat("1,", MaxDocumentValues) + "1]}"), `the field "payload" is not one JSON object: it holds more than 1048576 values`},
		"a very large document":       {contract.FormatJSON, payload(strings.Repeat(" ", MaxDocumentBytes+1)), `the document in the field "payload" has more than 33554432 bytes`},
		"no specversion":              {contract.FormatCloudEvents, payload(`{}`), `the field "payload" is not a CloudEvent 1.0 in JSON: it has no "specversion"`},
		"another specversion":         {contract.FormatCloudEvents, payload(strings.Replace(envelope, "1.0", "0.3", 1) + "}"), `the field "payload" is not a CloudEvent 1.0 in JSON: its specversion is "0.3" and not "1.0"`},
		"an id that is a number":      {contract.FormatCloudEvents, payload(strings.Replace(envelope, `"1"`, "1", 1) + "}"), `the field "payload" is not a CloudEvent 1.0 in JSON: its "id" is a number and not a string`},
		"an empty source":             {contract.FormatCloudEvents, payload(strings.Replace(envelope, "/shop", "", 1) + "}"), `the field "payload" is not a CloudEvent 1.0 in JSON: its "source" is empty`},
		"data twice":                  {contract.FormatCloudEvents, payload(envelope + `,"data":1,"data_base64":""}`), `the field "payload" is not a CloudEvent 1.0 in JSON: it has both data and data_base64`},
		"data that is not base64":     {contract.FormatCloudEvents, payload(envelope + `,"data_base64":"?"}`), `the field "payload" is not a CloudEvent 1.0 in JSON: its data_base64 is not base64`},
	} {
		t.Run(name, func(t *testing.T) {
			f := fault.As(decoderOf(test.format).Decode(test.event))
			if f == nil {
				t.Fatal("was decoded")
			}
			if f.Message != test.message {
				t.Errorf("message %s\n   want %s", f.Message, test.message)
			}
			if f.Reason != contract.ReasonEventFailed || !f.Permanent || f.EventID != "5-1" || f.Remedy == "" {
				t.Errorf("fault %+v: want a permanent EventFailed of 5-1 with a remedy", f)
			}
		})
	}
}

func TestDecodeOfFieldsAllocatesNothing(t *testing.T) {
	e, d := entryOf("id", "42", "type", "T"), decoderOf(contract.FormatFields)
	if got := testing.AllocsPerRun(100, func() { _ = d.Decode(e) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// FuzzDecodePayload holds the document's parser to encoding/json: it takes
// nothing else, understands it alike, and refuses only what it says it refuses.
func FuzzDecodePayload(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1}`, `{"a":[1,-0,1.5e-3,"\u00e9\ud83d\ude00\"\\",{"b":null}],"c":true}`, `{"a":1,"a":2}`,
		`{"a":"\ud800"}`, `{"a":01}`, `{"a":1.}`, `{"a":-}`, `{"a":1e}`, "{\"a\":\"\xff\"}", `[1]`, `{"a":tru}`, `{} x`, " {\t}\n", `{"":""}`, `{"a":"\/\b\x"}`, `{,}`, `{"a" 1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := parseDocument(text)
		want, oracle := standard(text)
		switch {
		case err == nil && oracle != nil:
			t.Fatalf("%q: taken, but encoding/json says %v", text, oracle)
		case err == nil:
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%q (-encoding/json +got):\n%s", text, diff)
			}
		case oracle == nil && want != nil && !stricter(text, err):
			t.Fatalf("%q: refused (%v), but encoding/json takes it", text, err)
		}
	})
}

func standard(text []byte) (doc map[string]any, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF
	}
	return doc, nil
}

// stricter is what RFC 8259 leaves open and encoding/json alters in silence.
func stricter(text []byte, err error) bool {
	why := err.Error()
	return !utf8.Valid(text) || strings.Contains(why, "there twice") || strings.Contains(why, "nested deeper") ||
		strings.Contains(why, "more than") || strings.Contains(why, "stands for no character") && bytes.Contains(bytes.ToLower(text), []byte(`\ud`))
}

func BenchmarkDecodeJSON(b *testing.B) {
	e := entryOf("type", "OrderPlaced", "payload", `{"id":"42","name":"Ada Lovelace","address":{"city":"London","zip":"W1"},"cents":1250,"tags":["a","b"]}`)
	d := decoderOf(contract.FormatJSON)
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Decode(e); err != nil {
			b.Fatal(err)
		}
	}
}
