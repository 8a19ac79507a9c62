package projector

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/refold-dev/refold/projector/contract"
)

// Kind is a field's type.
type Kind uint8

// The types that a manifest may name, after Unset, which is the absence of a value.
const (
	Unset Kind = iota
	String
	Integer
	Number
	Boolean
	Timestamp
	JSON
)

var kindNames = [...]string{"Unset", contract.TypeString, contract.TypeInteger, contract.TypeNumber,
	contract.TypeBoolean, contract.TypeTimestamp, contract.TypeJSON}

func (k Kind) String() string { return kindNames[k] }

// isText says whether the value is in Value.str: as String, Timestamp and JSON.
func (k Kind) isText() bool { return k == String || k >= Timestamp }

// ParseKind reads the name of a type as it stands in a manifest.
func ParseKind(name string) (Kind, error) {
	for k := String; k <= JSON; k++ {
		if kindNames[k] == name {
			return k, nil
		}
	}
	return Unset, fmt.Errorf("unknown type %q: want one of %q", name, kindNames[1:])
}

// Value is one field's value. Its zero value is absent. Values are compared with
// ==. A State copies the bytes of what it is given, and gives views of its own.
type Value struct {
	kind Kind
	num  int64  // Integer, Boolean (0, 1), Number (its IEEE 754 bits)
	str  string // String, Timestamp (RFC 3339, UTC, shortest fraction), JSON (compact)
}

// StringValue is any bytes, also such that are not UTF-8.
func StringValue(s string) Value { return Value{kind: String, str: s} }

// IntegerValue is a 64-bit signed integer.
func IntegerValue(n int64) Value { return Value{kind: Integer, num: n} }

// NumberValue is a 64-bit float; NaN and the infinities are refused.
func NumberValue(f float64) (Value, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Value{}, fmt.Errorf("%v is not a number that a read model can hold", f)
	}
	return Value{kind: Number, num: int64(math.Float64bits(f))}, nil
}

// BooleanValue is true or false.
func BooleanValue(b bool) Value {
	if b {
		return Value{kind: Boolean, num: 1}
	}
	return Value{kind: Boolean}
}

// TimestampValue is a time to the nanosecond, in UTC. Years 1 to 9999.
func TimestampValue(t time.Time) (Value, error) {
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return Value{}, fmt.Errorf("the year %d is out of range: 1 to 9999", t.Year())
	}
	return Value{kind: Timestamp, str: t.Format(time.RFC3339Nano)}, nil
}

// JSONValue is a JSON document, stored compact. JSON is UTF-8: other bytes,
// which encoding/json would let pass, are an error.
func JSONValue(doc []byte) (Value, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, doc); err != nil || !utf8.Valid(doc) {
		return Value{}, notA(JSON, string(doc))
	}
	return Value{kind: JSON, str: compact.String()}, nil
}

// IsSet says whether there is a value.
func (v Value) IsSet() bool { return v.kind != Unset }

// Kind is the value's type.
func (v Value) Kind() Kind { return v.kind }

// Str is the text of a String, Timestamp or JSON.
func (v Value) Str() string { return v.str }

// Int is an Integer's number.
func (v Value) Int() int64 { return v.num }

// Float is a Number's number.
func (v Value) Float() float64 { return math.Float64frombits(uint64(v.num)) }

// Bool is a Boolean's truth.
func (v Value) Bool() bool { return v.num != 0 }

// AppendText appends the canonical text, as read models of text hold it:
// decimal integers, shortest round-trip floats, true and false, RFC 3339
// times, compact JSON, a string's own bytes.
func (v Value) AppendText(b []byte) []byte {
	switch v.kind {
	case Integer:
		return strconv.AppendInt(b, v.num, 10)
	case Number:
		return strconv.AppendFloat(b, v.Float(), 'g', -1, 64)
	case Boolean:
		return strconv.AppendBool(b, v.Bool())
	default:
		return append(b, v.str...)
	}
}

// Text is AppendText as a string.
func (v Value) Text() string {
	if v.kind.isText() {
		return v.str
	}
	return string(v.AppendText(nil))
}

// ParseText reads what AppendText wrote; the value may share the text's bytes.
// Text of another shape is an error that names the kind.
func ParseText(kind Kind, text string) (Value, error) {
	switch kind {
	case String:
		return StringValue(text), nil
	case Integer:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return Value{}, notA(kind, text)
		}
		return IntegerValue(n), nil
	case Number:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || strings.Trim(text, "+-.0123456789e") != "" {
			return Value{}, notA(kind, text) // also 0x1p4, inf and NaN, which Go reads
		}
		return NumberValue(f)
	case Boolean:
		if text != "true" && text != "false" {
			return Value{}, notA(kind, text)
		}
		return BooleanValue(text == "true"), nil
	case Timestamp:
		t, err := time.Parse(time.RFC3339Nano, text)
		switch {
		case err != nil:
			return Value{}, notA(kind, text)
		case isCanonical(text) && t.Year() > 0:
			return Value{kind: Timestamp, str: text}, nil
		}
		return TimestampValue(t)
	case JSON:
		return JSONValue([]byte(text))
	}
	return Value{}, fmt.Errorf("no value has the type %s", kind)
}

// isCanonical says whether text, which time.Parse has read, is what
// TimestampValue would write. With an hour of one digit it is not: the fraction
// does not begin where it should.
func isCanonical(text string) bool {
	const second, longest = len("2006-01-02T15:04:05"), len("2006-01-02T15:04:05.999999999Z")
	last := len(text) - 1
	if last < second || last >= longest || text[last] != 'Z' {
		return false
	}
	return last == second || text[second] == '.' && text[last-1] != '0'
}

// notA says what the text should have been. It keeps none of the text's bytes.
func notA(kind Kind, text string) error {
	return fmt.Errorf("%q is not of type %s", strings.Clone(clip(text)), kind)
}

// clip keeps messages short whatever a producer or a manifest holds.
func clip(text string) string {
	const most = 64
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
