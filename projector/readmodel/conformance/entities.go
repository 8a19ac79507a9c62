package conformance

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
)

// oddValues are the odd-values row of the faults list, as values.
func oddValues(t *testing.T) []projector.Value {
	t.Helper()
	s, i := projector.StringValue, projector.IntegerValue
	values := []projector.Value{
		s(""), s("plain"), s("\x00"), s("a\x00b\r\n"), s("\xff\xfe not UTF-8"), s("'; DROP TABLE users; --"),
		s("{}"), s("*3\r\n$3\r\nSET\r\n"), s(strings.Repeat("x", 1<<20)), s("true"), s("12"), s("ünïcödé ☃ 𝄞"),
		i(0), i(-1), i(1<<53 + 1), i(math.MaxInt64), i(math.MinInt64),
		projector.BooleanValue(true), projector.BooleanValue(false),
	}
	for _, f := range []float64{0, math.Copysign(0, -1), 0.1, -1.5, 1e300, 5e-324, math.MaxFloat64, 1 << 53} {
		values = append(values, must(t)(projector.NumberValue(f)))
	}
	for _, instant := range []time.Time{
		time.Unix(0, 0), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC), time.Date(2026, 11, 23, 12, 0, 0, 5_000_000, time.UTC),
	} {
		values = append(values, must(t)(projector.TimestampValue(instant)))
	}
	for _, doc := range []string{`{}`, `[]`, `null`, `"x"`, `{"a":[1,2.50,{"b":"\u0000"}]}`, `9007199254740993`} {
		values = append(values, must(t)(projector.JSONValue([]byte(doc))))
	}
	return values
}

