package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/refold-dev/refold/hack/chaos/history"
	"github.com/refold-dev/refold/projector/contract"
)

// do does one fault and takes it back. One projector is there afterwards.
func (w *world) do(ctx context.Context, s step) error {
	if err := w.flood(ctx, s); err != nil {
		return err
	}
	if err := pause(ctx, s.after); err != nil {
		return err
	}
	faults := map[fault]func(context.Context, step) error{
		killProjector: w.killProjector,
		failpoint:     w.dieAtFailpoint,
		killRedis:     w.killRedis,
		successor:     w.stopPastSuccessor,
		second:        w.secondAtOnce,
		cut:           w.spoilConnections,
		slow:          w.spoilConnections,
		trim:          w.trimBehind,
	}
	if err := faults[s.fault](ctx, s); err != nil {
		return fmt.Errorf("%s: %w", s.fault, err)
	}
	w.tally.count(s)
	if !s.judge {
		return nil
	}
	return w.judgeSome(ctx, s.share)
}

// flood lets events come by the ten thousand and waits until the ledger has
// lanes apart, which may not be: the projector has its own times.
func (w *world) flood(ctx context.Context, s step) error {
	if s.flood == 0 {
		return nil
	}
	if s.floodSick.Type != "" {
		for _, of := range sides[s.floodSide] {
			if err := of(w).infect(s.floodSick); err != nil {
				return err
			}
		}
	}
	w.floods <- s.flood
	for deadline := time.Now().Add(mostApart); time.Now().Before(deadline); {
		if l, err := w.ledger(ctx); err == nil && len(l.lanes) > 0 {
			return nil
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// mostApart is how long is waited for lanes that are apart.
const mostApart = 3 * time.Second

// between counts a kill that fell while lanes were apart.
func (w *world) between(ctx context.Context, f fault) {
	if l, err := w.ledger(ctx); err == nil && len(l.lanes) > 0 {
		w.tally.between[f]++
	}
}

func (w *world) killProjector(ctx context.Context, s step) error {
	if err := w.current.kill(); err != nil {
		return err
	}
	w.between(ctx, s.fault)
	if s.floodSick.Type != "" {
		if err := w.heal(sides[s.floodSide]); err != nil {
			return err
		}
	}
	return w.replace(s.next)
}

// dieAtFailpoint starts a projector that ends itself at a step of the protocol.
func (w *world) dieAtFailpoint(ctx context.Context, s step) error {
	end := w.current.kill
	if s.gentle {
		end = w.current.stop
	}
	if err := end(); err != nil {
		return err
	}
	doomed := s.next
	doomed.failpoint = fmt.Sprintf("%s:after-%d", s.where, s.nth)
	if s.where == "claimed" {
		doomed.failpoint = s.where + ":after-1" // it claims once
	}
	if err := w.replace(doomed); err != nil {
		return err
	}
	select {
	case <-w.current.ended:
	case <-time.After(patience):
		return fmt.Errorf("the failpoint %s was not reached: %s", doomed.failpoint, w.current.log)
	case <-ctx.Done():
		return ctx.Err()
	}
	if status, ok := w.current.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		return fmt.Errorf("it ended otherwise than at the failpoint %s: %s: %s", doomed.failpoint, w.current.cmd.ProcessState, w.current.log)
	}
	w.between(ctx, s.fault)
	return w.replace(s.next)
}

func (w *world) killRedis(ctx context.Context, s step) error {
	w.between(ctx, s.fault)
	w.server.Kill()
	if err := pause(ctx, s.lasts); err != nil {
		return err
	}
	return w.server.Relaunch()
}

// stopPastSuccessor freezes the projector, lets another claim, and thaws it:
// it must notice that its place is taken, and write nothing.
func (w *world) stopPastSuccessor(ctx context.Context, s step) error {
	old := w.current
	if err := old.await(ctx, "claimed", claimed); err != nil {
		return err
	}
	old.signal(syscall.SIGSTOP)
	defer old.signal(syscall.SIGCONT)
	w.between(ctx, s.fault)
	if err := w.replace(s.next); err != nil {
		return err
	}
	if err := w.current.await(ctx, "claimed", claimed); err != nil {
		return err
	}
	holder, err := w.ledger(ctx)
	if err != nil {
		return err
	}
	if err := pause(ctx, s.lasts); err != nil {
		return err
	}
	old.signal(syscall.SIGCONT)
	if err := old.await(ctx, "fenced", fenced); err != nil {
		return err
	}
	return errors.Join(w.sameHolder(ctx, holder), w.countRejected(ctx, old), old.kill())
}

func claimed(s contract.Partition) bool { return s.Claimed }
func fenced(s contract.Partition) bool  { return s.State == contract.StateFenced }

// sameHolder wants that nobody has claimed since, but the same process.
func (w *world) sameHolder(ctx context.Context, was ledger) error {
	is, err := w.ledger(ctx)
	if err == nil && is.holder != was.holder {
		err = fmt.Errorf("I4: %s claimed what %s had taken from it", is.holder, was.holder)
	}
	return err
}

// countRejected adds the commits that a fenced projector was refused: one, or
// none where it learnt of its successor otherwise.
func (w *world) countRejected(ctx context.Context, p *projector) error {
	s, err := p.status(ctx)
	if err != nil {
		return err
	}
	if s.Rejected > 1 || s.Problem == nil || s.Problem.Reason != contract.ReasonFenced {
		return fmt.Errorf("a fenced projector shows %d refused commits and the problem %+v: %s", s.Rejected, s.Problem, p.log)
	}
	w.tally.rejected += s.Rejected
	return nil
}

// secondAtOnce starts another while the projector runs; whichever is fenced
// is ended.
func (w *world) secondAtOnce(ctx context.Context, s step) error {
	one := w.current
	w.between(ctx, s.fault)
	if err := w.replace(s.next); err != nil {
		return err
	}
	two := w.current
	var loser *projector
	err := await(ctx, func() (bool, error) {
		loser = nil
		for _, p := range []*projector{one, two} {
			if is, err := p.status(ctx); err == nil && fenced(is) {
				loser = p
			} else if err := p.gone(); err != nil {
				return false, err
			}
		}
		return loser != nil, nil
	}, func() string { return "of two projectors at once none is fenced: " + one.log + " " + two.log })
	if err != nil {
		return err
	}
	if loser == two {
		w.current = one
	}
	return errors.Join(w.countRejected(ctx, loser), loser.kill())
}

// spoilConnections cuts what there is, or makes it sick for a while and then
// cuts it.
func (w *world) spoilConnections(ctx context.Context, s step) error {
	side := sides[s.side]
	if s.sick.Type != "" {
		for _, of := range side {
			if err := of(w).infect(s.sick); err != nil {
				return err
			}
		}
		if err := pause(ctx, s.lasts); err != nil {
			return err
		}
	}
	if s.fault == cut {
		w.between(ctx, s.fault)
	}
	return w.heal(side)
}

// trimBehind takes entries away that are folded. None of them is needed.
func (w *world) trimBehind(ctx context.Context, s step) error {
	l, err := w.ledger(ctx)
	if errors.Is(err, errUnclaimed) {
		return nil
	}
	if err != nil {
		return err
	}
	upTo := w.model.Before(l.id, s.share)
	if upTo == (history.ID{}) {
		return nil
	}
	if s.gentle {
		return w.client.XDel(ctx, history.Stream, upTo.String(), l.id.String()).Err()
	}
	return w.client.Do(ctx, "xtrim", history.Stream, "minid", "=", upTo.String()).Err()
}
