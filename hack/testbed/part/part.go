// Package part keeps one part of the testbed running: it starts it, waits until it is healthy, and starts it anew when it is
// not. What the parts are and what healthy means is said by those who make them.
package part

import (
	"context"
	"fmt"
	"time"

	"github.com/refold-dev/refold/hack/testbed/proc"
)

// Part is a process and how to know that it does its work.
type Part struct {
	Spec  proc.Spec
	URL   string                          // where it answers, to show; may be empty
	Check func(ctx context.Context) error // nil when healthy; called until then, so it must not take long
	Grace time.Duration                   // how long it may take to end when asked to; 0 kills it
}

// State is what was seen of a part.
type State struct {
	Part    Part
	PID     int   // 0 when it does not run
	Problem error // nil when it runs and is healthy
}

// checkLimit bounds one check, startLimit a whole start. A part that runs but fails its check gets patience before it is
// replaced, since a busy machine answers late.
const (
	checkLimit = 2 * time.Second
	startLimit = 90 * time.Second
	patience   = 5 * time.Second
)

// Look tells how a part is now.
func (p Part) Look(ctx context.Context, set proc.Set) State {
	record, alive := set.Find(p.Spec.Name)
	if !alive {
		return State{Part: p, Problem: fmt.Errorf("not running")}
	}
	return State{Part: p, PID: record.PID, Problem: p.check(ctx)}
}

// Ensure returns when the part is healthy. One that is healthy already is left alone.
func (p Part) Ensure(ctx context.Context, set proc.Set) error {
	if _, alive := set.Find(p.Spec.Name); alive && p.await(ctx, set, patience) == nil {
		return nil
	}
	set.Stop(p.Spec.Name, p.Grace)
	if _, err := set.Start(p.Spec); err != nil {
		return err
	}
	if err := p.await(ctx, set, startLimit); err != nil {
		return fmt.Errorf("%w; the end of %s:\n%s", err, set.LogFile(p.Spec.Name), set.LogTail(p.Spec.Name, 15))
	}
	return nil
}

// await returns nil as soon as the part is healthy, and an error when it has ended or the limit is over.
func (p Part) await(ctx context.Context, set proc.Set, limit time.Duration) error {
	return Await(ctx, limit, func(ctx context.Context) (bool, error) {
		if _, alive := set.Find(p.Spec.Name); !alive {
			return false, fmt.Errorf("%s ended", p.Spec.Name)
		}
		return true, p.check(ctx)
	})
}

func (p Part) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	return p.Check(ctx)
}

// Await calls try until it returns no error, it says that trying again is useless, or the limit is over.
func Await(ctx context.Context, limit time.Duration, try func(context.Context) (again bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		again, err := try(ctx)
		if err == nil || !again {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not after %s: %w", limit, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
