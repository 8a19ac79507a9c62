package redishash

import (
	"strconv"

	"github.com/refold-dev/refold/projector"
)

// field is a declared field's name, ready to be sent.
type field struct {
	bulk   []byte // as a word of a command
	packed []byte // as an element of a listpack
}

// fieldsOf also says whether all the names fit into listpacks.
func fieldsOf(schema *projector.Schema) (fields []field, fit bool) {
	fit = true
	for _, f := range schema.Fields() {
		packed, fits := appendPackedText(nil, f.Name)
		fit = fit && fits
		fields = append(fields, field{appendBulk(nil, f.Name), packed})
	}
	return fields, fit
}

// appendHead begins a command of n words, the first of which is a verb that
// bulk has encoded already.
func appendHead(b []byte, n int, verb string) []byte {
	return append(appendCount(b, '*', n), verb...)
}

// appendCount appends "$12\r\n" and the like.
func appendCount(b []byte, kind byte, n int) []byte {
	switch {
	case n < 10:
		return append(b, kind, byte('0'+n), '\r', '\n')
	case n < 100:
		return append(b, kind, byte('0'+n/10), byte('0'+n%10), '\r', '\n')
	}
	return append(strconv.AppendInt(append(b, kind), int64(n), 10), '\r', '\n')
}

func appendBulk(b []byte, word string) []byte {
	b = appendCount(b, '$', len(word))
	return append(append(b, word...), '\r', '\n')
}

func appendBulkBytes(b []byte, word []byte) []byte {
	b = appendCount(b, '$', len(word))
	return append(append(b, word...), '\r', '\n')
}

// appendBulkKey appends one word that is made of two.
func appendBulkKey(b []byte, prefix, key string) []byte {
	b = appendCount(b, '$', len(prefix)+len(key))
	return append(append(append(b, prefix...), key...), '\r', '\n')
}

// appendBulkValue appends a value's canonical text.
func appendBulkValue(b []byte, v projector.Value) []byte {
	switch v.Kind() {
	case projector.Integer, projector.Number, projector.Boolean:
		var text [32]byte
		return appendBulkBytes(b, v.AppendText(text[:0]))
	}
	return appendBulk(b, v.Str())
}

// words is a list of words that go to one variadic command, cut into as many
// of them as it needs.
type words struct {
	text []byte
	cuts []int // where each command's words begin
	n    int
}

func (w *words) reset() { w.text, w.cuts, w.n = w.text[:0], w.cuts[:0], 0 }

func (w *words) add(prefix, key string) {
	if w.n%wordsPerCommand == 0 {
		w.cuts = append(w.cuts, len(w.text))
	}
	w.n++
	w.text = appendBulkKey(w.text, prefix, key)
}

// chunk returns the words of the i-th command, and how many they are.
func (w *words) chunk(i int) (text []byte, n int) {
	end := len(w.text)
	if i+1 < len(w.cuts) {
		end = w.cuts[i+1]
	}
	return w.text[w.cuts[i]:end], min(wordsPerCommand, w.n-i*wordsPerCommand)
}
