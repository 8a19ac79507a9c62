package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
)

const fuzzCount = 1000

// FuzzDecode takes go-redis' own decoding for the truth. What we deliver it reads
// the same, whatever the bytes, wherever they are split and however few an entry
// may have. What it reads and we refuse is not written as a server writes it.
func FuzzDecode(f *testing.F) {
	common := swiftEntry("1795412031120-0", "type", "A", "id", "12") + swiftEntry("1795412031120-12", "type", strings.Repeat("B", 100))
	for _, seed := range []string{
		opening + "*2\r\n" + entry1 + entry2, "%1\r\n$1\r\ns\r\n*1\r\n" + entry1, "*-1\r\n", "_\r\n", "-ERR no\r\n", opening + "*0\r\n",
		opening + "*2\r\n" + entry2 + entry1, opening + "*1\r\n*2\r\n$3\r\n1-0\r\n*-1\r\n", "+OK\r\n", "*1\r\n*2\r\n$1\r\ns\r\n*9999999\r\n",
		opening + "*2\r\n" + common, opening + "*3\r\n" + common + swiftEntry("1795412031121-0", "a", "b"), opening + "*1\r\n" + strings.Repeat(common, 2),
	} {
		f.Add([]byte(seed), uint8(3), uint16(0))
		f.Add([]byte(seed), uint8(90), uint16(120))
	}
	f.Fuzz(func(t *testing.T, reply []byte, chunk uint8, most uint16) {
		whole, err := decodeBound(reply, len(reply)+1, fuzzCount, int(most))
		r := NewReader(nil, testSource, "g")
		same(t, r, reply, whole, err, &scripted{reply: bytes.NewReader(reply), chunk: int(chunk) + 1})
		for at := range min(len(reply), 300) {
			same(t, r, reply, whole, err, &scripted{reply: io.MultiReader(bytes.NewReader(reply[:at]), bytes.NewReader(reply[at:])), chunk: len(reply) + 1})
		}
		if huge.Match(reply) {
			return
		}
		want, oracleErr := oracle(reply)
		switch {
		case err == nil && oracleErr != nil:
			t.Fatalf("go-redis: %v; we: %q", oracleErr, flat(whole.Events))
		case err == nil:
			if diff := cmp.Diff(want, flat(whole.Events)); diff != "" {
				t.Fatal(diff)
			}
		case oracleErr == nil && most == 0:
			refusedRightly(t, reply, want)
		}
	})
}

// huge is a count or a length by which go-redis would allocate, and end the test.
var huge = regexp.MustCompile(`[$*%~>=!|][+-]?[0-9]{6,}`)

// same fails if the bytes are decoded otherwise when they come in other pieces.
func same(t *testing.T, r *Reader, reply []byte, whole *Batch, wholeErr error, cn net.Conn) {
	t.Helper()
	b := r.newBatch(projector.ID{})
	defer b.Release()
	b.most = whole.most
	err := (&wire{cn: cn}).entries(b, "s", fuzzCount, math.MaxInt)
	if fmt.Sprint(err) != fmt.Sprint(wholeErr) || !slices.EqualFunc(flat(whole.Events), flat(b.Events), slices.Equal) {
		t.Fatalf("%q\nin one piece %q %v\nin pieces %q %v", reply, flat(whole.Events), wholeErr, flat(b.Events), err)
	}
}

// refusedRightly: go-redis takes numbers with a sign or leading zeros, simple
// strings, integers and other types for bulk strings, attributes in between, any
// name of the stream, and what follows the stream. A server writes none of
// these: in its own writing we must read the same entries.
func refusedRightly(t *testing.T, reply []byte, entries [][]string) {
	t.Helper()
	var proper bytes.Buffer
	fmt.Fprintf(&proper, "%s*%d\r\n", opening, len(entries))
	for _, e := range entries {
		proper.WriteString(swiftEntry(e[0], e[1:]...))
	}
	if bytes.HasPrefix(reply, proper.Bytes()) {
		t.Fatalf("we refuse what a server may send: %q", reply)
	}
	b, err := decode(proper.Bytes(), proper.Len(), fuzzCount)
	if diff := cmp.Diff(entries, flat(b.Events)); err != nil || diff != "" {
		t.Fatalf("%v %s", err, diff)
	}
}

// oracle lets go-redis read the reply. What it reads is an error where it is no
// answer to XREAD: more entries than asked for, IDs that do not rise, names
// without a value.
func oracle(reply []byte) ([][]string, error) {
	client := redis.NewClient(&redis.Options{Protocol: 2, DisableIdentity: true, MaxRetries: -1, PipelinePoolSize: -1,
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			handshake := strings.NewReader("-ERR unknown command 'hello'\r\n")
			return &scripted{reply: io.MultiReader(handshake, bytes.NewReader(reply)), chunk: 1 << 20}, nil
		}})
	defer client.Close()
	got, err := client.Do(context.Background(), "XREAD").Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	switch streams := got.(type) {
	case []any:
		if pair, ok := only(streams).([]any); ok && len(pair) == 2 {
			return rising(pair[1])
		}
	case map[any]any:
		if entries, ok := streams["s"]; ok && len(streams) == 1 {
			return rising(entries)
		}
	}
	return nil, errNoAnswer
}

