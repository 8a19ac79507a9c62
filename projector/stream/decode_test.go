package stream

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/redisconn"
)

// scripted is a connection on which the server's bytes are given, chunk by chunk.
type scripted struct {
	net.Conn
	reply io.Reader
	chunk int
}

func (s *scripted) Read(p []byte) (int, error)       { return s.reply.Read(p[:min(len(p), s.chunk)]) }
func (s *scripted) Write(p []byte) (int, error)      { return len(p), nil }
func (s *scripted) Close() error                     { return nil }
func (s *scripted) SetDeadline(time.Time) error      { return nil }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }

// decode reads an XREAD reply of at most count entries of the stream s.
func decode(reply []byte, chunk, count int) (*Batch, error) {
	return decodeBound(reply, chunk, count, 0)
}

// decodeBound is decode where an entry has at most so many bytes.
func decodeBound(reply []byte, chunk, count, most int) (*Batch, error) {
	b := NewReader(nil, testSource, "g").newBatch(projector.ID{})
	b.most = most
	w := &wire{cn: &scripted{reply: bytes.NewReader(reply), chunk: chunk}}
	return b, w.entries(b, "s", count, math.MaxInt)
}

// flat is events in a shape that compares.
func flat(events []projector.Event) [][]string {
	var all [][]string
	for _, e := range events {
		one := []string{e.ID.String()}
		for _, f := range e.Fields {
			one = append(one, string(f.Name), string(f.Value))
		}
		all = append(all, one)
	}
	return all
}

const (
	entry1  = "*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\na\r\n$2\r\nbb\r\n"
	entry2  = "*2\r\n$3\r\n1-7\r\n*4\r\n$0\r\n\r\n$0\r\n\r\n$1\r\n\n\r\n$4\r\n\r\n*1\r\n"
	opening = "*1\r\n*2\r\n$1\r\ns\r\n"
)

func TestRepliesDecode(t *testing.T) {
	both := [][]string{{"1-0", "a", "bb"}, {"1-7", "", "", "\n", "\r\n*1"}}
	cases := map[string]struct {
		reply string
		want  [][]string
	}{
		"RESP2":                {opening + "*2\r\n" + entry1 + entry2, both},
		"RESP3":                {"%1\r\n$1\r\ns\r\n*2\r\n" + entry1 + entry2, both},
		"a null array":         {"*-1\r\n", nil},
		"a null string":        {"$-1\r\n", nil},
		"a RESP3 null":         {"_\r\n", nil},
		"no entries":           {opening + "*0\r\n", nil},
		"the largest ID":       {opening + "*1\r\n*2\r\n$41\r\n18446744073709551615-18446744073709551615\r\n*0\r\n", [][]string{{"18446744073709551615-18446744073709551615"}}},
		"an entry of no field": {opening + "*1\r\n*2\r\n$3\r\n1-0\r\n*0\r\n", [][]string{{"1-0"}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for _, chunk := range []int{1, 2, 3, 7, 1 << 20} {
				b, err := decode([]byte(c.reply), chunk, 10)
				if err != nil {
					t.Fatalf("in chunks of %d: %v", chunk, err)
				}
				if diff := cmp.Diff(c.want, flat(b.Events)); diff != "" || b.Bytes != len(c.reply) {
					t.Errorf("in chunks of %d, %d bytes: %s", chunk, b.Bytes, diff)
				}
			}
		})
	}
}

