package cases

import (
	"bytes"
	"encoding/json"
)

// sortedJSON writes a document as the fold does: members by name, numbers as they
// were. What is no JSON stays as it is.
func sortedJSON(text string) string {
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return text
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return text
	}
	return string(bytes.TrimSuffix(out.Bytes(), []byte("\n")))
}
