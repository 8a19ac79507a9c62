// Package cases tests a projection by examples: given these events, when those
// come, then the entities are such. Examples stand in YAML beside the manifest
// and are folded in memory by the projector's own code; no server is asked.
package cases

import (
	"fmt"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
)

// File is one file of cases.
type File struct {
	Name       string // its path, as it was named
	Projection string // the manifest's path, from the working directory
	Of         string // the name of the Projection in it, "" for the only one
	Cases      []*Case

	text []byte
	root *yaml.Node
}

// Case is one example.
type Case struct {
	Name string
	Line int

	given, when []event
	then        []expectation
	hasThen     bool
	skipped     []string
	hasSkipped  bool
	halts       string // what the message of the event that halts holds
	node        *yaml.Node
}

// expectation is what an entity must be.
type expectation struct {
	key     string
	absent  bool
	partial bool // fields that are not named may be anything
	fields  []expected
	node    *yaml.Node
}

type expected struct {
	name  string
	value *yaml.Node
}

// Position is a place in a file.
type Position struct{ Line, Column int }

// Error is what is wrong with a file of cases.
type Error struct {
	File string
	Position
	Message string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Parse reads a file of cases.
func Parse(name string, text []byte) (*File, error) {
	p := parser{file: &File{Name: name, text: text}}
	if err := p.parse(); err != nil {
		return nil, err
	}
	return p.file, nil
}

// Suite is a file of cases with the fold that they are about.
type Suite struct {
	*File
	Document contract.Document
	Registry projector.Registry
}

// manifestOf is the path of the manifest, which the file names from its own place.
func manifestOf(file, projection string) string {
	if filepath.IsAbs(projection) {
		return projection
	}
	return filepath.Join(filepath.Dir(file), projection)
}

// schema is what the fold's entities are made of. The manifest has been checked.
func (s *Suite) schema() (*projector.Schema, error) {
	return projector.NewSchema(s.Document.ReadModel.Fields)
}

// quoted is a list of words for messages.
func quoted(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}
