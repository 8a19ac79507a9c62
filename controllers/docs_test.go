package controllers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Every reason that a user may meet has a line in docs/operations.md.
func TestEveryReasonAndConditionIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"../api/v1alpha1/conditions.go", "../projector/contract/reasons.go"} {
		for name, value := range constants(t, file) {
			if !strings.Contains(string(text), "| `"+value+"`") {
				t.Errorf("%s (%q, %s) has no row in docs/operations.md", name, value, file)
			}
		}
	}
}

// constants are the string constants of a file whose names begin with Reason or
// Condition.
func constants(t *testing.T, file string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		name := spec.Names[0].Name
		if strings.HasPrefix(name, "Reason") || strings.HasPrefix(name, "Condition") {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			found[name] = value
		}
		return true
	})
	if len(found) == 0 {
		t.Fatalf("%s has no constants", file)
	}
	return found
}
