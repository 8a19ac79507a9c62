package stream

import "context"

// ahead is a batch that is being fetched before it is asked for.
type ahead struct {
	claim  claim
	cancel context.CancelFunc
	done   chan fetched
}

type fetched struct {
	batch *Batch
	err   error
}

// fetchAhead lets the server and the network work while the batch before is
// folded. It ends with the request, or with discard; it has the wire meanwhile.
func (r *Reader) fetchAhead(ctx context.Context, c claim, limit Limit) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a := &ahead{claim: c, cancel: cancel, done: make(chan fetched, 1)}
	r.next = a
	go func() {
		b, err := r.fetch(ctx, c, limit, 0)
		a.done <- fetched{b, err}
	}()
}

// take waits for what was fetched ahead; nil when nothing was, or something else
// than what is asked for.
func (r *Reader) take(ctx context.Context, c claim) (*Batch, error) {
	if r.next == nil {
		return nil, nil
	}
	if r.next.claim != c {
		r.discard()
		return nil, nil
	}
	select {
	case got := <-r.next.done:
		r.next.cancel()
		r.next = nil
		return got.batch, got.err
	case <-ctx.Done():
		r.discard()
		return nil, ctx.Err()
	}
}

// discard calls off what is being fetched ahead, and the wire with it: there may
// be half a reply on it.
func (r *Reader) discard() {
	if r.next == nil {
		return
	}
	r.next.cancel()
	if got := <-r.next.done; got.batch != nil {
		got.batch.Release()
	}
	r.next = nil
	r.hangUp()
}
