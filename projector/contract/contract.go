// Package contract is the one document that the control plane hands to a
// projector, and the status document that comes back. The controller renders
// the former into an immutable ConfigMap; cmd/projector parses it. It imports
// the standard library alone, so that neither plane drags in the other, and
// holds no logic beyond encoding, decoding and checking its own shape.
package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Version is the version of Document and Status that this build writes and
// the only one that it reads.
const Version = 1

// FileName is the ConfigMap key, and so the file, that holds the Document.
const FileName = "contract.json"

// Document tells one projector everything it must know: where the log is,
// how it is folded and where the result goes. It holds no credential, only
// the directories into which Secrets are mounted.
type Document struct {
	Version    int    `json:"version"`
	Projection string `json:"projection"` // "namespace/name"
	UID        string `json:"uid"`        // the Projection's metadata.uid, shown in the ledger
	Revision   string `json:"revision"`   // names source, reducer and read model; see controllers/plan

	Source      Source      `json:"source"`
	Reducer     Reducer     `json:"reducer"`
	ReadModel   ReadModel   `json:"readModel"`
	ErrorPolicy ErrorPolicy `json:"errorPolicy"`
	Replay      Replay      `json:"replay,omitzero"`
}

// Redis is one server and how to reach it.
type Redis struct {
	URL         string       `json:"url"` // redis:// or rediss://host:port/db, without user info
	Credentials *Credentials `json:"credentials,omitempty"`
	TLS         *TLS         `json:"tls,omitempty"`
}

// Credentials points at a mounted Secret. The files are read again at every
// connection, so a rotated Secret heals without a restart. A missing file is
// a fault that names the Secret and the key.
type Credentials struct {
	SecretName string `json:"secretName"` // for messages
	Dir        string `json:"dir"`        // holds password and, optionally, username
}

// TLS is set for rediss URLs that need more than the system's roots.
type TLS struct {
	CASecretName   string `json:"caSecretName,omitempty"`
	CADir          string `json:"caDir,omitempty"` // holds ca.crt
	CertSecretName string `json:"certSecretName,omitempty"`
	CertDir        string `json:"certDir,omitempty"` // holds tls.crt and tls.key
	ServerName     string `json:"serverName,omitempty"`
}

// Formats of a stream entry.
const (
	FormatFields      = "Fields"
	FormatJSON        = "JSON"
	FormatCloudEvents = "CloudEvents"
)

// Source is the log.
type Source struct {
	Redis        Redis  `json:"redis"`
	Stream       string `json:"stream"`
	From         string `json:"from"`            // a stream ID or an RFC 3339 time; inclusive
	Until        string `json:"until,omitempty"` // a stream ID, inclusive: then the revision is complete
	Format       string `json:"format"`          // Fields, JSON or CloudEvents
	PayloadField string `json:"payloadField"`    // JSON, CloudEvents: the entry's field that holds the document
	TypeField    string `json:"typeField"`       // the entry's field, else the document's member, that names the type
}

// Reducer is the fold.
type Reducer struct {
	Type  string `json:"type"`
	Key   string `json:"key"` // CEL
	Rules []Rule `json:"rules,omitempty"`
}

// Rule is one step of the reducer type Rules; expressions are CEL. All
// expressions of one rule see the state as it was before the rule.
type Rule struct {
	On     []string          `json:"on"`
	When   string            `json:"when,omitempty"`
	Set    map[string]string `json:"set,omitempty"`
	Add    map[string]string `json:"add,omitempty"`
	Unset  []string          `json:"unset,omitempty"`
	Delete bool              `json:"delete,omitempty"`
}

// ReadModel is the target. Exactly one store is set.
type ReadModel struct {
	Fields    []Field    `json:"fields"`
	RedisHash *RedisHash `json:"redisHash,omitempty"`
}

// Types of a field.
const (
	TypeString    = "String"
	TypeInteger   = "Integer"
	TypeNumber    = "Number"
	TypeBoolean   = "Boolean"
	TypeTimestamp = "Timestamp"
	TypeJSON      = "JSON"
)

// Field is one declared field of the read model.
type Field struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Ways to publish a revision of Redis hashes.
const (
	CutoverRename  = "Rename"  // readers use <KeyPrefix>42; hashes are renamed
	CutoverPointer = "Pointer" // readers use <KeyPrefix>@<revision>:42, and <KeyPrefix>@active names the revision
)

// RedisHash stores entity 42 in the hash "<KeyPrefix>42", or where Cutover says.
type RedisHash struct {
	Redis     Redis  `json:"redis"`
	KeyPrefix string `json:"keyPrefix"`
	Cutover   string `json:"cutover,omitempty"` // Rename if not set, or Pointer
}

// What a replay needs of the history.
const (
	HistoryRequired  = "Required"  // all of it from Source.From on; if not set
	HistoryAvailable = "Available" // what there is
)

// Replay says how a revision is built while another one is published.
type Replay struct {
	MaxEventsPerSecond int64  `json:"maxEventsPerSecond,omitempty"` // 0: no bound but politeness
	History            string `json:"history,omitempty"`
}

// OnErrorHalt stops at an event that cannot be folded.
const OnErrorHalt = "Halt"

// ErrorPolicy says what happens to an event that cannot be folded.
type ErrorPolicy struct {
	OnError string `json:"onError"`
}

// Encode renders d deterministically, indented for people, with a final newline.
func Encode(d Document) ([]byte, error) {
	d.Version = Version
	out, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode contract: %w", err)
	}
	return append(out, '\n'), nil
}

// Decode reads one Document. Unknown fields and other versions are errors: a
// projector must never fold by half of what it was told.
func Decode(data []byte) (Document, error) {
	var probe struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &probe); err != nil {
		return Document{}, fmt.Errorf("decode contract: %w", err)
	}
	if probe.Version != Version {
		return Document{}, fmt.Errorf("contract version %d, but this projector reads version %d: use the projector image that belongs to the operator", probe.Version, Version)
	}
	var d Document
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return Document{}, fmt.Errorf("decode contract: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Document{}, errors.New("decode contract: data after the document")
	}
	return d, nil
}