var errNoAnswer = errors.New("no answer to XREAD")

// only is the one element of a list.
func only(list []any) any {
	if len(list) != 1 {
		return nil
	}
	return list[0]
}

func rising(of any) (all [][]string, err error) {
	entries, ok := of.([]any)
	if !ok || len(entries) > fuzzCount {
		return nil, errNoAnswer
	}
	last := projector.ID{}
	for _, entry := range entries {
		id, one, ok := plain(entry)
		if !ok || id.Compare(last) <= 0 {
			return nil, errNoAnswer
		}
		all, last = append(all, one), id
	}
	return all, nil
}

// plain is an entry of nothing but strings: ID, names and values.
func plain(entry any) (id projector.ID, one []string, ok bool) {
	pair, _ := entry.([]any)
	if len(pair) != 2 {
		return id, nil, false
	}
	text, isString := pair[0].(string)
	texts, isList := pair[1].([]any)
	id, err := projector.ParseID(text)
	if !isString || !isList || err != nil || !strings.Contains(text, "-") || len(texts)%2 != 0 {
		return id, nil, false
	}
	one = []string{id.String()}
	for _, t := range texts {
		text, isString := t.(string)
		if !isString {
			return id, nil, false
		}
		one = append(one, text)
	}
	return id, one, true
}

// FuzzSwift holds the decoder for the common shape to the general one.
func FuzzSwift(f *testing.F) {
	f.Add([]byte(swiftEntry("1795412031120-0", "type", "A", "id", "12")+swiftEntry("1795412031120-12", "type", strings.Repeat("B", 100))), uint16(0))
	f.Add([]byte(swiftEntry("9999999999999-99999999", make([]string, 98)...)), uint16(100))
	f.Fuzz(func(t *testing.T, entries []byte, most uint16) {
		swift, general := decodeSwift(entries, int(most)), decodeGeneral(entries, int(most))
		got, want := flat(swift.Events), flat(general.Events)
		if len(got) > len(want) || !slices.EqualFunc(got, want[:len(got)], slices.Equal) {
			t.Fatalf("%q: got %q, want %q", entries, got, want)
		}
		if len(got) == len(want) && (swift.Last != general.Last || swift.pos > general.pos) {
			t.Fatalf("%q: ended at %d after %s, want %d after %s", entries, swift.pos, swift.Last, general.pos, general.Last)
		}
	})
}

// FuzzIDs: the three ways to read an ID agree, with each other and with strconv.
func FuzzIDs(f *testing.F) {
	for _, seed := range []string{"0-0", "1795412031120-356", "5", "-", "1-", "+1-1", "18446744073709551616-0", "1-2-3", "9999999999999-99999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ms, seq, dash := strings.Cut(text, "-")
		wantMs, err1 := strconv.ParseUint(ms, 10, 64)
		wantSeq, err2 := strconv.ParseUint(seq, 10, 64)
		want, sound := projector.ID{Ms: wantMs, Seq: wantSeq}, dash && err1 == nil && err2 == nil
		if got, ok := parseID([]byte(text)); ok != sound || ok && got != want {
			t.Errorf("parseID(%q) = %v, %v", text, got, ok)
		}
		if got, err := projector.ParseID(text); dash && (err == nil) != sound || sound && got != want {
			t.Errorf("ParseID(%q) = %v, %v", text, got, err)
		}
		if got := decodeSwift([]byte(swiftEntry(text, "a", "b")), 0); len(got.Events) > 0 && (!sound || got.Last != want) {
			t.Errorf("swift %q = %v", text, got.Last)
		}
		for n := 1; n <= min(8, len(text)); n++ {
			want, err := strconv.ParseUint(text[:n], 10, 64)
			if got, ok := decimal(look([]byte(text+"12345678"), 0), n); ok != (err == nil) || ok && got != want {
				t.Errorf("decimal(%q) = %d, %v", text[:n], got, ok)
			}
		}
	})
}

func FuzzInfo(f *testing.F) {
	f.Add([]byte("*4\r\n$6\r\nlength\r\n:2\r\n$11\r\nfirst-entry\r\n" + entry1))
	f.Add([]byte("%1\r\n$10\r\nlast-entry\r\n_\r\n"))
	f.Add([]byte("-ERR no such key\r\n"))
	f.Fuzz(func(t *testing.T, reply []byte) {
		info, err := readInfo(bytes.NewReader(reply))
		if err == nil && (info.Length < 0 || info.EntriesAdded >= 0 && info.EntriesAdded < info.Length) {
			t.Errorf("%+v", info)
		}
	})
}
