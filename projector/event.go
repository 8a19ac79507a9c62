package projector

// Event is one entry of the log. Its bytes are views into a buffer that is
// used again: they are valid until Keys or Reduce returns; copy what is kept
// elsewhere than in a State, which copies by itself.
type Event struct {
	ID   ID
	Type []byte
	// Fields are the entry's fields in the order they were added.
	Fields []Field
	// Document is the decoded payload of the formats JSON and CloudEvents
	// (for CloudEvents the whole envelope), nil for Fields. Values are nil,
	// bool, json.Number, string, []any or map[string]any; a CloudEvent's
	// data_base64 is []byte, decoded. Unlike the rest they may be kept, but
	// strings share one copy of the payload: clone the small ones that stay.
	Document map[string]any
}

// Field is one field of an entry.
type Field struct{ Name, Value []byte }

// Field returns the first field of that name.
func (e *Event) Field(name string) (value []byte, found bool) {
	for i := range e.Fields {
		if string(e.Fields[i].Name) == name {
			return e.Fields[i].Value, true
		}
	}
	return nil, false
}
