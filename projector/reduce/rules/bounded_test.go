package rules_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

// Each of these would take minutes, or more memory than there is.
func TestNoFunctionEscapesTheLimit(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	for _, expression := range []string{
		`event.v.replace("", event.v)`,
		`event.v.replace("x", event.v)`,
		`event.v.replace("x", event.v, 100000)`,
		`event.v.split("").map(c, event.v).join("")`,
		`event.v.split("").join(event.v)`,
		`event.v.split("").map(c, event.v.split("").size()).size() > 0 ? "a" : "b"`,
		`event.s.split("").all(c, event.v.indexOf("y") < 0) ? "a" : "b"`,
		`event.s.split("").all(c, event.v.lastIndexOf("y") < 0) ? "a" : "b"`,
		`event.s.split("").all(c, event.v.substring(1) != "") ? "a" : "b"`,
		`event.s.split("").all(c, event.v.lowerAscii() != "") ? "a" : "b"`,
		`event.s.split("").all(c, event.v.charAt(5) != "") ? "a" : "b"`,
		`event.s.split("").all(c, strings.quote(event.v) != "") ? "a" : "b"`,
		`event.s.split("").all(c, "%s".format([event.v]) != "") ? "a" : "b"`,
		`event.s.split("").all(c, base64.decode(event.v) != b"") ? "a" : "b"`,
		`event.s.split("").all(c, base64.encode(bytes(event.v)) != "") ? "a" : "b"`,
	} {
		t.Run(expression, func(t *testing.T) {
			schema := schemaOf(t, everyType)
			r := compile(t, contract.FormatFields, schema, contract.Reducer{Key: "'k'", Rules: []contract.Rule{
				on("T", contract.Rule{Set: exprs{"text": expression}})}})
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			began := threadTime(t)
			f := fault.As(fold(r, entry("T", "v", big, "s", big[:10_000]), projector.NewState(schema)))
			if f == nil || !strings.Contains(f.Message, "it costs more than the limit") {
				t.Errorf("%v", f)
			}
			if took := threadTime(t) - began; took > 5*time.Second {
				t.Errorf("it took %v to notice", took)
			}
		})
	}
}

// threadTime is the processor's time that the thread has used: what the clock shows
// depends on what else the machine does.
func threadTime(t *testing.T) time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func TestReplaceAndJoinAreCELs(t *testing.T) {
	for expression, want := range map[string]string{
		`"hello hello".replace("he", "we")`:        "wello wello",
		`"hello hello".replace("he", "we", 1)`:     "wello hello",
		`"hello hello".replace("he", "we", 0)`:     "hello hello",
		`"hello hello".replace("he", "we", -1)`:    "wello wello",
		`"hello".replace("", "_")`:                 "_h_e_l_l_o_",
		`"hello".replace("l", "")`:                 "heo",
		`["", "a", "", "b"].join(",")`:             ",a,,b",
		`["a", "b"].join()`:                        "ab",
		`["x"].filter(y, false).join(",") + "end"`: "end",
		`event.v.split("|").join(" - ")`:           "1 - 2 - ",
	} {
		schema := schemaOf(t, everyType)
		r := compile(t, contract.FormatFields, schema, contract.Reducer{Key: "'k'", Rules: []contract.Rule{
			on("T", contract.Rule{Set: exprs{"text": expression}})}})
		s := projector.NewState(schema)
		if err := fold(r, entry("T", "v", "1|2|"), s); err != nil || s.Get("text").Str() != want {
			t.Errorf("%s: %q, %v, want %q", expression, s.Get("text").Str(), err, want)
		}
	}
}
