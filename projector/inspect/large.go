package inspect

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/inspect/api"
)

// hold sets memory aside for what is large, of that which all questions have
// together. It waits for others no longer than a client has patience.
func (s *Server) hold(ctx context.Context, bytes int64) (release func(), err error) {
	soon, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	bytes = min(bytes, s.limits.memory)
	switch err := s.memory.Acquire(soon, bytes); {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, &failure{http.StatusTooManyRequests, api.ReasonTooMany,
			"others look at events or entities so large that no more fit into memory: end one, or ask again when one is done"}
	}
	return func() { s.memory.Release(bytes) }, nil
}

// isLarge says that an event is larger than what is read without more ado.
func isLarge(err error) bool {
	f := fault.As(err)
	return f != nil && f.Reason == contract.ReasonEventTooLarge
}

// Texts are encoded with a line where they are short. Encoding makes copies, of
// up to six bytes for one: so a long one has a mark in the line, and is written
// out in its place piece by piece.
const (
	longText  = 1 << 10
	manyTexts = 64 << 10 // of short ones in a line; beyond that all have marks
	pieceText = 4 << 10
)

// long is a text that is not encoded yet: a view, valid until its line is written.
type long struct {
	text     []byte
	document bool // it is JSON
}

func (a *answer) text(text string) api.Text {
	if a.isShort(len(text)) {
		return api.Text(text)
	}
	return api.Text(a.mark(long{text: []byte(text)}))
}

// view is text, of bytes that are valid until the line is written.
func (a *answer) view(text []byte) api.Text {
	if a.isShort(len(text)) {
		return api.Text(text)
	}
	return api.Text(a.mark(long{text: text}))
}

// document is a view of one.
func (a *answer) document(text []byte) json.RawMessage {
	if a.isShort(len(text)) {
		return json.RawMessage(text)
	}
	return json.RawMessage(strconv.Quote(a.mark(long{text, true})))
}

func (a *answer) isShort(n int) bool {
	if n >= longText || n > len(a.nonce) && a.inline > manyTexts {
		return false
	}
	a.inline += n
	return true
}

func (a *answer) mark(l long) string {
	a.long = append(a.long, l)
	return a.nonce + fmt.Sprintf("%08d", len(a.long)-1)
}

// encode writes an object, and long texts in place of their marks.
func (a *answer) encode(v any) error {
	defer func() { a.long, a.inline = a.long[:0], 0 }()
	if len(a.long) == 0 {
		return a.encoder.Encode(v)
	}
	encoded, err := json.Marshal(v)
	if err != nil {
		return err
	}
	for mark := []byte(`"` + a.nonce); ; {
		before, rest, found := bytes.Cut(encoded, mark)
		if _, err := a.buffer.Write(before); err != nil || !found {
			_ = a.buffer.WriteByte('\n')
			return err
		}
		n, err := strconv.Atoi(string(rest[:8]))
		if err != nil {
			return err
		}
		if err := a.long[n].write(a.buffer); err != nil {
			return err
		}
		encoded = rest[len(`00000000"`):]
	}
}

func (l long) write(w *bufio.Writer) error {
	switch {
	case l.document:
		return writeDocument(w, l.text)
	case utf8.Valid(l.text):
		return writeText(w, l.text)
	}
	_, _ = w.WriteString(`{"base64":"`)
	encoder := base64.NewEncoder(base64.StdEncoding, w)
	_, _ = encoder.Write(l.text)
	_ = encoder.Close()
	_, err := w.WriteString(`"}`)
	return err // which a bufio.Writer keeps
}

// writeText writes UTF-8 as a JSON string.
func writeText(w *bufio.Writer, text []byte) error {
	_ = w.WriteByte('"')
	for len(text) > 0 {
		n := min(pieceText, len(text))
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n--
		}
		piece, err := json.Marshal(string(text[:n]))
		if err != nil {
			return err
		}
		if _, err := w.Write(piece[1 : len(piece)-1]); err != nil {
			return err
		}
		text = text[n:]
	}
	return w.WriteByte('"')
}

// writeDocument writes sound JSON on one line, with nothing in it that HTML knows.
func writeDocument(w *bufio.Writer, text []byte) error {
	var err error
	quoted, escaped := false, false
	for _, c := range text {
		switch {
		case !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			continue
		case c == '<' || c == '>' || c == '&':
			_, err = fmt.Fprintf(w, `\u%04x`, c)
		default:
			err = w.WriteByte(c)
		}
		if err != nil {
			return err
		}
		if c == '"' && !escaped {
			quoted = !quoted
		}
		escaped = quoted && c == '\\' && !escaped
	}
	return nil
}
