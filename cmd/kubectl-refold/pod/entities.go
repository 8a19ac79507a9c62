package pod

import (
	"bufio"
	"encoding/csv"
	"io"

	"go.yaml.in/yaml/v4"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/cmd/kubectl-refold/local/fieldvalue"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect/api"
)

const csvFormat = "csv"

type field = contract.Field

// entityWriter writes entities one after another, in the formats of kubectl refold
// fold: what is printed by the two can be compared.
type entityWriter interface {
	entity(e api.Entity) error
	end() error
}

func newEntityWriter(format string, out io.Writer, fields []field) entityWriter {
	table := table{out: bufio.NewWriter(out), fields: fields}
	switch format {
	case cli.JSON:
		return &jsonWriter{table: table}
	case csvFormat:
		return &csvWriter{table: table, csv: csv.NewWriter(out)}
	}
	return &yamlWriter{table: table}
}

type table struct {
	out     *bufio.Writer
	fields  []field
	written bool
}

func kindOf(f field) projector.Kind {
	kind, err := projector.ParseKind(f.Type)
	if err != nil { // of a newer projector
		return projector.String
	}
	return kind
}

// jsonWriter writes a list of objects with key and fields.
type jsonWriter struct{ table }

func (w *jsonWriter) entity(e api.Entity) error {
	line := []byte("[\n  ")
	if w.written {
		line = []byte(",\n  ")
	}
	w.written = true
	line = append(append(line, `{"key":`...), fieldvalue.JSONString(string(e.Key))...)
	before := `,"fields":{`
	for _, f := range w.fields {
		if text, set := e.Fields[f.Name]; set {
			line = append(append(line, before...), fieldvalue.JSONString(f.Name)...)
			line = append(append(line, ':'), fieldvalue.JSON(kindOf(f), string(text))...)
			before = ","
		}
	}
	if before != "," {
		line = append(line, before...)
	}
	_, err := w.out.Write(append(line, "}}"...))
	return err
}

func (w *jsonWriter) end() error {
	end := "\n]\n"
	if !w.written {
		end = "[]\n"
	}
	_, _ = w.out.WriteString(end) // its error stays until Flush
	return w.out.Flush()
}

// yamlWriter writes a map of entities by their keys.
type yamlWriter struct{ table }

func (w *yamlWriter) entity(e api.Entity) error {
	w.written = true
	fields := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, f := range w.fields {
		if text, set := e.Fields[f.Name]; set {
			fields.Content = append(fields.Content, fieldvalue.String(f.Name), fieldvalue.Node(kindOf(f), string(text)))
		}
	}
	one := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{fieldvalue.String(string(e.Key)), fields}}
	text, err := yaml.Dump(one, fieldvalue.Options...)
	if err == nil {
		_, err = w.out.Write(text)
	}
	return err
}

func (w *yamlWriter) end() error {
	if !w.written {
		_, _ = w.out.WriteString("{}\n") // its error stays until Flush
	}
	return w.out.Flush()
}

// csvWriter writes a line of names and then one for each entity, RFC 4180. A field
// that is not set is empty. Bytes stay as they are.
type csvWriter struct {
	table
	csv  *csv.Writer
	line []string
}

func (w *csvWriter) header() error {
	if w.written {
		return nil
	}
	w.written = true
	line := []string{"key"}
	for _, f := range w.fields {
		line = append(line, f.Name)
	}
	return w.csv.Write(line)
}

func (w *csvWriter) entity(e api.Entity) error {
	if err := w.header(); err != nil {
		return err
	}
	w.line = append(w.line[:0], string(e.Key))
	for _, f := range w.fields {
		w.line = append(w.line, string(e.Fields[f.Name]))
	}
	return w.csv.Write(w.line)
}

func (w *csvWriter) end() error {
	if err := w.header(); err != nil {
		return err
	}
	w.csv.Flush()
	return w.csv.Error()
}