func must(t *testing.T) func(projector.Value, error) projector.Value {
	return func(v projector.Value, err error) projector.Value {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func roundTrip(t *testing.T, b *bench) {
	p, cp := b.claim(t, b.open(t), claim)
	values := oddValues(t)
	changed := make([]readmodel.Entity, len(values))
	for i, v := range values {
		changed[i] = b.user(t, fmt.Sprint(i), v)
	}
	b.commit(t, p, at(cp, 1), changed...)
	p, _ = b.claim(t, b.open(t), claim)
	for i, want := range values {
		got := b.load(t, p, fmt.Sprint(i)).At(int(want.Kind()) - 1)
		if got != want {
			t.Errorf("%s %.60q came back as %s %.60q", want.Kind(), want.Text(), got.Kind(), got.Text())
		}
	}
}

func canonicalText(t *testing.T, b *bench) {
	p, cp := b.claim(t, b.open(t), claim)
	number, stamp := must(t)(projector.NumberValue(1.5)), must(t)(projector.TimestampValue(time.Unix(1, 5e6)))
	doc := must(t)(projector.JSONValue([]byte(`{"a": 1}`)))
	b.commit(t, p, at(cp, 1), b.user(t, "42", projector.StringValue("Ann"), projector.IntegerValue(-7),
		number, projector.BooleanValue(true), stamp, doc))
	want := map[string]string{"s": "Ann", "i": "-7", "n": "1.5", "b": "true", "t": "1970-01-01T00:00:01.005Z", "j": `{"a":1}`}
	if diff := cmp.Diff(want, b.server.Lookup(t, "42")); diff != "" {
		t.Error(diff)
	}
}

func oddKeys(t *testing.T, b *bench) {
	p, cp := b.claim(t, b.open(t), claim)
	keys := []string{"a:b", "{x}", "{", "'\"`", "a\nb\r\n", "\x00", "\xff", "*", "[a]?", "a b", "1/2", "%s", "☃", "k:keys", strings.Repeat("k", 1000)}
	var changed []readmodel.Entity
	for _, key := range keys {
		changed = append(changed, b.user(t, key, projector.StringValue(key)))
	}
	b.commit(t, p, at(cp, 1), changed...)
	for _, key := range keys {
		if got := b.load(t, p, key).Get("s").Str(); got != key {
			t.Errorf("the entity %q holds %q", key, got)
		}
	}
}

func deletes(t *testing.T, b *bench) {
	p, cp := b.claim(t, b.open(t), claim)
	ann := b.user(t, "ann", projector.StringValue("Ann"))
	b.commit(t, p, at(cp, 1), ann)
	ann.State.Delete()
	b.commit(t, p, at(cp, 2), ann)
	if b.load(t, p, "ann").Exists() || b.server.Lookup(t, "ann") != nil {
		t.Error("the entity is still there")
	}
	set(ann, projector.StringValue("Ann again"))
	b.commit(t, p, at(cp, 3), ann)
	if !b.load(t, p, "ann").Exists() {
		t.Error("a deleted entity could not be made again")
	}
}

func existsWithoutFields(t *testing.T, b *bench) {
	p, cp := b.claim(t, b.open(t), claim)
	bare := b.user(t, "bare")
	b.commit(t, p, at(cp, 1), bare)
	bare.State = b.load(t, p, "bare")
	if !bare.State.Exists() {
		t.Fatal("the entity does not exist")
	}
	set(bare, projector.IntegerValue(1))
	b.commit(t, p, at(cp, 2), bare)
	if got := b.load(t, p, "bare").Get("i").Int(); got != 1 {
		t.Errorf("i = %d, want 1", got)
	}
}

func unsets(t *testing.T, b *bench) {
	p, cp := b.claim(t, b.open(t), claim)
	e := b.user(t, "1", projector.StringValue("x"), projector.IntegerValue(1))
	b.commit(t, p, at(cp, 1), e)
	e.State.UnsetAt(slotOf(projector.String))
	set(e, projector.IntegerValue(2))
	b.commit(t, p, at(cp, 2), e)
	if diff := cmp.Diff(map[string]string{"i": "2"}, b.server.Lookup(t, "1")); diff != "" {
		t.Error(diff)
	}
	e.State.UnsetAt(slotOf(projector.Integer))
	b.commit(t, p, at(cp, 3), e)
	if got := b.load(t, p, "1"); !got.Exists() || got.Get("i").IsSet() {
		t.Error("unsetting the last field deleted the entity, or left the field")
	}
}

func neverThere(t *testing.T, b *bench) {
	p, cp := b.claim(t, b.open(t), claim)
	b.commit(t, p, at(cp, 1), readmodel.Entity{Key: "1", State: projector.NewState(b.schema)})
	if b.load(t, p, "1").Exists() {
		t.Error("it exists")
	}
}

func large(t *testing.T, b *bench) {
	p, cp := b.claim(t, b.open(t), claim)
	const n = 10_000
	changed, keys, states := make([]readmodel.Entity, n), make([]string, n), make([]*projector.State, n)
	for i := range n {
		keys[i], states[i] = fmt.Sprint(i), projector.NewState(b.schema)
		changed[i] = b.user(t, keys[i], projector.IntegerValue(int64(i)))
	}
	b.commit(t, p, at(cp, 1), changed...)
	if err := p.Load(b.ctx, keys, states); err != nil {
		t.Fatal(err)
	}
	for i, s := range states {
		if s.Get("i") != projector.IntegerValue(int64(i)) {
			t.Fatalf("entity %d holds %q", i, s.Get("i").Text())
		}
	}
}

func foreignLoad(t *testing.T, b *bench) {
	b.server.Plant(t, "2")
	p, _ := b.claim(t, b.open(t), claim)
	was := b.server.Everything(t)
	keys := []string{"1", "2", "3"}
	states := []*projector.State{projector.NewState(b.schema), projector.NewState(b.schema), projector.NewState(b.schema)}
	wantFault(t, p.Load(b.ctx, keys, states), contract.ReasonNotOwned, "2")
	unchanged(t, b, was)
}

func foreignCommit(t *testing.T, b *bench) {
	p, cp := b.claim(t, b.open(t), claim)
	b.load(t, p, "2")
	b.server.Plant(t, "2")
	was := b.server.Everything(t)
	one := projector.IntegerValue(1)
	err := b.try(p, at(cp, 1), b.user(t, "1", one), b.user(t, "2", one))
	wantFault(t, err, contract.ReasonNotOwned, "2")
	unchanged(t, b, was)
}

func wantFault(t *testing.T, err error, reason, naming string) {
	t.Helper()
	f := fault.As(err)
	switch {
	case f == nil:
		t.Fatalf("want a fault %s, got %v", reason, err)
	case f.Reason != reason:
		t.Errorf("want %s, got %v", reason, f)
	case !strings.Contains(f.Message, naming):
		t.Errorf("the message does not name %q: %s", naming, f.Message)
	case f.Remedy == "":
		t.Error("no remedy")
	}
}

func wantFenced(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, readmodel.ErrFenced) {
		t.Errorf("want ErrFenced, got %v", err)
	}
}

func unchanged(t *testing.T, b *bench, was map[string]string) {
	t.Helper()
	if diff := cmp.Diff(was, b.server.Everything(t)); diff != "" {
		t.Errorf("the server was changed:\n%s", diff)
	}
}
