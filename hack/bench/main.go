// Command bench measures the fold path as ratios against a baseline in the
// same run, on a real Redis, with the real projector as a process of its own.
// So far it has one group, replay: a million events into 100,000 hashes,
// against draining the same stream by raw XRANGE.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"
)

func main() {
	events := flag.Int("events", 1_000_000, "events in the stream")
	entities := flag.Int("entities", 100_000, "entities they are about")
	rounds := flag.Int("rounds", 5, "how often baseline and subject take turns")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *events, *entities, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, events, entities, rounds int) error {
	dir, err := os.MkdirTemp("", "refold-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	client, stopRedis, err := startRedis(ctx, dir)
	if err != nil {
		return err
	}
	defer stopRedis()
	projector := filepath.Join(dir, "projector")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", projector, "./cmd/projector").CombinedOutput(); err != nil {
		return fmt.Errorf("build the projector: %w\n%s", err, out)
	}
	if err := fill(ctx, client, events, entities); err != nil {
		return fmt.Errorf("fill the stream: %w", err)
	}
	borders, err := findBorders(ctx, client)
	if err != nil {
		return err
	}
	var drains, replays []time.Duration
	var peak int64
	for range rounds {
		drained, err := drain(ctx, client, borders)
		if err != nil {
			return fmt.Errorf("drain: %w", err)
		}
		replayed, rss, err := replay(ctx, client, projector, dir)
		if err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		drains, replays, peak = append(drains, drained), append(replays, replayed), max(peak, rss)
	}
	report(events, drains, replays, peak)
	return nil
}

func report(events int, drains, replays []time.Duration, peakRSSKiB int64) {
	ratios := make([]float64, len(drains))
	for i := range drains {
		ratios[i] = drains[i].Seconds() / replays[i].Seconds()
	}
	rate := func(times []time.Duration) []float64 {
		rates := make([]float64, len(times))
		for i, t := range times {
			rates[i] = float64(events) / t.Seconds() / 1e6
		}
		return rates
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	row := func(name string, values []float64) {
		slices.Sort(values)
		fmt.Fprintf(w, "%s\t%.3f\t%.3f\t%.3f\n", name, values[len(values)/2], values[0], values[len(values)-1])
	}
	fmt.Fprintln(w, "name\tmedian\tmin\tmax")
	row("drain, M events/s", rate(drains))
	row("replay, M events/s", rate(replays))
	row("replay.redisHash.vs_drain", ratios)
	fmt.Fprintf(w, "projector peak RSS, MiB\t%.1f\t\t\n", float64(peakRSSKiB)/1024)
	_ = w.Flush()
}

// startRedis starts a server on a free port and stops it by its id.
func startRedis(ctx context.Context, dir string) (*redis.Client, func(), error) {
	socket := filepath.Join(dir, "redis.sock")
	port, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--unixsocket", socket,
		"--save", "", "--dir", dir, "--logfile", filepath.Join(dir, "redis.log"))
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port, ReadTimeout: time.Minute})
	stop := func() {
		_ = client.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if err = client.Ping(ctx).Err(); err == nil {
			return client, stop, nil
		}
		if time.Now().After(deadline) {
			stop()
			return nil, nil, fmt.Errorf("redis does not answer: %w", err)
		}
	}
}

// drain reads the stream's bytes by XRANGE on one connection and drops them.
// The pages' borders are known, so the server never waits for a request.
func drain(ctx context.Context, client *redis.Client, borders []string) (time.Duration, error) {
	const inFlight = 8
	begun := time.Now()
	for pages := range slices.Chunk(borders, inFlight) {
		_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, from := range pages {
				_ = p.Process(ctx, redis.NewRawCmd(ctx, "XRANGE", stream, from, "+", "COUNT", pageLength))
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return time.Since(begun), nil
}

// pageLength is the entries of one XRANGE of the drain.
const pageLength = 10_000

// findBorders lists where each page of the stream begins.
func findBorders(ctx context.Context, client *redis.Client) ([]string, error) {
	borders := []string{"-"}
	for {
		page, err := client.XRangeN(ctx, stream, borders[len(borders)-1], "+", pageLength).Result()
		if err != nil || len(page) < pageLength {
			return borders, err
		}
		borders = append(borders, "("+page[len(page)-1].ID)
	}
}
