package image_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/refold-dev/refold/hack/testbed/image"
)

func TestTheSameBinariesMakeTheSameBytes(t *testing.T) {
	var archives [2][]byte
	for i := range archives {
		dir := t.TempDir()
		binary := filepath.Join(dir, "program")
		if err := os.WriteFile(binary, []byte("program"), 0o700); err != nil {
			t.Fatal(err)
		}
		modified := time.Now().Add(time.Duration(-i) * time.Hour)
		if err := os.Chtimes(binary, modified, modified); err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(dir, "image.tar")
		if err := image.Write(image.Spec{Name: "program:dev", Binaries: []string{binary}}, target); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(target)
		if err != nil {
			t.Fatal(err)
		}
		archives[i] = content
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two images of the same binary differ")
	}
}

func TestTheImageRunsTheFirstBinaryAsNobodyInParticular(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	for _, binary := range []string{first, second} {
		if err := os.WriteFile(binary, []byte(binary), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	target := filepath.Join(dir, "image.tar")
	if err := image.Write(image.Spec{Name: "pair:dev", Binaries: []string{first, second}}, target); err != nil {
		t.Fatal(err)
	}
	made, err := tarball.ImageFromPath(target, nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := made.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/first"}, file.Config.Entrypoint); diff != "" {
		t.Errorf("entrypoint (-want +got)\n%s", diff)
	}
	if file.Config.User != "65532:65532" {
		t.Errorf("runs as %q", file.Config.User)
	}
}

func TestABadSpecLeavesNoFile(t *testing.T) {
	target := filepath.Join(t.TempDir(), "image.tar")
	tests := map[string]image.Spec{
		"no binary":            {Name: "program:dev"},
		"a binary that is not": {Name: "program:dev", Binaries: []string{"/nowhere/program"}},
		"a name that is none":  {Name: "Not A Name", Binaries: []string{os.Args[0]}},
	}
	for name, spec := range tests {
		t.Run(name, func(t *testing.T) {
			if err := image.Write(spec, target); err == nil {
				t.Error("no error")
			}
			if _, err := os.Stat(target); err == nil {
				t.Error("a file was left")
			}
		})
	}
}
