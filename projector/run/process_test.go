package run_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector/contract"
)

// binary is cmd/projector with failpoints.
var (
	binary     string
	buildFlags = []string{"-tags", "failpoints"}
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "projector")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "projector")
	build := exec.Command("go", slices.Concat([]string{"build", "-o", binary}, buildFlags, []string{"../../cmd/projector"})...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build cmd/projector: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// world is one server, one contract and the projectors of one test.
type world struct {
	t        *testing.T
	server   *redis.Server
	client   *goredis.Client
	contract contract.Document
}

const (
	streamName = "user_events"
	keyPrefix  = "user:"
	group      = "refold:shop/users:r1"
	position   = "refold:{shop/users}:r1:0"
)

func newWorld(t *testing.T, opts ...redis.Option) *world {
	t.Helper()
	t.Parallel()
	return newWorldOf(t, opts...)
}

// newWorldOf is newWorld for a test that has one already.
func newWorldOf(t *testing.T, opts ...redis.Option) *world {
	t.Helper()
	server := redis.Start(t, opts...)
	w := &world{t: t, server: server}
	w.client = goredis.NewClient(&goredis.Options{Addr: server.Addr(), Password: server.Password(), MaxRetries: 3})
	t.Cleanup(func() { _ = w.client.Close() })
	where := contract.Redis{URL: "redis://" + server.Addr()}
	w.contract = contract.Document{
		Projection: "shop/users",
		UID:        "0e8a",
		Revision:   "r1",
		Source:     contract.Source{Redis: where, Stream: streamName, From: "0", Format: contract.FormatFields, PayloadField: "payload", TypeField: "type"},
		Reducer: contract.Reducer{Type: "Rules", Key: "event.id", Rules: []contract.Rule{
			{On: []string{"Created"}, Set: map[string]string{"name": "event.name", "at": "time"}},
			{On: []string{"Renamed"}, Set: map[string]string{"name": "event.name"}},
			{On: []string{"Ordered"}, Add: map[string]string{"orders": "1", "cents": "int(event.cents)"}},
			{On: []string{"Left"}, Delete: true},
		}},
		ReadModel: contract.ReadModel{
			Fields: []contract.Field{
				{Name: "name", Type: contract.TypeString}, {Name: "at", Type: contract.TypeTimestamp},
				{Name: "orders", Type: contract.TypeInteger}, {Name: "cents", Type: contract.TypeInteger},
			},
			RedisHash: &contract.RedisHash{Redis: where, KeyPrefix: keyPrefix},
		},
		ErrorPolicy: contract.ErrorPolicy{OnError: contract.OnErrorHalt},
	}
	return w
}

// add appends an event: its type, then names and values.
func (w *world) add(typ string, fields ...any) string {
	w.t.Helper()
	id, err := w.client.XAdd(w.t.Context(), &goredis.XAddArgs{Stream: streamName, Values: append([]any{"type", typ}, fields...)}).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// burst appends n events for a few users, the same for the same seed.
func (w *world) burst(n, seed int) {
	w.t.Helper()
	pipe := w.client.Pipeline()
	for i := range n {
		id := fmt.Sprint((i*7919 + seed) % 97)
		values := []any{"type", "Ordered", "id", id, "cents", i}
		switch i % 10 {
		case 0:
			values = []any{"type", "Created", "id", id, "name", fmt.Sprintf("user %d", i)}
		case 3:
			values = []any{"type", "Renamed", "id", id, "name", fmt.Sprintf("renamed %d", i)}
		case 6:
			values = []any{"type", "Ignored", "id", id}
		case 9:
			values = []any{"type", "Left", "id", id}
		}
		pipe.XAdd(w.t.Context(), &goredis.XAddArgs{Stream: streamName, Values: values})
	}
	if _, err := pipe.Exec(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// process is one running projector.
type process struct {
	w    *world
	cmd  *exec.Cmd
	url  string
	log  bytes.Buffer
	done chan struct{}
}

// start runs the binary; extra are flags and, with a =, before the flags, the
// environment.
func (w *world) start(extra ...string) *process {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), contract.FileName)
	document, err := contract.Encode(w.contract)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, document, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return w.startWith(path, extra...)
}

func (w *world) startWith(contractFile string, extra ...string) *process {
	w.t.Helper()
	address := freeAddress(w.t)
	p := &process{w: w, url: "http://" + address, done: make(chan struct{})}
	args := []string{"run", "--contract", contractFile, "--listen", address, "--recheck", "500ms"}
	env := os.Environ()
	for _, word := range extra {
		if strings.HasPrefix(word, "--") {
			args = append(args, word)
		} else {
			env = append(env, word)
		}
	}
	p.cmd = exec.Command(binary, args...)
	p.cmd.Env, p.cmd.Stderr = env, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	w.t.Cleanup(p.end)
	return p
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

func (p *process) end() {
	p.signal(syscall.SIGKILL)
	<-p.done
	if p.w.t.Failed() {
		p.w.t.Logf("the projector said:\n%s", p.log.String())
	}
}

// stop asks the projector to end and returns its exit code.
func (p *process) stop() int {
	p.w.t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		p.w.t.Fatal("the projector did not end within 5 s of SIGTERM")
	}
	return p.cmd.ProcessState.ExitCode()
}

// status reads /statusz, strictly; false when there is none yet.
func (p *process) status() (contract.Partition, bool) {
	p.w.t.Helper()
	body, code := p.get(contract.StatuszPath)
	if code != http.StatusOK {
		return contract.Partition{}, false
	}
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.DisallowUnknownFields()
	var s contract.Status
	if err := decoder.Decode(&s); err != nil || len(s.Partitions) != 1 {
		p.w.t.Fatalf("/statusz: %v\n%s", err, body)
	}
	if lag := s.Partitions[0]; lag.LagSeconds < 0 || lag.LagEvents < -1 {
		p.w.t.Fatalf("lag below 0: %+v", lag)
	}
	return s.Partitions[0], true
}

func (p *process) get(path string) (body string, code int) {
	client := http.Client{Timeout: 2 * time.Second}
	response, err := client.Get(p.url + path)
	if err != nil {
		return "", 0
	}
	defer func() { _ = response.Body.Close() }()
	data, _ := io.ReadAll(response.Body)
	return string(data), response.StatusCode
}

// await waits until the status is as wanted.
func (p *process) await(what string, wanted func(contract.Partition) bool) contract.Partition {
	p.w.t.Helper()
	var last contract.Partition
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		s, ok := p.status()
		if ok && wanted(s) {
			return s
		}
		last = s
	}
	shown, _ := json.MarshalIndent(last, "", "  ")
	p.w.t.Fatalf("never %s; at last\n%s", what, shown)
	return last
}

// awaitTail waits until the projector stands at the stream's end.
func (p *process) awaitTail() contract.Partition {
	p.w.t.Helper()
	tail := p.w.tail()
	return p.await("at the tail "+tail, func(s contract.Partition) bool { return s.Position == tail && s.State == contract.StateLive })
}

func (p *process) awaitProblem(reason string) contract.Partition {
	p.w.t.Helper()
	s := p.await("in trouble: "+reason, func(s contract.Partition) bool { return s.Problem != nil && s.Problem.Reason == reason })
	if s.Problem.Remedy == "" || s.Problem.Message == "" || s.Problem.Since == "" {
		p.w.t.Errorf("the problem says too little: %+v", s.Problem)
	}
	return s
}

func (w *world) tail() string {
	w.t.Helper()
	info, err := w.client.XInfoStream(w.t.Context(), streamName).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	return info.LastGeneratedID
}
