package main

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
)

// binaries are the same program twice.
type binaries struct{ plain, failpoints string }

func build(ctx context.Context, root, dir string) (binaries, error) {
	b := binaries{filepath.Join(dir, "projector"), filepath.Join(dir, "projector-failpoints")}
	for out, tags := range map[string]string{b.plain: "", b.failpoints: "failpoints"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-tags", tags, "-o", out, "./cmd/projector")
		cmd.Dir = root
		if said, err := cmd.CombinedOutput(); err != nil {
			return b, fmt.Errorf("build cmd/projector: %w\n%s", err, said)
		}
	}
	return b, nil
}

// failpointsOf reads the names from the package's source, so that a new one is
// died at without anyone remembering it here.
func failpointsOf(root string) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "projector/failpoint/failpoint.go"), nil, 0)
	if err != nil {
		return nil, err
	}
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for _, v := range spec.Values {
				if literal, ok := v.(*ast.BasicLit); ok {
					name, _ := strconv.Unquote(literal.Value)
					names = append(names, name)
				}
			}
		}
		return true
	})
	if len(names) == 0 {
		return nil, errors.New("no failpoint is declared")
	}
	return names, nil
}
