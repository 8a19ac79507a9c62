package cluster

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/refold-dev/refold/projector/contract"
)

// redactor takes out of the words of others what does not belong into a support
// bundle: passwords, entity values, keys of entities. Messages name those in
// quotes; so what is quoted goes, but for names that are known to be harmless.
type redactor struct {
	keys []*regexp.Regexp // of entities
	safe map[string]bool  // what may stand in quotes
}

const removed = "…"

var (
	userInfo    = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s"'<>]*@`)
	credential  = regexp.MustCompile(`(?i)\b([a-z_.-]*(?:password|passwd|pwd|secret|token|authorization|bearer|api[_-]?key|credential)s?)("?\s*[=:]\s*)(?:bearer\s+|basic\s+)?("[^"]*"|'[^']*'|[^\s,;)}]+)`)
	bearer      = regexp.MustCompile(`(?i)\b(bearer|basic|auth) [^\s,;]+`)
	eventFailed = regexp.MustCompile(`(?s)(event \d+-\d+)(:? ?)(rule \d+ \([^)]*\): [\w.]+|reducer\.key|key)?.*`)
)

// newRedactor learns from a Projection what its entities' keys begin with, and
// which names are harmless.
func newRedactor(o *object) *redactor {
	r := &redactor{safe: map[string]bool{}, keys: keysOf(o.Spec.ReadModel.RedisHash.KeyPrefix)}
	for _, name := range []string{o.Name, o.Namespace, o.path(), o.Spec.Source.Stream, o.Status.ActiveRevision} {
		r.safe[name] = true
	}
	for _, revision := range o.Status.Revisions {
		r.safe[revision.Name] = true
	}
	for _, field := range o.Spec.ReadModel.Fields {
		r.safe[string(field.Name)] = true
	}
	return r
}

// shadow is the key of an entity of a revision that is not published.
var shadow = regexp.MustCompile(`~[a-z2-7]+:\S+`)

// short is a prefix that other words have in them too: only where a word begins
// does it begin a key.
const short = 2

func keysOf(prefix string) []*regexp.Regexp {
	pattern := regexp.QuoteMeta(prefix) + `\S+`
	switch {
	case prefix == "":
		return []*regexp.Regexp{shadow}
	case len(prefix) <= short:
		pattern = `(^|[^\pL\pN_])` + pattern
	default:
		pattern = `()` + pattern
	}
	return []*regexp.Regexp{shadow, regexp.MustCompile(pattern)}
}

// url is one without user and password.
func (r *redactor) url(text string) string { return withoutUser(text) }

// message is the words of a reason. Of an event that cannot be folded only the
// place is kept: what CEL says of it may hold values.
func (r *redactor) message(reason, text string) string {
	if reason == contract.ReasonEventFailed || strings.Contains(text, contract.ReasonEventFailed) {
		if m := eventFailed.FindStringSubmatch(text); m != nil {
			return strings.TrimRight(m[1]+m[2]+m[3], ": ") + ": " + removed
		}
		return removed
	}
	return r.text(text)
}

// text is free text without what is quoted, credentials and keys of entities.
func (r *redactor) text(text string) string {
	text = userInfo.ReplaceAllString(text, "$1")
	text = credential.ReplaceAllString(text, "$1$2"+removed)
	text = bearer.ReplaceAllString(text, "$1 "+removed)
	text = r.unquoted(text)
	for _, key := range r.keys {
		text = key.ReplaceAllString(text, "$1"+removed)
	}
	return text
}

// unquoted takes out what stands in quotes, from a quote without its other one
// on all the rest. A single quote within a word is an apostrophe.
func (r *redactor) unquoted(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if !opens(text, i) {
			out.WriteByte(text[i])
			continue
		}
		end := closing(text, i)
		if end < 0 {
			return out.String() + removed
		}
		inside := removed
		if r.safe[text[i+1:end]] {
			inside = text[i+1 : end]
		}
		out.WriteString(text[i:i+1] + inside + text[end:end+1])
		i = end
	}
	return out.String()
}

func opens(text string, i int) bool {
	switch text[i] {
	case '"', '`':
		return true
	case '\'':
		return i == 0 || !inWord(text[i-1])
	}
	return false
}

// closing is where the quote that opens at i ends, -1 if it does not.
func closing(text string, i int) int {
	quote := text[i]
	for end := i + 1; end < len(text); end++ {
		switch {
		case text[end] == '\\' && quote != '`':
			end++
		case text[end] != quote, quote == '\'' && end+1 < len(text) && inWord(text[end+1]):
		default:
			return end
		}
	}
	return -1
}

func inWord(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b >= utf8.RuneSelf
}
