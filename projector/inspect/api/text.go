package api

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Text is any bytes: a key, a value, the name of a type. In JSON it is a string
// where it is UTF-8, and else {"base64": "…"}, so that nothing is lost.
type Text string

type encoded struct {
	Base64 *string `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (t Text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	text := base64.StdEncoding.EncodeToString([]byte(t))
	return json.Marshal(encoded{&text})
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Text) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(t))
	}
	var e encoded
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	if e.Base64 == nil {
		return fmt.Errorf(`%.40s is neither a string nor {"base64": "…"}`, data)
	}
	bytes, err := base64.StdEncoding.DecodeString(*e.Base64)
	if err != nil {
		return fmt.Errorf("base64: %w", err)
	}
	*t = Text(bytes)
	return nil
}
