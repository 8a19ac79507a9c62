package cluster

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"time"

	"sigs.k8s.io/yaml"
)

// bundle is the files of a report, in the order in which they were added.
type bundle struct {
	root  string
	at    time.Time
	files []file
	lacks []string // what could not be read, and why
}

type file struct {
	name string
	data []byte
}

func (b *bundle) add(name string, data []byte) { b.files = append(b.files, file{name, data}) }

// addYAML adds a document. One that does not encode is named as lacking.
func (b *bundle) addYAML(name string, v any) {
	data, err := yaml.Marshal(v)
	if err != nil {
		b.lack(name, err)
		return
	}
	b.add(name, data)
}

func (b *bundle) lack(what string, err error) {
	b.lacks = append(b.lacks, what+": "+err.Error())
}

// write packs the bundle.
func (b *bundle) write(to io.Writer) error {
	packed := gzip.NewWriter(to)
	archive := tar.NewWriter(packed)
	for _, f := range b.files {
		header := &tar.Header{Name: b.root + "/" + f.name, Mode: 0o644, Size: int64(len(f.data)), ModTime: b.at, Format: tar.FormatPAX}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.Copy(archive, bytes.NewReader(f.data)); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return packed.Close()
}
