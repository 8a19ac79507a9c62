// Package fieldvalue writes the values of an entity's fields, which are text, as
// YAML and JSON of their declared types. Bytes that are no UTF-8 become !!binary
// in YAML and {"base64": "…"} in JSON, so that nothing is lost.
package fieldvalue

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/inspect/api"
)

// Options are how YAML is written everywhere.
var Options = []yaml.Option{yaml.WithIndent(2), yaml.WithCompactSeqIndent(true), yaml.WithLineWidth(-1), yaml.WithQuotePreference(yaml.QuoteDouble)}

// truths are words that YAML 1.1, and so many a reader, takes for true and false.
var truths = []string{"y", "n", "yes", "no", "on", "off"}

// Node is a value as YAML.
func Node(kind projector.Kind, text string) *yaml.Node {
	switch kind {
	case projector.Integer:
		return scalar("!!int", text)
	case projector.Number:
		return scalar("!!float", text)
	case projector.Boolean:
		return scalar("!!bool", text)
	case projector.Timestamp:
		return scalar("!!timestamp", text)
	case projector.JSON:
		var document yaml.Node
		if yaml.Load([]byte(text), &document) == nil && len(document.Content) == 1 {
			return document.Content[0]
		}
	}
	return String(text)
}

// String is any bytes as YAML.
func String(text string) *yaml.Node {
	if !utf8.ValidString(text) {
		out := scalar("!!binary", base64.StdEncoding.EncodeToString([]byte(text)))
		out.Style = yaml.TaggedStyle
		return out
	}
	out := scalar("!!str", text)
	if slices.Contains(truths, strings.ToLower(text)) {
		out.Style = yaml.DoubleQuotedStyle
	}
	return out
}

// Null is no value.
func Null() *yaml.Node { return scalar("!!null", "null") }

func scalar(tag, value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}

// JSON is a value as JSON.
func JSON(kind projector.Kind, text string) []byte {
	switch kind {
	case projector.Integer, projector.Number, projector.Boolean, projector.JSON:
		if json.Valid([]byte(text)) {
			return []byte(text)
		}
	}
	return JSONString(text)
}

// JSONString is any bytes as JSON.
func JSONString(text string) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(api.Text(text)); err != nil {
		panic("fieldvalue: text always encodes: " + err.Error())
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
