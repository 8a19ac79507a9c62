package cluster

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/refold-dev/refold/projector/contract"
)

// redactor takes out of the words of others what does not belong into a support
// bundle: passwords, entity values, keys of entities. Messages name those in
// quotes; so what is quoted goes, but for names that are known to be harmless.
type redactor struct {
	prefixes []string        // of entity keys
	safe     map[string]bool // what may stand in quotes
}

const removed = "…"

var (
	userInfo    = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s"'<>]*@`)
	credential  = regexp.MustCompile(`(?i)\b([a-z_.-]*(?:password|passwd|pwd|secret|token|authorization|bearer|api[_-]?key|credential)s?)("?\s*[=:]\s*)(?:bearer\s+|basic\s+)?("[^"]*"|'[^']*'|[^\s,;)}]+)`)
	bearer      = regexp.MustCompile(`(?i)\b(bearer|basic|auth) [^\s,;]+`)
	inQuotes    = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|'(?:[^'\\\\]|\\\\.)*'|`[^`]*`")
	openQuote   = regexp.MustCompile("[\"`].*$")
	eventFailed = regexp.MustCompile(`(?s)(event \d+-\d+)(:? ?)(rule \d+ \([^)]*\): [\w.]+|reducer\.key|key)?.*`)
)

// newRedactor learns from a Projection what its entities' keys begin with, and
// which names are harmless.
func newRedactor(o *object) *redactor {
	r := &redactor{safe: map[string]bool{}}
	for _, name := range []string{o.Name, o.Namespace, o.path(), o.Spec.Source.Stream, o.Status.ActiveRevision} {
		r.safe[name] = true
	}
	for _, revision := range o.Status.Revisions {
		r.safe[revision.Name] = true
	}
	for _, field := range o.Spec.ReadModel.Fields {
		r.safe[string(field.Name)] = true
	}
	if prefix := o.Spec.ReadModel.RedisHash.KeyPrefix; len(prefix) > 2 {
		r.prefixes = append(r.prefixes, prefix)
	}
	return r
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
	text = inQuotes.ReplaceAllStringFunc(text, func(found string) string {
		if r.safe[found[1:len(found)-1]] {
			return found
		}
		return found[:1] + removed + found[len(found)-1:]
	})
	if strings.Count(text, `"`)%2 == 1 { // cut off within quotes
		text = openQuote.ReplaceAllString(text, removed)
	}
	for _, prefix := range r.prefixes {
		text = regexp.MustCompile(`(~[a-z2-7]+:)?`+regexp.QuoteMeta(prefix)+`\S+`).ReplaceAllString(text, removed)
	}
	return text
}

// logged are the attributes of log lines that are kept as they are, free text
// among them redacted. All others may be of a reducer that somebody has written.
var logged = []string{"time", "ts", "level", "msg", "logger", "controller", "namespace", "name", "projection", "revision", "build", "version",
	"reason", "error", "message", "remedy", "permanent", "position", "from", "until", "epoch", "eventID", "done", "bytes", "address", "state",
	"kind", "object", "attempt", "reconcileID", "signal"}

// log redacts a log line by line.
func (r *redactor) log(data []byte) string {
	var out strings.Builder
	for _, line := range strings.Split(strings.TrimRight(string(data), "\n"), "\n") {
		if line != "" {
			out.WriteString(r.line(line) + "\n")
		}
	}
	return out.String()
}

// Of a Go program that ends by a panic the places are kept, and what the runtime
// itself says; arguments are addresses.
var (
	goTrace = regexp.MustCompile(`^(goroutine \d+ \[[a-z ,0-9]+\]:|\t/?[\w./@+-]+\.go:\d+( \+0x[0-9a-f]+)?|(created by )?[\w./*()\[\]{}+-]+\([0-9a-fx, .{}?]*\)|created by [\w./*()]+( in goroutine \d+)?|\[signal [A-Z]+[^\]]*\]|fatal error: [a-z ]+)$`)
	goPanic = regexp.MustCompile(`^panic: (runtime error: [a-zA-Z ]+)?`)
)

func (r *redactor) line(line string) string {
	var attributes map[string]any
	if json.Unmarshal([]byte(line), &attributes) == nil {
		return r.attributes(attributes)
	}
	line = strings.TrimRight(line, "\r")
	if goTrace.MatchString(line) {
		return line
	}
	if m := goPanic.FindString(line); m != "" {
		return m + removed
	}
	return fmt.Sprintf("[a line of %d bytes that is none of the projector's]", len(line))
}

func (r *redactor) attributes(all map[string]any) string {
	reason, _ := all["reason"].(string)
	for name, value := range all {
		text, isText := value.(string)
		switch {
		case !slices.Contains(logged, name):
			all[name] = removed
		case isText && slices.Contains([]string{"error", "message", "remedy"}, name):
			all[name] = r.message(reason, text)
		case isText:
			all[name] = r.text(text)
		case name == "object":
			all[name] = r.reference(value)
		default:
			if _, simple := value.(map[string]any); simple {
				all[name] = removed
			}
			if _, list := value.([]any); list {
				all[name] = removed
			}
		}
	}
	data, err := json.Marshal(all)
	if err != nil {
		return removed
	}
	return string(data)
}

// reference is the name and namespace of an object, as klog writes them.
func (r *redactor) reference(value any) any {
	object, _ := value.(map[string]any)
	name, _ := object["name"].(string)
	namespace, _ := object["namespace"].(string)
	return r.text(namespace + "/" + name)
}
