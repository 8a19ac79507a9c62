package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// largest is the most bytes of one file: a manifest beyond a megabyte is refused
// by the API server, and a file may hold many.
const largest = 64 << 20

// file is a text and what it is called in messages.
type file struct {
	name     string
	lines    []string
	rendered bool // by kustomize: its lines are nobody's
}

func (f *file) position(line, column int) Position {
	if f.rendered {
		return Position{File: f.name}
	}
	return Position{f.name, line, column}
}

// Files reads what -f names: a file, a directory of them, or "-" for standard
// input. A document that is broken is a problem, and the others are read on; a
// file that cannot be read is an error.
func Files(paths []string, stdin io.Reader) (documents []*Document, problems []*Problem, err error) {
	for _, path := range paths {
		names, err := expand(path)
		if err != nil {
			return nil, nil, unread(path, err)
		}
		for _, name := range names {
			content, shown, err := load(name, stdin)
			if err != nil {
				return nil, nil, unread(shown, err)
			}
			found, wrong := Parse(shown, content)
			documents, problems = append(documents, found...), append(problems, wrong...)
		}
	}
	return documents, problems, nil
}

func unread(name string, err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err // the name stands before it already
	}
	return fmt.Errorf("%s: %w", name, err)
}

// expand lists the manifests of a directory, as kubectl does: not those of
// directories in it.
func expand(path string) ([]string, error) {
	if path == "-" {
		return []string{path}, nil
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if slices.Contains([]string{".yaml", ".yml", ".json"}, ext) && !e.IsDir() && strings.TrimSuffix(e.Name(), ext) != "kustomization" {
			names = append(names, filepath.Join(path, e.Name()))
		}
	}
	if len(names) == 0 {
		return nil, errors.New("the directory has no .yaml, .yml or .json file; for a kustomization use -k")
	}
	return names, nil
}

func load(path string, stdin io.Reader) (content []byte, shown string, err error) {
	in, shown := stdin, "stdin"
	if path != "-" {
		opened, err := os.Open(path)
		if err != nil {
			return nil, path, err
		}
		defer func() { _ = opened.Close() }()
		in, shown = opened, path
	}
	content, err = io.ReadAll(io.LimitReader(in, largest+1))
	if err == nil && len(content) > largest {
		err = fmt.Errorf("larger than %d MiB: that is no manifest", largest>>20)
	}
	return content, shown, err
}

// Kustomization builds a kustomization, as kubectl -k does. Where its values
// stand in files is not known.
func Kustomization(dir string) (documents []*Document, problems []*Problem, err error) {
	result, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		absolute, _ := filepath.Abs(dir)
		return nil, nil, fmt.Errorf("%s: %s", dir, strings.ReplaceAll(err.Error(), absolute, dir))
	}
	content, err := result.AsYaml()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", dir, err)
	}
	documents, problems = parseAll(&file{name: dir, rendered: true}, content)
	return documents, problems, nil
}

// Parse reads a text of YAML or JSON; name is what messages call it.
func Parse(name string, content []byte) ([]*Document, []*Problem) {
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	return parseAll(&file{name: name, lines: strings.Split(string(content), "\n")}, content)
}

func parseAll(f *file, content []byte) (documents []*Document, problems []*Problem) {
	for _, part := range split(content) {
		d, problem := parse(f, part.content, part.line)
		switch {
		case problem != nil:
			problems = append(problems, problem)
		case d != nil:
			documents = append(documents, d.items()...)
		}
	}
	return documents, problems
}

type part struct {
	content []byte
	line    int // of its first line
}

// split cuts where kubectl does: at lines that begin with --- and go on with
// nothing but a comment.
func split(content []byte) []part {
	var parts []part
	current, line := part{line: 1}, 0
	for text := range bytes.Lines(content) {
		line++
		rest, separator := bytes.CutPrefix(text, []byte("---"))
		rest = bytes.TrimSpace(rest)
		if separator && (len(rest) == 0 || rest[0] == '#') {
			parts = append(parts, current)
			current = part{line: line + 1}
			continue
		}
		current.content = append(current.content, text...)
	}
	return append(parts, current)
}

// blank tells a text of comments and white space.
func blank(content []byte) bool {
	for line := range bytes.Lines(content) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// items are the objects of a List, as kubectl takes them apart, else d itself.
func (d *Document) items() []*Document {
	if d.APIVersion() != "v1" || d.Kind() != "List" {
		return []*Document{d}
	}
	list, _ := d.Object["items"].([]any)
	nodes := valueOf(d.root, "items")
	var out []*Document
	for i, item := range list {
		object, ok := item.(map[string]any)
		if !ok {
			continue
		}
		one := &Document{Object: object, file: d.file, at: d.at}
		if nodes != nil && i < len(nodes.Content) {
			one.root = resolve(nodes.Content[i])
			one.at = d.file.position(one.root.Line, one.root.Column)
		}
		out = append(out, one)
	}
	return out
}

// doubledKey finds a key that stands in one map twice.
func doubledKey(n *yaml.Node) *yaml.Node {
	seen := map[string]bool{}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if child.Value != "<<" && seen[child.Value] {
				return child
			}
			seen[child.Value] = true
		}
		if found := doubledKey(child); found != nil {
			return found
		}
	}
	return nil
}
