package build

import (
	"os"
	"path/filepath"
	"testing"
)

func TestKeyChangesWithWhateverGoesIntoTheProgram(t *testing.T) {
	const version = "v1.2.3"
	sources := map[string]string{"go.mod": "module m\n\nrequire k8s.io/kubernetes v1.2.3\n", "go.sum": "", "main.go": "package main\n"}
	key := func(change map[string]string, version string) string {
		got, err := kubernetes.key(repository(t, sources, change), version)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	same := key(nil, version)
	if again := key(nil, version); again != same {
		t.Errorf("the same sources got two keys, %s and %s", same, again)
	}
	tests := map[string]string{
		"a source":              key(map[string]string{"main.go": "package main // changed\n"}, version),
		"a source is new":       key(map[string]string{"other.go": "package main\n"}, version),
		"a requirement":         key(map[string]string{"go.mod": "module m\n"}, version),
		"a sum":                 key(map[string]string{"go.sum": "changed"}, version),
		"the version to stamp":  key(nil, "v1.2.4"),
		"a line moves to a sum": key(map[string]string{"go.mod": "module m\n", "go.sum": "\nrequire k8s.io/kubernetes v1.2.3\n"}, version),
	}
	for changed, got := range tests {
		if got == same {
			t.Errorf("the key stayed %s when this changed: %s", got, changed)
		}
	}
}

func TestVersionIsTheOneThatGoModRequires(t *testing.T) {
	tests := map[string]struct{ goMod, want string }{
		"on a line of its own": {"module m\n\nrequire k8s.io/kubernetes v1.2.3\n", "v1.2.3"},
		"in a block":           {"require (\n\tk8s.io/kubernetes/x v9.9.9\n\tk8s.io/kubernetes v1.2.3 // indirect\n)\n", "v1.2.3"},
		"nowhere":              {"module k8s.io/kubernetes\n", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := kubernetes.version(repository(t, map[string]string{"go.mod": test.goMod}, nil))
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestAssetsTakesTheFolderThatTheEnvironmentNamesOnlyWhenItIsComplete(t *testing.T) {
	folder := t.TempDir()
	for _, name := range assets {
		if complete(folder, assets) {
			t.Fatalf("complete without %s", name)
		}
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv(AssetsVariable, folder)
	if got, err := Assets(nil); got != folder || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, folder)
	}
}

// repository writes a repository root that holds only the kube program's folder.
func repository(t *testing.T, files, changes map[string]string) string {
	t.Helper()
	root := t.TempDir()
	folder := kubernetes.folder(root)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, set := range []map[string]string{files, changes} {
		for name, content := range set {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}
