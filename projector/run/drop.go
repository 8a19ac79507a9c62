package run

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

// A finite job tries a transient fault again a few times, and then says so: the
// Job's own retries, and the operator, go on from there.
const (
	dropAttempts = 5
	dropPause    = time.Second
)

// messageBytes keeps a termination message under Kubernetes' 4 KiB.
const messageBytes = 1024

// drop removes the read model, unless it is kept, and the consumer group.
func drop(ctx context.Context, o options, log *slog.Logger) int {
	w, err := newWorker(o.contract)
	defer w.close()
	if err == nil {
		err = patiently(ctx, log, func() error { return w.store.Drop(ctx, w.document.Projection, o.keep) })
	}
	if err == nil {
		err = patiently(ctx, log, func() error { return w.newReader().DropGroup(ctx) })
	}
	result := dropResult(o.keep, err)
	log.Info("Dropping is over", "done", result.Done, "message", result.Message)
	if err := writeResult(o.terminationLog, result); err != nil {
		log.Error("Could not write the result", "error", err.Error())
		return exitFailed
	}
	if !result.Done {
		return exitFailed
	}
	return exitDone
}

// patiently tries a transient fault again.
func patiently(ctx context.Context, log *slog.Logger, step func() error) error {
	for attempt := 1; ; attempt++ {
		err := step()
		f := fault.As(err)
		if err == nil || attempt == dropAttempts || ctx.Err() != nil || f != nil && f.Permanent {
			return err
		}
		log.Warn("Trying again", "error", err.Error())
		select {
		case <-time.After(dropPause):
		case <-ctx.Done():
			return err
		}
	}
}

func dropResult(keep bool, err error) contract.Result {
	r := contract.Result{Version: contract.Version, Done: err == nil}
	f := fault.As(err)
	switch {
	case err == nil && keep:
		r.Message = "the consumer group is gone; the read model stays, with its ledger"
	case err == nil:
		r.Message = "the read model, its ledger and the consumer group are gone"
	case f != nil:
		r.Message, r.Problem = clip(f.Message), problem(f)
		r.Problem.Message, r.Problem.Remedy = clip(f.Message), clip(f.Remedy)
	default:
		r.Message = clip(err.Error())
	}
	return r
}

func clip(s string) string {
	if len(s) <= messageBytes {
		return s
	}
	return strings.ToValidUTF8(s[:messageBytes], "") + "…"
}

func writeResult(path string, r contract.Result) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
