package cases

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
)

// event is one entry of the log, as it stands in the file.
type event struct {
	node  *yaml.Node // a map
	id    *projector.ID
	entry *yaml.Node // $entry, raw fields; nil if there are none
}

// Names in an event that are about its entry, and not of the event itself.
const (
	idName    = "$id"
	timeName  = "$time"
	entryName = "$entry"
)

func (p *parser) events(into *[]event) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.SequenceNode {
			return p.fail(n, "want a list of events")
		}
		for _, one := range n.Content {
			e, err := p.event(resolve(one))
			if err != nil {
				return err
			}
			*into = append(*into, e)
		}
		return nil
	}
}

func (p *parser) event(n *yaml.Node) (event, error) {
	e := event{node: n}
	if n.Kind != yaml.MappingNode {
		return e, p.fail(n, "an event is a map of its fields, as {type: UserCreated, id: \"42\"}")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		var err error
		switch key.Value {
		case idName, timeName:
			e.id, err = p.id(e.id, key, value)
		case entryName:
			if value.Kind != yaml.MappingNode {
				err = p.fail(value, "%s is a map of the entry's fields", entryName)
			}
			e.entry = value
		default:
			if strings.HasPrefix(key.Value, "$") {
				err = p.fail(key, "%q is not known here; there are %s, %s and %s", key.Value, entryName, idName, timeName)
			}
		}
		if err != nil {
			return e, err
		}
	}
	return e, nil
}

func (p *parser) id(before *projector.ID, key, value *yaml.Node) (*projector.ID, error) {
	if before != nil {
		return nil, p.fail(key, "give %s or %s, and not both", idName, timeName)
	}
	id, err := projector.ParseStart(value.Value)
	if err != nil {
		return nil, p.fail(value, "%v", err)
	}
	if (key.Value == timeName) != strings.Contains(value.Value, ":") {
		return nil, p.fail(value, "%s is a stream ID, as in 1795412031120-0, and %s an RFC 3339 time, as in 2026-11-23T00:00:00Z", idName, timeName)
	}
	return &id, nil
}

// firstMs is the time of the first event that has none of its own: the beginning
// of 2026. Those that follow come a second after the one before.
var firstMs = uint64(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())

// writer turns the events of one case into entries of a log.
type writer struct {
	source contract.Source
	last   projector.ID
}

func (w *writer) entry(e event) (projector.Event, error) {
	id := projector.ID{Ms: firstMs}
	if w.last.Ms > 0 {
		id.Ms = w.last.Ms + 1000
	}
	if e.id != nil {
		id = *e.id
	}
	if id.Compare(w.last) <= 0 {
		return projector.Event{}, fmt.Errorf("its ID %s is not after %s, the one before", id, w.last)
	}
	w.last = id
	out := projector.Event{ID: id}
	if e.entry != nil {
		for i := 0; i+1 < len(e.entry.Content); i += 2 {
			out.Fields = append(out.Fields, projector.Field{Name: []byte(e.entry.Content[i].Value), Value: raw(resolve(e.entry.Content[i+1]))})
		}
	}
	w.fill(&out, e)
	return out, nil
}

// fill adds what the event itself says, as the source's format has it.
func (w *writer) fill(out *projector.Event, e event) {
	members := own(e.node)
	switch {
	case len(members) == 0:
		return
	case w.source.Format == contract.FormatFields:
		for _, m := range members {
			out.Fields = append(out.Fields, projector.Field{Name: []byte(m.name), Value: raw(m.value)})
		}
		return
	case w.source.Format == contract.FormatCloudEvents:
		members = envelope(members, out.ID)
	}
	out.Fields = append(out.Fields, projector.Field{Name: []byte(w.source.PayloadField), Value: object(members)})
}

type member struct {
	name  string
	value *yaml.Node
}

// own are the members that are the event's.
func own(n *yaml.Node) []member {
	var out []member
	for i := 0; i+1 < len(n.Content); i += 2 {
		if name := n.Content[i].Value; !strings.HasPrefix(name, "$") {
			out = append(out, member{name, resolve(n.Content[i+1])})
		}
	}
	return out
}

// envelope adds what every CloudEvent has, where the case does not care.
func envelope(members []member, id projector.ID) []member {
	have := map[string]bool{}
	for _, m := range members {
		have[m.name] = true
	}
	for _, d := range []struct{ name, value string }{{"specversion", "1.0"}, {"id", id.String()}, {"source", "/test"}} {
		if !have[d.name] {
			members = append(members, member{d.name, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: d.value}})
		}
	}
	return members
}

// raw is the bytes of an entry's field: a text as it is, anything else as JSON.
func raw(n *yaml.Node) []byte {
	if n.Kind != yaml.ScalarNode {
		return appendJSON(nil, n)
	}
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!binary":
		if decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), "")); err == nil {
			return decoded
		}
	}
	return []byte(n.Value)
}

func object(members []member) []byte {
	out := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendString(out, m.name), ':')
		out = appendJSON(out, m.value)
	}
	return append(out, '}')
}

// appendJSON writes a value of YAML as JSON; numbers keep their digits.
func appendJSON(out []byte, n *yaml.Node) []byte {
	switch n = resolve(n); n.Kind {
	case yaml.MappingNode:
		var members []member
		for i := 0; i+1 < len(n.Content); i += 2 {
			members = append(members, member{n.Content[i].Value, n.Content[i+1]})
		}
		return append(out, object(members)...)
	case yaml.SequenceNode:
		out = append(out, '[')
		for i, one := range n.Content {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendJSON(out, one)
		}
		return append(out, ']')
	}
	return appendScalar(out, n)
}

func appendScalar(out []byte, n *yaml.Node) []byte {
	switch n.ShortTag() {
	case "!!null":
		return append(out, "null"...)
	case "!!bool":
		return strconv.AppendBool(out, strings.EqualFold(n.Value, "true"))
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			return append(out, n.Value...)
		}
		var v any
		if n.Load(&v) == nil {
			if number, err := json.Marshal(v); err == nil {
				return append(out, number...)
			}
		}
	}
	return appendString(out, n.Value)
}

func appendString(out []byte, s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("cases: a string always encodes: " + err.Error())
	}
	return append(out, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}
