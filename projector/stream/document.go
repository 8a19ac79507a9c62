package stream

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of one JSON document. A document beyond them is an event that cannot
// be folded: what a few bytes of text may cost in memory must be bounded.
const (
	MaxDocumentBytes  = 32 << 20
	MaxDocumentDepth  = 128
	MaxDocumentValues = 1 << 20
)

// parseDocument reads one JSON object as RFC 8259 has it, and nothing beside
// it. It is stricter than encoding/json where that one drops data in silence:
// doubled names, invalid UTF-8 and lone surrogates are errors. All strings
// without escapes share one copy of the text.
func parseDocument(text []byte) (map[string]any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("it is not valid UTF-8")
	}
	p := parser{text: string(text)}
	p.space()
	if p.peek() != '{' {
		return nil, p.unexpected("an object")
	}
	doc, err := p.object()
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(p.text) {
		return nil, p.unexpected("nothing after the object")
	}
	return doc, nil
}

type parser struct {
	text          string
	at            int
	depth, values int
}

func (p *parser) value() (any, error) {
	if p.values++; p.values > MaxDocumentValues {
		return nil, fmt.Errorf("it holds more than %d values", MaxDocumentValues)
	}
	switch c := p.peek(); {
	case c == '{':
		return p.object()
	case c == '[':
		return p.array()
	case c == '"':
		return p.str()
	case c == '-' || isDigit(c):
		return p.number()
	}
	return p.word()
}

func (p *parser) word() (any, error) {
	switch rest := p.text[p.at:]; {
	case strings.HasPrefix(rest, "true"):
		p.at += len("true")
		return true, nil
	case strings.HasPrefix(rest, "false"):
		p.at += len("false")
		return false, nil
	case strings.HasPrefix(rest, "null"):
		p.at += len("null")
		return nil, nil
	}
	return nil, p.unexpected("a value")
}

func (p *parser) object() (map[string]any, error) {
	doc := map[string]any{}
	err := p.list('}', func() error {
		name, err := p.name()
		if err != nil {
			return err
		}
		if _, doubled := doc[name]; doubled {
			return fmt.Errorf("at byte %d: the name %q is there twice", p.at, clip(name))
		}
		doc[name], err = p.value()
		return err
	})
	return doc, err
}

func (p *parser) name() (string, error) {
	if p.peek() != '"' {
		return "", p.unexpected("a name in quotes")
	}
	name, err := p.str()
	if err != nil {
		return "", err
	}
	if p.space(); p.peek() != ':' {
		return "", p.unexpected("':'")
	}
	p.at++
	p.space()
	return name, nil
}

func (p *parser) array() ([]any, error) {
	list := []any{}
	err := p.list(']', func() error {
		v, err := p.value()
		list = append(list, v)
		return err
	})
	return list, err
}

// list reads elements between the bracket it stands on and the closing one.
func (p *parser) list(closing byte, element func() error) error {
	if p.depth++; p.depth > MaxDocumentDepth {
		return fmt.Errorf("it is nested deeper than %d levels", MaxDocumentDepth)
	}
	p.at++
	if p.space(); p.peek() == closing {
		p.at++
		p.depth--
		return nil
	}
	for {
		p.space()
		if err := element(); err != nil {
			return err
		}
		p.space()
		switch p.peek() {
		case ',':
			p.at++
		case closing:
			p.at++
			p.depth--
			return nil
		default:
			return p.unexpected(fmt.Sprintf("',' or '%c'", closing))
		}
	}
}

// str reads the string it stands on; without escapes it is a part of the text.
func (p *parser) str() (string, error) {
	p.at++
	start := p.at
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			return p.text[start : p.at-1], nil
		case c == '\\':
			return p.escaped(start)
		case c < ' ':
			return "", p.unexpected("no control character in a string")
		}
		p.at++
	}
	return "", p.unexpected("a closing quote")
}

func (p *parser) escaped(start int) (string, error) {
	b := append([]byte(nil), p.text[start:p.at]...)
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return string(b), nil
		case c < ' ':
			p.at--
			return "", p.unexpected("no control character in a string")
		case c != '\\':
			b = append(b, c)
		default:
			r, ok := p.escape()
			if !ok {
				return "", fmt.Errorf("at byte %d: an escape that stands for no character", p.at)
			}
			b = utf8.AppendRune(b, r)
		}
	}
	return "", p.unexpected("a closing quote")
}

func (p *parser) escape() (rune, bool) {
	const letters, meanings = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	c := p.peek()
	p.at++
	if i := strings.IndexByte(letters, c); i >= 0 {
		return rune(meanings[i]), true
	}
	if c != 'u' {
		return 0, false
	}
	r, ok := p.hex()
	if !ok || !utf16.IsSurrogate(r) {
		return r, ok
	}
	if !strings.HasPrefix(p.text[p.at:], `\u`) {
		return 0, false
	}
	p.at += 2
	low, ok := p.hex()
	r = utf16.DecodeRune(r, low)
	return r, ok && r != utf8.RuneError
}

func (p *parser) hex() (r rune, ok bool) {
	if p.at+4 > len(p.text) {
		return 0, false
	}
	for _, c := range []byte(p.text[p.at : p.at+4]) {
		digit := strings.IndexByte("0123456789abcdef", c|0x20)
		if digit < 0 || c < '0' {
			return 0, false
		}
		r = r<<4 | rune(digit)
	}
	p.at += 4
	return r, true
}

func (p *parser) number() (any, error) {
	start := p.at
	if p.peek() == '-' {
		p.at++
	}
	ok := p.peek() == '0'
	if ok {
		p.at++
	} else {
		ok = p.digits()
	}
	if ok && p.peek() == '.' {
		p.at++
		ok = p.digits()
	}
	if ok && p.peek()|0x20 == 'e' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		ok = p.digits()
	}
	if !ok {
		return nil, p.unexpected("a digit")
	}
	return json.Number(p.text[start:p.at]), nil
}

func (p *parser) digits() bool {
	start := p.at
	for isDigit(p.peek()) {
		p.at++
	}
	return p.at > start
}

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// peek is the next byte, 0 at the end (a 0 in the text is never expected).
func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) unexpected(want string) error {
	if p.at >= len(p.text) {
		return fmt.Errorf("it ends at byte %d, want %s", p.at, want)
	}
	return fmt.Errorf("at byte %d: %q, want %s", p.at, p.text[p.at], want)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
