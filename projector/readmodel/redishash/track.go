package redishash

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/redisconn"
)

const (
	invalidations = "__redis__:invalidate"
	keepAlive     = time.Second // well within what the connection waits for a reply
)

// tracker knows which entities change, by Redis' client tracking in its
// broadcasting mode. RESP2 has no pushes: they come by the pub/sub channel of
// another connection. See https://redis.io/docs/latest/develop/reference/client-side-caching/
type tracker struct {
	wire      *redisconn.Wire
	locations []string
	done      chan struct{} // closed when nothing is read any more

	mu      sync.Mutex
	touched [readmodel.Lanes]map[string]struct{}
	all     bool // everything may have changed
	err     error
	pinged  int
	pongs   map[string]chan struct{}
}

// track begins on w: what is changed from now on is known. It is nil where the
// server, or the user's rights, refuse tracking. stop ends it, before w is closed.
func (s *Store) track(ctx context.Context, w *redisconn.Wire, locations []string) (t *tracker, stop func(), err error) {
	listener, err := redisconn.OpenWire(ctx, s.client)
	if err != nil {
		return nil, nil, redisFault(err)
	}
	t = &tracker{wire: listener, locations: locations, done: make(chan struct{}), pongs: map[string]chan struct{}{}}
	release := listener.During(ctx)
	accepted, err := t.subscribe(w)
	if err != nil || !accepted {
		release()
		listener.Close()
		return nil, func() {}, err
	}
	beating := make(chan struct{})
	go t.read()
	go t.beat(beating)
	return t, func() {
		listener.Close()
		<-t.done
		<-beating
		release()
	}, nil
}

// subscribe is false where it is refused.
func (t *tracker) subscribe(w *redisconn.Wire) (accepted bool, err error) {
	replies, err := ask(t.wire, []string{"CLIENT", "ID"}, []string{"SUBSCRIBE", invalidations})
	if err != nil {
		return false, redisFault(err)
	}
	if refused := replies[0].err != nil || replies[1].err != nil; refused {
		return false, nil
	}
	words := []string{"CLIENT", "TRACKING", "ON", "REDIRECT", strconv.FormatInt(replies[0].number, 10), "BCAST"}
	for _, prefix := range apart(t.locations) {
		words = append(words, "PREFIX", prefix)
	}
	replies, err = ask(w, words)
	if err != nil {
		return false, redisFault(err)
	}
	return replies[0].err == nil, nil
}

// apart leaves out prefixes of which another is a prefix: the server refuses
// those. All keys need none.
func apart(prefixes []string) (left []string) {
	if slices.Contains(prefixes, "") {
		return nil
	}
	for i, prefix := range prefixes {
		covered := slices.Contains(prefixes[:i], prefix)
		for _, other := range prefixes {
			covered = covered || other != prefix && strings.HasPrefix(prefix, other)
		}
		if !covered {
			left = append(left, prefix)
		}
	}
	return left
}

// read takes what comes until the connection ends.
func (t *tracker) read() {
	defer close(t.done)
	for {
		values, err := readValues(t.wire, 1)
		if err == nil {
			t.took(values[0].list)
			continue
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.err = err
		for _, pong := range t.pongs {
			close(pong)
		}
		t.pongs = nil
		return
	}
}

func (t *tracker) took(message []value) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case len(message) == 2 && message[0].text == "pong":
		if pong := t.pongs[message[1].text]; pong != nil {
			close(pong)
			delete(t.pongs, message[1].text)
		}
	case len(message) == 3 && message[0].text == "message":
		t.all = t.all || len(message[2].list) == 0 // the server was emptied
		for _, key := range message[2].list {
			t.touch(key.text)
		}
	}
}

// touch notes the entity that a key may be of either revision.
func (t *tracker) touch(name string) {
	for i, location := range t.locations {
		key, is := strings.CutPrefix(name, location)
		if !is || i > 0 && location == t.locations[0] {
			continue
		}
		lane := readmodel.LaneOf(key)
		if t.touched[lane] == nil {
			t.touched[lane] = map[string]struct{}{}
		}
		t.touched[lane][key] = struct{}{}
	}
}

// beat keeps the connection alive: it is read for as long as it lasts.
func (t *tracker) beat(ended chan<- struct{}) {
	defer close(ended)
	for ticker := time.NewTicker(keepAlive); ; {
		select {
		case <-t.done:
			ticker.Stop()
			return
		case <-ticker.C:
			_ = t.wire.SendAhead(redisconn.AppendCommand(nil, "PING", ""))
		}
	}
}

// settle waits until all is known that was changed before: what a server
// announces it has queued before it answers whoever changed it.
func (t *tracker) settle(ctx context.Context) error {
	pong := make(chan struct{})
	t.mu.Lock()
	t.pinged++
	name, err := strconv.Itoa(t.pinged), t.err
	if err == nil {
		t.pongs[name] = pong
	}
	t.mu.Unlock()
	if err != nil {
		return redisFault(err)
	}
	if err := t.wire.SendAhead(redisconn.AppendCommand(nil, "PING", name)); err != nil {
		return redisFault(err)
	}
	select {
	case <-pong:
	case <-ctx.Done():
		return ctx.Err()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.err != nil:
		return redisFault(t.err)
	case t.all:
		return errVoid
	}
	return nil
}

// forget is for a lane that is read from now on.
func (t *tracker) forget(lane int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.touched[lane] = nil
}

// take returns the touched keys of the lanes below, and forgets them.
func (t *tracker) take(below int) (keys []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for lane := range below {
		for key := range t.touched[lane] {
			keys = append(keys, key)
		}
		t.touched[lane] = nil
	}
	return keys
}
