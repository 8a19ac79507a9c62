package rebuild

import (
	"bufio"
	"encoding/csv"
	"io"

	"go.yaml.in/yaml/v4"

	"github.com/refold-dev/refold/cmd/kubectl-refold/local/fieldvalue"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect"
)

// Table is entities that are to be written, one after another.
type Table struct {
	Fields []contract.Field
	Keys   []string
	State  func(key string) (inspect.Entity, bool)
}

func (t Table) kind(i int) projector.Kind {
	kind, err := projector.ParseKind(t.Fields[i].Type)
	if err != nil {
		return projector.String
	}
	return kind
}

// each hands over the entities; what is written is bounded by one of them.
func (t Table) each(do func(inspect.Entity) error) error {
	for _, key := range t.Keys {
		e, exists := t.State(key)
		if !exists {
			continue
		}
		if err := do(e); err != nil {
			return err
		}
	}
	return nil
}

// YAML writes a map of entities by their keys.
func (t Table) YAML(out io.Writer) error {
	w := bufio.NewWriter(out)
	written := false
	err := t.each(func(e inspect.Entity) error {
		fields := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for i, f := range t.Fields {
			if text, set := e.Fields[f.Name]; set {
				fields.Content = append(fields.Content, fieldvalue.String(f.Name), fieldvalue.Node(t.kind(i), text))
			}
		}
		one := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{fieldvalue.String(e.Key), fields}}
		text, err := yaml.Dump(one, fieldvalue.Options...)
		if err == nil {
			_, err = w.Write(text)
		}
		written = true
		return err
	})
	if err == nil && !written {
		_, err = w.WriteString("{}\n")
	}
	if err != nil {
		return err
	}
	return w.Flush()
}

// JSON writes a list of objects with key and fields.
func (t Table) JSON(out io.Writer) error {
	w := bufio.NewWriter(out)
	before := "[\n  "
	err := t.each(func(e inspect.Entity) error {
		line := append([]byte(before), `{"key":`...)
		line = append(append(line, fieldvalue.JSONString(e.Key)...), `,"fields":{`...)
		first := true
		for i, f := range t.Fields {
			text, set := e.Fields[f.Name]
			if !set {
				continue
			}
			if !first {
				line = append(line, ',')
			}
			first = false
			line = append(append(line, fieldvalue.JSONString(f.Name)...), ':')
			line = append(line, fieldvalue.JSON(t.kind(i), text)...)
		}
		before = ",\n  "
		_, err := w.Write(append(line, "}}"...))
		return err
	})
	if err != nil {
		return err
	}
	end := "\n]\n"
	if before == "[\n  " {
		end = "[]\n"
	}
	if _, err := w.WriteString(end); err != nil {
		return err
	}
	return w.Flush()
}

// CSV writes a line of names and then one for each entity, RFC 4180. A field that
// is not set is empty. Bytes stay as they are.
func (t Table) CSV(out io.Writer) error {
	w := csv.NewWriter(out)
	line := []string{"key"}
	for _, f := range t.Fields {
		line = append(line, f.Name)
	}
	if err := w.Write(line); err != nil {
		return err
	}
	err := t.each(func(e inspect.Entity) error {
		line = append(line[:0], e.Key)
		for _, f := range t.Fields {
			line = append(line, e.Fields[f.Name])
		}
		return w.Write(line)
	})
	if err != nil {
		return err
	}
	w.Flush()
	return w.Error()
}