func TestWrongRepliesAreNotDelivered(t *testing.T) {
	cases := map[string]string{
		"a doubled ID":                "*2\r\n" + entry1 + entry1,
		"an ID that goes back":        "*2\r\n" + entry2 + entry1,
		"the zero ID":                 "*1\r\n*2\r\n$3\r\n0-0\r\n*0\r\n",
		"an ID without sequence":      "*1\r\n*2\r\n$1\r\n1\r\n*0\r\n",
		"an ID without milliseconds":  "*1\r\n*2\r\n$2\r\n-1\r\n*0\r\n",
		"an ID with an empty end":     "*1\r\n*2\r\n$2\r\n1-\r\n*0\r\n",
		"an ID that overflows":        "*1\r\n*2\r\n$22\r\n18446744073709551616-0\r\n*0\r\n",
		"an ID with letters":          "*1\r\n*2\r\n$3\r\n1-x\r\n*0\r\n",
		"a field without value":       "*1\r\n*2\r\n$3\r\n1-0\r\n*1\r\n$1\r\na\r\n",
		"a null entry":                "*1\r\n*-1\r\n",
		"null fields":                 "*1\r\n*2\r\n$3\r\n1-0\r\n*-1\r\n",
		"a null value":                "*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\na\r\n$-1\r\n",
		"an integer value":            "*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\na\r\n:1\r\n",
		"an entry of three":           "*1\r\n*3\r\n$3\r\n1-0\r\n*0\r\n*0\r\n",
		"more than was asked for":     "*11\r\n",
		"a length that is no number":  "*x\r\n",
		"a negative length":           "*1\r\n*2\r\n$-5\r\n",
		"an ID of no end":             "*1\r\n*2\r\n$4000000000\r\n1",
		"a length beyond all bounds":  "*1\r\n*2\r\n$99999999999\r\n",
		"a length of too many digits": "*1\r\n*2\r\n$99999999999999999999999999\r\n",
		"a string cut short":          "*1\r\n*2\r\n$2\r\n1-0\r\n*0\r\n",
		"a line without end":          "*1" + strings.Repeat("1", 1<<17),
	}
	for name, entries := range cases {
		t.Run(name, func(t *testing.T) {
			for _, chunk := range []int{1, 1 << 20} {
				if b, err := decode([]byte(opening+entries), chunk, 10); !errors.Is(err, errCorrupt) {
					t.Errorf("%v, %v", flat(b.Events), err)
				}
			}
		})
	}
	for name, reply := range map[string]string{
		"another stream": "*1\r\n*2\r\n$1\r\nx\r\n*0\r\n", "two streams": "*2\r\n", "a number": ":1\r\n", "a status": "+OK\r\n",
		"an empty line": "\r\n*1\r\n", "HTTP": "HTTP/1.1 400 Bad Request\r\n", "a triple": "*1\r\n*3\r\n",
	} {
		if _, err := decode([]byte(reply), 1<<20, 10); !errors.Is(err, errCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestACutReplyIsALostConnection(t *testing.T) {
	whole := opening + "*2\r\n" + entry1 + entry2
	for cut := range len(whole) {
		if _, err := decode([]byte(whole[:cut]), 5, 10); !errors.Is(err, io.EOF) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
}

func TestAnErrorReplyIsTheServers(t *testing.T) {
	_, err := decode([]byte("-LOADING Redis is loading\r\n"), 3, 10)
	if !redis.HasErrorPrefix(err, "LOADING") {
		t.Error(err)
	}
}

func TestACountInAReplyAllocatesNothing(t *testing.T) {
	reply := []byte(opening + "*1\r\n*2\r\n$3\r\n1-0\r\n*4000000000\r\n$1\r\na\r\n")
	if b, err := decode(reply, 100, 10); !errors.Is(err, io.EOF) || cap(b.fields) > 64 {
		t.Errorf("%d fields, %v", cap(b.fields), err)
	}
}

func TestDecodingAllocatesNothingPerEvent(t *testing.T) {
	reply := benchReply(1000, 20)
	r := NewReader(nil, testSource, "g")
	source := bytes.NewReader(nil)
	w := &wire{cn: &scripted{reply: source, chunk: 1 << 20}}
	got := testing.AllocsPerRun(100, func() {
		source.Reset(reply)
		b := r.newBatch(projector.ID{})
		if err := w.entries(b, "s", 1000, math.MaxInt); err != nil || len(b.Events) != 1000 {
			t.Fatal(len(b.Events), err)
		}
		b.Release()
	})
	if got > 1 { // the batch itself
		t.Errorf("%v allocations for 1000 events", got)
	}
}

func TestInfoReadsBothProtocols(t *testing.T) {
	members := "$6\r\nlength\r\n:2\r\n$15\r\nradix-tree-keys\r\n:1\r\n$17\r\nlast-generated-id\r\n$3\r\n9-1\r\n" +
		"$20\r\nmax-deleted-entry-id\r\n$3\r\n2-0\r\n$13\r\nentries-added\r\n:5\r\n$23\r\nrecorded-first-entry-id\r\n$3\r\n3-0\r\n$6\r\ngroups\r\n:0\r\n" +
		"$11\r\nfirst-entry\r\n" + strings.Replace(entry1, "1-0", "3-0", 1) + "$10\r\nlast-entry\r\n" + strings.Replace(entry1, "1-0", "4-0", 1)
	want := Info{Exists: true, Length: 2, EntriesAdded: 5, LastID: projector.ID{Ms: 9, Seq: 1}, FirstID: projector.ID{Ms: 3},
		LastEntryID: projector.ID{Ms: 4}, MaxDeletedID: projector.ID{Ms: 2}, Entries: -1}
	for head, reply := range map[string]string{"*18\r\n": members, "%9\r\n": members} {
		got, err := readInfo(strings.NewReader(head + reply))
		if err != nil || got != want {
			t.Errorf("%q: %+v %v", head, got, err)
		}
	}
}

func TestInfoOfOldServersHasNoCounters(t *testing.T) {
	old := "*10\r\n$6\r\nlength\r\n:0\r\n$17\r\nlast-generated-id\r\n$3\r\n9-1\r\n$11\r\nfirst-entry\r\n*-1\r\n$10\r\nlast-entry\r\n$-1\r\n$7\r\nunknown\r\n:-7\r\n"
	got, err := readInfo(strings.NewReader(old))
	if want := (Info{Exists: true, EntriesAdded: -1, LastID: projector.ID{Ms: 9, Seq: 1}, Entries: -1}); err != nil || got != want {
		t.Errorf("%+v %v", got, err)
	}
}

func TestInfoThatCannotBeRightIsAnError(t *testing.T) {
	for _, reply := range []string{"+OK\r\n", "*3\r\n", ":1\r\n", "*2\r\n$6\r\nlength\r\n$1\r\nx\r\n", "*2\r\n:1\r\n:1\r\n",
		"*2\r\n$17\r\nlast-generated-id\r\n$1\r\nx\r\n", "*2\r\n$900\r\n", "*2\r\n$11\r\nfirst-entry\r\n*3\r\n", "\r\n", "_\r\n",
		"*2\r\n$1\r\nx\r\n" + strings.Repeat("*1\r\n", 20), "*99999999999999999999999\r\n"} {
		if got, err := readInfo(strings.NewReader(reply)); !errors.Is(err, errCorrupt) {
			t.Errorf("%q: %+v %v", reply, got, err)
		}
	}
	if _, err := readInfo(strings.NewReader("*2\r\n$6\r\nlen")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if _, err := readInfo(strings.NewReader("-NOPERM x\r\n")); !errors.Is(err, redisconn.ServerError("NOPERM x")) {
		t.Error(err)
	}
}
