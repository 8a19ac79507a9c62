package commandside

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/testbed/redis"
)

func newLog(t *testing.T) (Log, *redis.Server) {
	server := redis.Start(t)
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	return Log{client, "user_events", "user_versions"}, server
}

// Ten programs take one from a stock of 25 that all of them read first: none sees
// an old one, and none takes what is not there.
func TestNobodyDecidesByWhatIsOld(t *testing.T) {
	log, _ := newLog(t)
	ctx := t.Context()
	var programs sync.WaitGroup
	var mu sync.Mutex
	sold := 0
	for range 10 {
		programs.Go(func() {
			for range 100 {
				version, err := log.Version(ctx, "lamp")
				if err != nil {
					t.Error(err)
					return
				}
				if version >= 25 { // each event takes one
					return
				}
				_, err = log.Append(ctx, "lamp", version, "type", "Sold", "id", "lamp", "left", strconv.FormatInt(24-version, 10))
				switch {
				case err == nil:
					mu.Lock()
					sold++
					mu.Unlock()
				case !errors.Is(err, ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	programs.Wait()
	events, err := log.Client.XRange(ctx, "user_events", "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	if sold != 25 || len(events) != 25 {
		t.Errorf("%d were sold, and the log has %d", sold, len(events))
	}
	for i, e := range events {
		if e.Values["left"] != strconv.Itoa(24-i) {
			t.Errorf("the event %d leaves %v", i, e.Values["left"])
		}
	}
}

// The page's redis-cli session is run, line by line, and what it shows is what
// redis-cli says.
func TestTheDocumentedSession(t *testing.T) {
	_, server := newLog(t)
	page, err := os.ReadFile("../../docs/command-side.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	lines := strings.Split(string(page), "\n")
	for i, line := range lines {
		command, is := strings.CutPrefix(line, "    redis> ")
		if !is {
			continue
		}
		host, port, _ := strings.Cut(server.Addr(), ":")
		cli := exec.CommandContext(t.Context(), "redis-cli", "-h", host, "-p", port)
		cli.Stdin = strings.NewReader(command + "\n")
		out, err := cli.CombinedOutput()
		if err != nil {
			t.Fatal(err)
		}
		want := strings.TrimSpace(lines[i+1])
		if got := strings.TrimSpace(string(out)); got != want && want != "1795412031120-0" {
			t.Errorf("%s\nsays %q; the page has %q", command, got, want)
		}
		ran++
	}
	if ran < 4 {
		t.Errorf("the page has %d commands", ran)
	}
	code, err := os.ReadFile("commandside.go")
	if err != nil {
		t.Fatal(err)
	}
	_, script, _ := strings.Cut(string(code), "redis.NewScript(`")
	script, _, _ = strings.Cut(script, "`)")
	for line := range strings.Lines(strings.TrimSpace(script)) {
		if !strings.Contains(string(page), strings.TrimSpace(line)) {
			t.Errorf("the page's script lacks %q", line)
		}
	}
}
