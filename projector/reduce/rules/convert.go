package rules

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/refold-dev/refold/projector"
)

// convert turns a result into a value of the declared kind, exactly or not at
// all (a Number rounds, as floats do). Null is the unset value. The table in
// docs/rules.md says the same.
func convert(kind projector.Kind, v ref.Val) (projector.Value, error) {
	switch v := v.(type) {
	case types.Null:
		return projector.Value{}, nil
	case *types.Err:
		return projector.Value{}, v
	}
	if kind == projector.JSON {
		return toJSON(v)
	}
	switch v := v.(type) {
	case types.String:
		return fromString(kind, string(v))
	case types.Int:
		return fromInt(kind, int64(v))
	case types.Uint:
		return fromUint(kind, uint64(v))
	case types.Double:
		return fromDouble(kind, float64(v))
	case types.Bool:
		return fromBool(kind, bool(v))
	case types.Timestamp:
		return fromTime(kind, v.Time)
	case types.Bytes:
		if kind == projector.String {
			return projector.StringValue(string(v)), nil
		}
	}
	return projector.Value{}, fmt.Errorf("%s cannot become %s", v.Type().TypeName(), kind)
}

func fromString(kind projector.Kind, s string) (projector.Value, error) {
	if kind == projector.String {
		return projector.StringValue(s), nil
	}
	v, err := parse(kind, s)
	if err == nil && !v.IsSet() {
		return notA(kind, strconv.Quote(clip(s)))
	}
	return v, err
}

// parse reads a kind that is not String; text of another shape gives an unset
// value.
func parse(kind projector.Kind, s string) (v projector.Value, err error) {
	switch kind {
	case projector.Integer:
		if n, ok := whole(s); ok {
			return projector.IntegerValue(n), nil
		}
	case projector.Number:
		if f, err := strconv.ParseFloat(s, 64); err == nil && isDecimal(s) {
			return projector.NumberValue(f)
		}
	case projector.Boolean:
		if s == "true" || s == "false" {
			return projector.BooleanValue(s == "true"), nil
		}
	case projector.Timestamp:
		if v, err := projector.ParseText(kind, s); err == nil && isRFC3339(s) {
			return v, nil
		}
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil && isRFC3339(s) {
			return projector.TimestampValue(t)
		}
	}
	return v, nil
}

// whole is strconv.ParseInt in base 10; Atoi has a shorter way for few digits.
func whole(s string) (n int64, ok bool) {
	if strconv.IntSize == 64 {
		n, err := strconv.Atoi(s)
		return int64(n), err == nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// isDecimal leaves out what else Go reads as a float: 0x1p4, inf, 1_000.
func isDecimal(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return false
		}
	}
	return true
}

// isRFC3339 leaves out what else time.Parse reads: an hour of one digit, a
// comma before the fraction, an offset beyond a day.
func isRFC3339(s string) bool {
	offset := s[len(s)-len("00:00"):]
	return s[len("2006-01-02T15")] == ':' && s[len("2006-01-02T15:04:05")] != ',' &&
		(s[len(s)-1] == 'Z' || offset[:2] <= "23" && offset[3:] <= "59")
}

func fromInt(kind projector.Kind, n int64) (projector.Value, error) {
	switch kind {
	case projector.String:
		return projector.StringValue(strconv.FormatInt(n, 10)), nil
	case projector.Integer:
		return projector.IntegerValue(n), nil
	case projector.Number:
		return projector.NumberValue(float64(n))
	}
	return notA(kind, strconv.FormatInt(n, 10))
}

func fromUint(kind projector.Kind, n uint64) (projector.Value, error) {
	switch {
	case n <= math.MaxInt64:
		return fromInt(kind, int64(n))
	case kind == projector.String:
		return projector.StringValue(strconv.FormatUint(n, 10)), nil
	case kind == projector.Number:
		return projector.NumberValue(float64(n))
	}
	return notA(kind, strconv.FormatUint(n, 10))
}

func fromDouble(kind projector.Kind, f float64) (projector.Value, error) {
	switch kind {
	case projector.Number:
		return projector.NumberValue(f)
	case projector.String:
		v, err := projector.NumberValue(f)
		return projector.StringValue(v.Text()), err
	case projector.Integer:
		// 2^63 itself is a float and no int64.
		if f == math.Trunc(f) && f >= math.MinInt64 && f < math.MaxInt64 {
			return projector.IntegerValue(int64(f)), nil
		}
	}
	return notA(kind, strconv.FormatFloat(f, 'g', -1, 64))
}

func fromBool(kind projector.Kind, b bool) (projector.Value, error) {
	switch kind {
	case projector.String:
		return projector.StringValue(strconv.FormatBool(b)), nil
	case projector.Boolean:
		return projector.BooleanValue(b), nil
	}
	return notA(kind, strconv.FormatBool(b))
}

func fromTime(kind projector.Kind, t time.Time) (projector.Value, error) {
	v, err := projector.TimestampValue(t)
	if err != nil {
		return projector.Value{}, err
	}
	switch kind {
	case projector.Timestamp:
		return v, nil
	case projector.String:
		return projector.StringValue(v.Str()), nil
	}
	return notA(kind, v.Str())
}

func notA(kind projector.Kind, text string) (projector.Value, error) {
	return projector.Value{}, fmt.Errorf("%s is not of type %s", text, kind)
}
