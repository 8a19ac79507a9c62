package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	jobAttempts = 5
	jobPause    = time.Second
)

const (
	// resultBytes is Kubernetes' bound of a termination message.
	resultBytes = 4096
	// messageBytes is the bound of one text in it.
	messageBytes = 1024
)

// job is a command that ends. step fills the result in, and may be taken again
// at any time.
type job struct {
	doing string
	// touches says that of a job that was left nobody knows what it has touched.
	touches bool
	step    func(ctx context.Context, w *worker, o options, log *slog.Logger, r *contract.Result) error
}

// jobs are the commands beside run.
var jobs = map[string]job{
	"verify":  {"Comparing", false, verify},
	"cutover": {"Publishing", true, cutover},
	"drop":    {"Dropping", false, drop},
}

// run does the job, writes its result and returns the exit code.
func (j job) run(ctx context.Context, o options, log *slog.Logger) int {
	result := contract.Result{Version: contract.Version}
	w, err := newWorker(o.contract)
	if err == nil {
		log.Info(j.doing, "projection", w.document.Projection, "revision", w.document.Revision, "build", Version)
		result, err = j.orLeave(ctx, w, o, log)
	}
	result.Done = err == nil
	if err != nil {
		failedResult(ctx, &result, err)
	}
	log.Info(j.doing+" is over", "done", result.Done, "message", result.Message)
	if err := writeResult(o.terminationLog, result); err != nil {
		log.Error("Could not write the result", "error", err.Error())
		return exitFailed
	}
	if !result.Done {
		return exitFailed
	}
	return exitDone
}

// jobGrace is how long a job that is stopped may take to put things right.
const jobGrace = 2 * time.Second

// orLeave does the job. When it is stopped and a server does not answer, it is
// left as if it had been killed, for the process ends: it may be run again.
func (j job) orLeave(ctx context.Context, w *worker, o options, log *slog.Logger) (contract.Result, error) {
	type outcome struct {
		result contract.Result
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		defer w.close()
		result := contract.Result{Version: contract.Version}
		err := j.step(ctx, w, o, log, &result)
		done <- outcome{result, err}
	}()
	late, cancel := graceful(ctx)
	defer cancel()
	select {
	case end := <-done:
		return end.result, end.err
	case <-late.Done():
		left := contract.Result{Version: contract.Version}
		if j.touches {
			left.Cutover = &contract.Cutover{To: w.document.Revision}
		}
		return left, ctx.Err()
	}
}

// graceful ends jobGrace after parent does.
func graceful(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	context.AfterFunc(parent, func() { time.AfterFunc(jobGrace, cancel) })
	return ctx, cancel
}

// patiently tries a transient fault again.
func patiently(ctx context.Context, log *slog.Logger, step func() error) error {
	for attempt := 1; ; attempt++ {
		err := step()
		f := fault.As(err)
		if err == nil || attempt == jobAttempts || ctx.Err() != nil || f != nil && f.Permanent {
			return err
		}
		log.Warn("Trying again", "error", err.Error())
		select {
		case <-time.After(jobPause):
		case <-ctx.Done():
			return err
		}
	}
}

// failedResult leaves r.Cutover: without it the operator takes it that nothing
// was touched.
func failedResult(ctx context.Context, r *contract.Result, err error) {
	r.Diff = nil
	f := fault.As(err)
	switch {
	case ctx.Err() != nil:
		r.Message = "it was stopped before it was done, and may be run again"
	case f != nil:
		r.Message, r.Problem = f.Message, problem(f)
	default:
		r.Message = err.Error()
	}
}

// writeResult writes what fits of a result.
func writeResult(path string, r contract.Result) error {
	data, err := fitting(r)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

var errTooLong = errors.New("the result does not fit")

// fitting encodes a result in less than resultBytes. Of one that is too long the
// sample goes, from its end, then the fields that differ, then the texts' ends.
func fitting(r contract.Result) ([]byte, error) {
	texts := messageBytes
	for {
		shorten(&r, texts)
		data, err := encode(r)
		switch {
		case err != nil || len(data) < resultBytes:
			return data, err
		case r.Diff != nil && len(r.Diff.Sample) > 0:
			diff := *r.Diff
			diff.Sample = diff.Sample[:len(diff.Sample)-1]
			r.Diff = &diff
		case r.Diff != nil && r.Diff.ChangedFields != nil:
			diff := *r.Diff
			diff.ChangedFields = nil
			r.Diff = &diff
		case texts > 1:
			texts /= 2
		default:
			return nil, errTooLong
		}
	}
}

func shorten(r *contract.Result, most int) {
	r.Message = clip(r.Message, most)
	if r.Problem != nil {
		p := *r.Problem
		p.Message, p.Remedy = clip(p.Message, most), clip(p.Remedy, most)
		r.Problem = &p
	}
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	s = strings.TrimSuffix(s, "…")
	return strings.ToValidUTF8(s[:min(len(s), most-1)], "") + "…"
}

func encode(r contract.Result) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // nobody shows it as HTML as it is, and it is six times as long
	err := encoder.Encode(r)
	return out.Bytes(), err
}
