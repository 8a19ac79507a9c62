package stream

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

// Decoder turns an entry's fields into an event's type and document, as
// source.format says. It holds no state and may be shared.
type Decoder struct{ format, payloadField, typeField string }

// NewDecoder reads format, payloadField and typeField of the source.
func NewDecoder(source contract.Source) Decoder {
	return Decoder{source.Format, source.PayloadField, source.TypeField}
}

// Decode sets e.Type, and e.Document for the formats that have one, from
// e.Fields. For Fields it allocates nothing. An error is a permanent fault
// with the event's ID; e is then not to be folded.
func (d Decoder) Decode(e *projector.Event) error {
	e.Type, e.Document = nil, nil
	var err error
	switch d.format {
	case contract.FormatJSON:
		err = d.decodeJSON(e)
	case contract.FormatCloudEvents:
		err = d.decodeCloudEvent(e)
	default:
		err = d.typeFromEntry(e)
	}
	if err == nil {
		return nil
	}
	return failed(e, err)
}

func (d Decoder) typeFromEntry(e *projector.Event) error {
	typ, found := e.Field(d.typeField)
	if !found {
		return bad{fmt.Sprintf("the entry has no field %q to take the type from", d.typeField),
			"set source.typeField to the field that names the type, or correct the producer"}
	}
	return d.setType(e, typ)
}

func (d Decoder) setType(e *projector.Event, typ []byte) error {
	if len(typ) == 0 {
		return bad{fmt.Sprintf("the type in %q is empty", d.typeField),
			"set source.typeField to the field that names the type, or correct the producer"}
	}
	e.Type = typ
	return nil
}

// decodeJSON prefers the entry's own type field: it costs nothing to read and
// a producer that sets both means the entry's.
func (d Decoder) decodeJSON(e *projector.Event) error {
	doc, err := d.document(e)
	if err != nil {
		return err
	}
	e.Document = doc
	if typ, found := e.Field(d.typeField); found {
		return d.setType(e, typ)
	}
	member, found := doc[d.typeField]
	typ, isString := member.(string)
	switch {
	case !found:
		return bad{fmt.Sprintf("neither the entry nor its document has a field %q to take the type from", d.typeField),
			"set source.typeField to the field that names the type, or correct the producer"}
	case !isString:
		return bad{fmt.Sprintf("the document's %q is %s and not the name of a type", d.typeField, kindOf(member)),
			"set source.typeField to the field that names the type, or correct the producer"}
	}
	return d.setType(e, []byte(typ))
}

// decodeCloudEvent reads the structured mode of CloudEvents 1.0
// (https://github.com/cloudevents/spec, JSON event format).
func (d Decoder) decodeCloudEvent(e *projector.Event) error {
	doc, err := d.document(e)
	if err != nil {
		return err
	}
	for _, name := range [...]string{"specversion", "id", "source", "type"} {
		if err := d.attribute(doc, name); err != nil {
			return err
		}
	}
	if v := doc["specversion"].(string); v != "1.0" {
		return d.notCloudEvent(fmt.Sprintf("its specversion is %q and not \"1.0\"", clip(v)))
	}
	if err := d.decodeData(doc); err != nil {
		return err
	}
	e.Document = doc
	e.Type = []byte(doc["type"].(string))
	return nil
}

func (d Decoder) attribute(doc map[string]any, name string) error {
	v, found := doc[name]
	text, isString := v.(string)
	switch {
	case !found:
		return d.notCloudEvent(fmt.Sprintf("it has no %q", name))
	case !isString:
		return d.notCloudEvent(fmt.Sprintf("its %q is %s and not a string", name, kindOf(v)))
	case text == "":
		return d.notCloudEvent(fmt.Sprintf("its %q is empty", name))
	}
	return nil
}

// decodeData turns data_base64 into its bytes, in place.
func (d Decoder) decodeData(doc map[string]any) error {
	encoded, found := doc["data_base64"]
	if !found {
		return nil
	}
	if _, both := doc["data"]; both {
		return d.notCloudEvent("it has both data and data_base64")
	}
	text, isString := encoded.(string)
	data, err := base64.StdEncoding.DecodeString(text)
	if !isString || err != nil {
		return d.notCloudEvent("its data_base64 is not base64")
	}
	doc["data_base64"] = data
	return nil
}

func (d Decoder) notCloudEvent(why string) error {
	return bad{fmt.Sprintf("the field %q is not a CloudEvent 1.0 in JSON: %s", d.payloadField, why),
		"correct the producer, or set source.format to JSON if these are plain documents"}
}

func (d Decoder) document(e *projector.Event) (map[string]any, error) {
	payload, found := e.Field(d.payloadField)
	if !found {
		return nil, bad{fmt.Sprintf("the entry has no field %q to take the document from", d.payloadField),
			"set source.payloadField to the field that holds the document, or source.format to Fields"}
	}
	if len(payload) > MaxDocumentBytes {
		return nil, bad{fmt.Sprintf("the document in the field %q has more than %d bytes", d.payloadField, MaxDocumentBytes),
			"store such data elsewhere and refer to it from the event"}
	}
	doc, err := parseDocument(payload)
	if err != nil {
		return nil, bad{fmt.Sprintf("the field %q is not one JSON object: %v", d.payloadField, err),
			"correct the producer; or set source.payloadField, or source.format to Fields"}
	}
	return doc, nil
}

// bad is what is wrong with an entry, and what to do about it.
type bad struct{ message, remedy string }

func (b bad) Error() string { return b.message }

func failed(e *projector.Event, err error) *fault.Error {
	f := &fault.Error{Reason: contract.ReasonEventFailed, Message: err.Error(), Permanent: true, EventID: e.ID.String(), Err: err}
	var b bad
	if errors.As(err, &b) {
		f.Remedy = b.remedy
	}
	return f
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	}
	return "an object"
}

// clip keeps messages short whatever a producer wrote.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
