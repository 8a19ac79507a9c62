package projector

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/refold-dev/refold/projector/contract"
)

func anyValue() *rapid.Generator[Value] {
	return rapid.Custom(func(t *rapid.T) Value {
		var v Value
		var err error
		switch Kind(rapid.IntRange(int(String), int(JSON)).Draw(t, "kind")) {
		case String:
			v = StringValue(string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")))
		case Integer:
			v = IntegerValue(rapid.Int64().Draw(t, "integer"))
		case Number:
			v, err = NumberValue(rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }).Draw(t, "number"))
		case Boolean:
			v = BooleanValue(rapid.Bool().Draw(t, "boolean"))
		case Timestamp:
			seconds := rapid.Int64Range(-62135596800, 253402300799).Draw(t, "seconds")
			v, err = TimestampValue(time.Unix(seconds, rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")))
		case JSON:
			v, err = JSONValue([]byte(rapid.SampledFrom([]string{"null", " 1.10 ", `{"a": [1, "é<"]}`, `"x"`, "[ ]"}).Draw(t, "json")))
		}
		if err != nil {
			t.Fatal(err)
		}
		return v
	})
}

func TestTextRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyValue().Draw(t, "value")
		got, err := ParseText(v.Kind(), v.Text())
		if err != nil || got != v {
			t.Fatalf("%s %q is read as %q (%v)", v.Kind(), v.Text(), got.Text(), err)
		}
		if appended := string(v.AppendText([]byte("x"))); appended != "x"+v.Text() {
			t.Fatalf("appended %q, text %q", appended, v.Text())
		}
	})
}

func TestTextIsCanonical(t *testing.T) {
	for kind, texts := range map[Kind]map[string]string{
		Integer:   {"+5": "5", "-0": "0", "007": "7", "9007199254740993": "9007199254740993", "-9223372036854775808": "-9223372036854775808"},
		Number:    {"1.50": "1.5", "1e3": "1000", "1e21": "1e+21", "-0": "-0", "0.1": "0.1"},
		Boolean:   {"true": "true", "false": "false"},
		Timestamp: {"2026-11-23T01:00:00.500+01:00": "2026-11-23T00:00:00.5Z"},
		JSON:      {"{ \"b\" : 1.10 }": `{"b":1.10}`},
		String:    {"a\x00\xff": "a\x00\xff"},
	} {
		for text, want := range texts {
			if v, err := ParseText(kind, text); err != nil || v.Text() != want {
				t.Errorf("%s %q: %q, %v; want %q", kind, text, v.Text(), err, want)
			}
		}
	}
}

// A text that is canonical is taken as it is, every other one is rewritten:
// that must not show.
func TestTimestampsAreReadAsTheyAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(-62_135_600_000, 253_402_300_800).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
		layout := rapid.SampledFrom([]string{time.RFC3339Nano, time.RFC3339, "2006-01-02T15:04:05.000Z07:00", "2006-01-02T15:04:05,999Z07:00", "2006-01-02T15:04:05.000000000Z07:00"}).Draw(t, "layout")
		zone := rapid.SampledFrom([]int{0, 3600, -45 * 60}).Draw(t, "zone")
		text := []byte(at.In(time.FixedZone("", zone)).Format(layout))
		if rapid.Bool().Draw(t, "spoiled") {
			text[rapid.IntRange(0, len(text)-1).Draw(t, "where")] = rapid.SampledFrom([]byte("0159:.,-TZtz +")).Draw(t, "with")
		}
		got, gotErr := ParseText(Timestamp, string(text))
		read, err := time.Parse(time.RFC3339Nano, string(text))
		if err != nil {
			if gotErr == nil {
				t.Fatalf("%s became %s", text, got.Text())
			}
			return
		}
		want, err := TimestampValue(read)
		if got != want || (gotErr == nil) != (err == nil) {
			t.Fatalf("%s became %v (%v), want %v (%v)", text, got, gotErr, want, err)
		}
	})
	for _, text := range []string{"0000-01-01T00:00:00Z", "2026-11-23T5:33:51Z", "2026-11-23T5:33:51.1Z", "2026-11-23T05:33:51.0Z", "2026-11-23T05:33:51.1234567891Z", "2026-11-23T05:33:51.Z", "Z", ""} {
		if v, err := ParseText(Timestamp, text); err == nil {
			read, _ := time.Parse(time.RFC3339Nano, text)
			if want, _ := TimestampValue(read); v != want {
				t.Errorf("%s became %v, want %v", text, v, want)
			}
		}
	}
}

func TestParseTextRefusesOtherShapes(t *testing.T) {
	for kind, texts := range map[Kind][]string{
		Integer:   {"", "1.0", "1e3", "9223372036854775808", " 1", "0x1"},
		Number:    {"", "NaN", "inf", "-Inf", "0x1p4", "1_0", "1e400", "one"},
		Boolean:   {"", "TRUE", "1", "yes"},
		Timestamp: {"", "2026-11-23", "10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"},
		JSON:      {"", "{", "{} {}", "\"\xff\"", "NaN"},
		Unset:     {"", "x"},
	} {
		for _, text := range texts {
			if v, err := ParseText(kind, text); err == nil || v.IsSet() {
				t.Errorf("%s %q was read as %q (%v)", kind, text, v.Text(), err)
			}
		}
	}
	if _, err := ParseText(Integer, strings.Repeat("é", 10_000)); err == nil || len(err.Error()) > 150 || !utf8.ValidString(err.Error()) {
		t.Errorf("a message too long: %v", err)
	}
}

func TestValuesThatNoReadModelCanHoldAreRefused(t *testing.T) {
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if v, err := NumberValue(f); err == nil || v.IsSet() {
			t.Errorf("%v became %q", f, v.Text())
		}
	}
	for _, year := range []int{-1, 0, 10_000} {
		if v, err := TimestampValue(time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)); err == nil || v.IsSet() {
			t.Errorf("the year %d became %q", year, v.Text())
		}
	}
}

func TestEveryTypeOfTheContractHasAKind(t *testing.T) {
	for _, name := range []string{contract.TypeString, contract.TypeInteger, contract.TypeNumber, contract.TypeBoolean, contract.TypeTimestamp, contract.TypeJSON} {
		if kind, err := ParseKind(name); err != nil || kind.String() != name {
			t.Errorf("%s: %v, %v", name, kind, err)
		}
	}
	for _, name := range []string{"", "Unset", "string", "Text"} {
		if kind, err := ParseKind(name); err == nil {
			t.Errorf("%q became %v", name, kind)
		}
	}
}

func FuzzParseText(f *testing.F) {
	for _, seed := range []string{"", "0", "-0", "1e21", "0x1p4", "true", "2026-11-23T00:00:00.5Z", "2026-11-23T00:00:00,5Z", `{"a":[1, 2]}`, "\xff"} {
		for kind := String; kind <= JSON; kind++ {
			f.Add(uint8(kind), seed)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, text string) {
		if kind > uint8(JSON) {
			return
		}
		v, err := ParseText(Kind(kind), text)
		if err != nil {
			return
		}
		if again, err := ParseText(v.Kind(), v.Text()); err != nil || again != v || v.Kind() != Kind(kind) {
			t.Errorf("%s %q has the text %q, which is read as %q (%v)", Kind(kind), text, v.Text(), again.Text(), err)
		}
	})
}
