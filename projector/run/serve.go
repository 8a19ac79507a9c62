package run

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/inspect"
)

// surroundings are what the whole process shares.
type surroundings struct {
	log     *slog.Logger
	metrics *prometheus.Registry
	memory  int64 // bytes that the process may take, 0 for no bound
}

// folder is what the HTTP server shows.
type folder interface {
	Run(ctx context.Context) error
	Status() contract.Partition
	Ready() bool
	Alive() bool
}

// serve folds and answers until ctx ends.
func serve(ctx context.Context, registry projector.Registry, o options, log *slog.Logger) int {
	env := surroundings{log: log, metrics: prometheus.NewRegistry(), memory: boundMemory(log)}
	env.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	w, err := newWorker(o.contract)
	defer w.close()
	if err == nil {
		err = checkMemory(env.memory, o.cacheMiB<<20)
	}
	if err == nil {
		err = w.compile(registry)
	}
	f, ask, release := w.parts(o, env, err)
	defer release()
	sites, err := listenAll(ctx, o, log, handler(w, f, env), ask)
	if err != nil {
		log.Error("Could not listen", "error", err.Error())
		return exitFailed
	}
	log.Info("Starting", "projection", w.document.Projection, "revision", w.document.Revision, "build", Version, "address", sites[0].listener.Addr().String())
	return fold(ctx, f, sites, log)
}

// parts are what folds and what answers questions; where the contract cannot be
// followed, what says so.
func (w *worker) parts(o options, env surroundings, err error) (f folder, ask http.Handler, release func()) {
	if err == nil {
		f = w.engine(o, env)
		ask, release, err = w.inspector(env, f.Status)
	}
	if err != nil {
		env.log.Error("Waiting for another contract", "error", err.Error())
		return newRefused(w, err), inspect.Refused(err, env.log), func() {}
	}
	return f, ask, release
}

// listenAll listens for who watches, and where it is wanted for who asks. Where
// nobody can be answered, it is folded all the same.
func listenAll(ctx context.Context, o options, log *slog.Logger, watch, ask http.Handler) ([]site, error) {
	watched, err := listen(ctx, o.listen, watch, log)
	if err != nil {
		return nil, err
	}
	if o.inspect == "" {
		return []site{watched}, nil
	}
	asked, err := listen(ctx, o.inspect, ask, log)
	if err != nil {
		log.Error("Not serving the inspect API: give --inspect, or REFOLD_INSPECT, an address that is free", "error", err.Error())
		return []site{watched}, nil
	}
	return []site{watched, asked}, nil
}

// fold runs f, with the servers beside it until f is done.
func fold(ctx context.Context, f folder, sites []site, log *slog.Logger) int {
	served := make(chan error, len(sites))
	for _, s := range sites {
		go func() { served <- s.server.Serve(s.listener) }()
	}
	err := f.Run(ctx)
	for _, s := range sites {
		_ = s.server.Close()
	}
	for range sites {
		if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
			log.Error("Stopped answering", "error", serveErr.Error())
		}
	}
	if err != nil {
		log.Error("Stopped", "error", err.Error())
		return exitFailed
	}
	log.Info("Stopped", "position", f.Status().Position)
	return exitDone
}

func handler(w *worker, f folder, env surroundings) http.Handler {
	mux := http.NewServeMux()
	started := time.Now()
	mux.HandleFunc("GET "+contract.StatuszPath, func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(status(w, started, env.memory, f.Status()))
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(env.metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", probe(f.Alive, "the loop has not moved for two minutes"))
	mux.HandleFunc("GET /readyz", probe(f.Ready, "not folding; see "+contract.StatuszPath))
	return mux
}

// status is the whole of /statusz.
func status(w *worker, started time.Time, memory int64, p contract.Partition) contract.Status {
	return contract.Status{
		Version:          contract.Version,
		Projection:       w.document.Projection,
		Revision:         w.document.Revision,
		Contract:         w.digest,
		Build:            Version,
		StartedAt:        started.UTC().Format(time.RFC3339),
		MemoryLimitBytes: memory,
		Partitions:       []contract.Partition{p},
	}
}

func probe(holds func() bool, otherwise string) http.HandlerFunc {
	return func(out http.ResponseWriter, _ *http.Request) {
		if !holds() {
			http.Error(out, otherwise, http.StatusServiceUnavailable)
			return
		}
		_, _ = out.Write([]byte("ok\n"))
	}
}

// refused stands in for an engine when the contract can't be followed: it says
// so and waits to be replaced. A process that exits would say it to nobody.
type refused struct{ seen contract.Partition }

func newRefused(w *worker, err error) *refused {
	f := fault.As(err)
	return &refused{contract.Partition{
		Partition:  partition,
		Stream:     w.document.Source.Stream,
		State:      contract.StateHalted,
		Position:   projector.ID{}.String(),
		Entries:    -1,
		LagEvents:  -1,
		EtaSeconds: -1,
		History:    contract.HistoryUnknown,
		Problem:    problem(f),
	}}
}

func (r *refused) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (r *refused) Status() contract.Partition { return r.seen }
func (r *refused) Ready() bool                { return false }
func (r *refused) Alive() bool                { return true }

func problem(f *fault.Error) *contract.Problem {
	return &contract.Problem{
		Reason:    f.Reason,
		Message:   f.Message,
		Remedy:    f.Remedy,
		Permanent: f.Permanent,
		EventID:   f.EventID,
		Since:     time.Now().UTC().Format(time.RFC3339),
	}
}
