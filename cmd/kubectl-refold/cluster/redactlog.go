package cluster

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// logged are the messages of the projector, and what each says besides. All else
// in the log of its container may be of a reducer that somebody has written: of
// that the time and the level are kept.
var logged = map[string][]string{
	"Starting":                            {"projection", "revision", "build", "address"},
	"Stopped":                             {"position", "error"},
	"Stopped answering":                   {"error"},
	"Stopped folding":                     {"reason", "permanent", "eventID", "error"},
	"Bounding memory":                     {"bytes"},
	"Trying again":                        {"error"},
	"Could not listen":                    {"error"},
	"Could not answer":                    {"error"},
	"Could not write the result":          {"error"},
	"Waiting for another contract":        {"error"},
	"Claimed the partition":               {"epoch", "position", "events", "published"},
	"Comparing":                           {"projection", "revision", "build"},
	"Publishing":                          {"projection", "revision", "build"},
	"Dropping":                            {"projection", "revision", "build"},
	"Comparing is over":                   {"done", "message"},
	"Publishing is over":                  {"done", "message"},
	"Dropping is over":                    {"done", "message"},
	"Could not acknowledge; trying again": {"error"},
	"Could not acknowledge: others see no progress":                                           {"reason", "error"},
	"Entities were altered by something else":                                                 {"error"},
	"Folding what is left of the history":                                                     {"from"},
	"Completed: all up to source.until is folded":                                             {"position", "events"},
	"Stopped folding: a successor holds the partition":                                        {"epoch"},
	"Not serving the inspect API: give --inspect, or REFOLD_INSPECT, an address that is free": {"error"},
}

// log redacts a log line by line.
func (r *redactor) log(data []byte) string {
	var out strings.Builder
	inTrace := false
	for _, line := range strings.Split(strings.TrimRight(string(data), "\n"), "\n") {
		line = strings.TrimRight(line, "\r")
		if line == "" {
			continue
		}
		trace := goroutine.MatchString(line) || inTrace && goTrace.MatchString(line)
		if inTrace = trace; !trace {
			line = r.line(line)
		}
		out.WriteString(line + "\n")
	}
	return out.String()
}

// Of a Go program that ends by a panic the places are kept, and what the runtime
// itself says; arguments are addresses.
var (
	goroutine = regexp.MustCompile(`^goroutine \d+( gp=0x[0-9a-f]+ m=\S+( mp=0x[0-9a-f]+)?)? \[[a-z ,0-9()]+\]:$`)
	goTrace   = regexp.MustCompile(`^(\t/?[\w./@+-]+\.go:\d+( \+0x[0-9a-f]+)?|(panic|[\w/-]+\.[\w./*()\[\]{}-]+)\((0x[0-9a-f]+\??|[{}, ._])*\)|created by [\w./*()-]+( in goroutine \d+)?|\.\.\.additional frames elided\.\.\.)$`)
	goPanic   = regexp.MustCompile(`^panic: (runtime error: [a-zA-Z ]+)?`)
	goFatal   = regexp.MustCompile(`^(fatal error: (concurrent map [a-z ]+|all goroutines are asleep - deadlock!|stack overflow|(runtime: )?(cannot allocate|out of) memory|unexpected signal during runtime execution)|\[signal SIG[A-Z]+: [a-z ]+ code=0x[0-9a-f]+ addr=0x[0-9a-f]+ pc=0x[0-9a-f]+\])$`)
)

func (r *redactor) line(line string) string {
	var attributes map[string]any
	if json.Unmarshal([]byte(line), &attributes) == nil && attributes != nil {
		return r.attributes(attributes)
	}
	if goFatal.MatchString(line) {
		return line
	}
	if m := goPanic.FindString(line); m != "" {
		return m + removed
	}
	return fmt.Sprintf("[a line of %d bytes that is none of the projector's]", len(line))
}

var level = regexp.MustCompile(`^(DEBUG|INFO|WARN|ERROR)([+-]\d+)?$`)

// attributes keeps of a line what belongs to its message.
func (r *redactor) attributes(all map[string]any) string {
	message, _ := all["msg"].(string)
	own, known := logged[message]
	reason, _ := all["reason"].(string)
	for name, value := range all {
		text, isText := value.(string)
		switch {
		case name == "time" && isTime(text), name == "level" && level.MatchString(text), name == "msg" && known:
		case name == "time" || name == "level" || name == "msg":
			all[name] = removed
		case !known:
			delete(all, name) // a name may be somebody's too
		case !slices.Contains(own, name):
			all[name] = removed
		case isText && slices.Contains([]string{"error", "message"}, name):
			all[name] = r.message(reason, text)
		case isText:
			all[name] = r.text(text)
		case !simple(value):
			all[name] = removed
		}
	}
	data, err := json.Marshal(all)
	if err != nil {
		return removed
	}
	return string(data)
}

func isTime(text string) bool {
	_, err := time.Parse(time.RFC3339Nano, text)
	return err == nil
}

func simple(value any) bool {
	switch value.(type) {
	case float64, bool, nil:
		return true
	}
	return false
}
