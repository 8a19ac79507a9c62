package projector

import (
	"math"
	"strings"
	"testing"
	"time"
)

// FuzzValues: every value that can be made has one text, and that is read as the
// same value.
func FuzzValues(f *testing.F) {
	f.Add(int64(0), int64(0), "")
	f.Add(int64(math.MinInt64), int64(999_999_999), "\xff")
	f.Add(int64(math.Float64bits(math.Copysign(0, -1))), int64(1), `{"a": [1.10, "é<"]}`)
	f.Add(int64(math.Float64bits(5e-324)), int64(500_000_000), " null ")
	f.Fuzz(func(t *testing.T, n, nanoseconds int64, text string) {
		values := []Value{StringValue(text), IntegerValue(n), BooleanValue(n%2 == 0)}
		for _, made := range []func() (Value, error){
			func() (Value, error) { return NumberValue(math.Float64frombits(uint64(n))) },
			func() (Value, error) { return TimestampValue(time.Unix(n, nanoseconds)) },
			func() (Value, error) { return TimestampValue(time.Unix(0, n)) },
			func() (Value, error) { return JSONValue([]byte(text)) },
		} {
			if v, err := made(); err == nil {
				values = append(values, v)
			}
		}
		for _, v := range values {
			hasOneText(t, v)
		}
	})
}

func hasOneText(t *testing.T, v Value) {
	t.Helper()
	text := v.Text()
	if appended := string(v.AppendText([]byte("before"))); !v.IsSet() || appended != "before"+text {
		t.Errorf("%s %q is appended as %q", v.Kind(), text, appended)
	}
	again, err := ParseText(v.Kind(), text)
	if err != nil || again != v || again.Text() != text {
		t.Errorf("%s %q is read as %q (%v)", v.Kind(), text, again.Text(), err)
	}
	if v.Kind() != String && v.Kind() != JSON && strings.TrimSpace(text) != text {
		t.Errorf("%s has the text %q", v.Kind(), text)
	}
}
