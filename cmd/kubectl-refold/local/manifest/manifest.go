// Package manifest reads Projections from YAML: files of many documents,
// directories, standard input and kustomizations. What it hands on is what
// kubectl would send, and where in which file each value stands. It judges
// nothing but YAML itself.
package manifest

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	kyaml "sigs.k8s.io/yaml"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// Kind is the kind of what is looked for.
const Kind = "Projection"

// Position is a place in a file. Lines and columns count from 1; 0 is unknown.
type Position struct {
	File         string
	Line, Column int
}

func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Problem is what keeps a document from being read.
type Problem struct {
	Position
	Message string
}

func (p *Problem) Error() string { return p.String() + ": " + p.Message }

// Document is one object of a file.
type Document struct {
	// Object is what kubectl would send. It belongs to the caller.
	Object map[string]any

	at   Position // where it begins
	root *yaml.Node
	file *file
}

// At is where the object begins.
func (d *Document) At() Position { return d.at }

// APIVersion is "" where there is none, as Kind and Name are.
func (d *Document) APIVersion() string { return text(d.Object["apiVersion"]) }

// Kind is the object's kind.
func (d *Document) Kind() string { return text(d.Object["kind"]) }

// Name is "namespace/name", or the name alone where there is no namespace.
func (d *Document) Name() string {
	metadata, _ := d.Object["metadata"].(map[string]any)
	name := text(metadata["name"])
	if namespace := text(metadata["namespace"]); namespace != "" {
		return namespace + "/" + name
	}
	return name
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// IsProjection tells a Projection of the version that this program knows.
func (d *Document) IsProjection() bool {
	return d.APIVersion() == v1alpha1.GroupVersion.String() && d.Kind() == Kind
}

// IsOurs tells whatever is of Refold's group, also if there is no such kind.
func (d *Document) IsOurs() bool {
	gv, err := schema.ParseGroupVersion(d.APIVersion())
	return err == nil && gv.Group == v1alpha1.GroupVersion.Group
}

// Unknown says that nobody can tell what the object is; nil if one can.
func (d *Document) Unknown() *Problem {
	switch {
	case d.APIVersion() == "":
		return &Problem{d.at, "not a Kubernetes object: apiVersion is missing"}
	case d.Kind() == "":
		return &Problem{d.at, "not a Kubernetes object: kind is missing"}
	}
	return nil
}

// Projection reads the object as the operator would. What the schema would
// refuse may be an error here, or be left out.
func (d *Document) Projection() (*v1alpha1.Projection, error) {
	return Decode(d.Object)
}

// Decode reads an object as the operator would.
func Decode(object map[string]any) (*v1alpha1.Projection, error) {
	content, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	var out v1alpha1.Projection
	if err := json.Unmarshal(content, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// parse reads one YAML document into what kubectl would send. It returns nil for
// a document with nothing in it.
func parse(f *file, content []byte, line int) (*Document, *Problem) {
	d := &Document{file: f, at: f.position(line, 1)}
	if blank(content) {
		return nil, nil
	}
	var node yaml.Node
	if err := yaml.Load(content, &node, yaml.WithUniqueKeys(false)); err != nil {
		return nil, broken(f, line, err)
	}
	if len(node.Content) == 0 || node.Content[0].Tag == "!!null" {
		return nil, nil
	}
	d.root = node.Content[0]
	shift(d.root, line-1)
	d.at = f.position(d.root.Line, d.root.Column)
	if d.root.Kind != yaml.MappingNode {
		return nil, &Problem{d.at, "not a Kubernetes object: it must be a map with apiVersion and kind"}
	}
	if doubled := doubledKey(d.root); doubled != nil {
		return nil, &Problem{f.position(doubled.Line, doubled.Column), fmt.Sprintf("the key %q is there twice in one map; the second would win in silence", doubled.Value)}
	}
	asJSON, err := kyaml.YAMLToJSON(content)
	if err == nil {
		err = utiljson.Unmarshal(asJSON, &d.Object) // keeps whole numbers whole
	}
	if err != nil {
		return nil, &Problem{d.at, strings.TrimPrefix(err.Error(), "yaml: ")}
	}
	return d, nil
}
