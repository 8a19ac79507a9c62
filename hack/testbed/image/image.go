// Package image makes a container image from static binaries, with no container tool, registry or network.
//
// The image is one layer, runs as a user who is not root, and is the same bytes whenever the binaries are.
package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// User is who the image's process is: nobody in particular, and not root.
const User = 65532

// CACertificates is where Debian keeps the certificates that it trusts.
const CACertificates = "/etc/ssl/certs/ca-certificates.crt"

// Spec says what goes into an image.
type Spec struct {
	Name           string   // such as refold-manager:dev
	Binaries       []string // static programs; each lands in / under its base name, and the first is the entrypoint
	CACertificates bool     // put the certificates that this machine trusts in
}

// epoch is every file's time.
var epoch = time.Unix(0, 0).UTC()

// Write writes the image to path as an archive that `ctr images import`, `docker load` and `kind load image-archive` read.
func Write(spec Spec, path string) error {
	if len(spec.Binaries) == 0 {
		return errors.New("an image needs at least one binary")
	}
	tag, err := name.NewTag(spec.Name)
	if err != nil {
		return err
	}
	made, err := build(spec)
	if err != nil {
		return err
	}
	partial := path + ".partial"
	defer func() { _ = os.Remove(partial) }()
	if err := tarball.WriteToFile(partial, tag, made); err != nil {
		return err
	}
	return os.Rename(partial, path)
}

func build(spec Spec) (v1.Image, error) {
	content, err := layerContent(spec)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	// Not compressed: the archive is read once, on this machine, and compressing takes longer than writing.
	layer, err := tarball.LayerFromOpener(open, tarball.WithCompressionLevel(gzip.NoCompression))
	if err != nil {
		return nil, err
	}
	layered, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{CreatedBy: "refold testbed image", Created: v1.Time{Time: epoch}},
	})
	if err != nil {
		return nil, err
	}
	return configure(layered, spec)
}

func configure(layered v1.Image, spec Spec) (v1.Image, error) {
	former, err := layered.ConfigFile()
	if err != nil {
		return nil, err
	}
	file := former.DeepCopy()
	file.Architecture, file.OS = runtime.GOARCH, "linux"
	file.Created = v1.Time{Time: epoch}
	file.Config = v1.Config{
		User:       fmt.Sprintf("%d:%d", User, User),
		Entrypoint: []string{"/" + filepath.Base(spec.Binaries[0])},
		Env:        []string{"PATH=/"},
		WorkingDir: "/",
	}
	return mutate.ConfigFile(layered, file)
}

// layerContent is the layer as an archive. Its order is the order of writing here, never that of a map.
func layerContent(spec Spec) ([]byte, error) {
	var buffer bytes.Buffer
	layer := &layerWriter{archive: tar.NewWriter(&buffer)}
	layer.folder("etc/", 0o755)
	layer.file("etc/group", fmt.Appendf(nil, "root:x:0:\nnonroot:x:%d:\n", User), 0o644)
	layer.file("etc/passwd", fmt.Appendf(nil, "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:%[1]d:%[1]d:nonroot:/:/sbin/nologin\n", User), 0o644)
	layer.folder("tmp/", 0o1777)
	if spec.CACertificates {
		layer.folder("etc/ssl/", 0o755)
		layer.folder("etc/ssl/certs/", 0o755)
		layer.copy(CACertificates, CACertificates[1:], 0o644)
	}
	for _, binary := range spec.Binaries {
		layer.copy(binary, filepath.Base(binary), 0o755)
	}
	if layer.err != nil {
		return nil, layer.err
	}
	if err := layer.archive.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}

// layerWriter writes entries until the first error, which it keeps.
type layerWriter struct {
	archive *tar.Writer
	err     error
}

func (l *layerWriter) folder(path string, mode int64) {
	l.entry(&tar.Header{Typeflag: tar.TypeDir, Name: path, Mode: mode}, nil)
}

func (l *layerWriter) file(path string, content []byte, mode int64) {
	l.entry(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: mode, Size: int64(len(content))}, content)
}

func (l *layerWriter) copy(source, path string, mode int64) {
	content, err := os.ReadFile(source)
	if err != nil && l.err == nil {
		l.err = err
	}
	l.file(path, content, mode)
}

func (l *layerWriter) entry(header *tar.Header, content []byte) {
	if l.err != nil {
		return
	}
	header.ModTime, header.Format = epoch, tar.FormatPAX
	if l.err = l.archive.WriteHeader(header); l.err == nil {
		_, l.err = l.archive.Write(content)
	}
}
