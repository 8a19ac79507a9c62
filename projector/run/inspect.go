package run

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect"
	"github.com/refold-dev/refold/projector/readmodel/redishash"
	"github.com/refold-dev/refold/projector/redisconn"
	"github.com/refold-dev/refold/projector/stream"
)

// checkInspect refuses addresses that others could reach: the inspect API knows
// no users. Who may port-forward to the pod may ask.
func checkInspect(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--inspect: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("--inspect: %q is not on the loopback; the API authenticates nobody: use 127.0.0.1:%s or [::1]:%s", address, port, port)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("--inspect: %q is no port", port)
	}
	return nil
}

// site is one address and what is answered there.
type site struct {
	listener net.Listener
	server   *http.Server
}

func listen(ctx context.Context, address string, h http.Handler, log *slog.Logger) (site, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return site{}, err
	}
	errors := slog.NewLogLogger(log.Handler(), slog.LevelDebug) // clients that are gone, and such
	return site{listener, &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, ErrorLog: errors}}, nil
}

// inspector answers people's questions. It has a client of the read model's server
// of its own, so that nobody waits for a connection because of it.
func (w *worker) inspector(env surroundings, status func() contract.Partition) (h http.Handler, release func(), err error) {
	d := &w.document
	target := d.ReadModel.RedisHash
	client, err := redisconn.New(redisconn.ReadModel, target.Redis)
	if err != nil {
		return nil, nil, invalid(err)
	}
	store := redishash.New(client, w.schema, target.KeyPrefix, target.Cutover)
	h = inspect.New(inspect.Options{
		Document:    *d,
		Digest:      w.digest,
		Build:       Version,
		Schema:      w.schema,
		Reducer:     w.newReducer,
		Browser:     store,
		Reader:      func(s contract.Source) *stream.Reader { return w.readerOf(s, d.Revision) },
		Status:      status,
		Probe:       w,
		Log:         env.log,
		MemoryBytes: env.memory,
	})
	return h, func() { _ = store.Close() }, nil
}
