package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector/contract"
)

const (
	stream   = "user_events"
	ledger   = "refold:{bench/users}:bench000:0"
	pipeline = 2_000
)

// fill appends events of about 90 bytes, of four types, the same for every run.
func fill(ctx context.Context, client *redis.Client, events, entities int) error {
	random := rand.New(rand.NewPCG(1, 2))
	for done := 0; done < events; {
		n := min(pipeline, events-done)
		_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for range n {
				p.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: randomEvent(random, entities)})
			}
			return nil
		})
		if err != nil {
			return err
		}
		done += n
	}
	return nil
}

func randomEvent(random *rand.Rand, entities int) []any {
	id := strconv.Itoa(random.IntN(entities))
	number := strconv.Itoa(random.IntN(100_000))
	switch random.IntN(4) {
	case 0:
		return []any{"type", "UserCreated", "id", id, "name", "User " + id, "email", "u" + number + "@example.com"}
	case 1:
		return []any{"type", "EmailUpdated", "id", id, "email", "user" + number + "@mail.example.com"}
	case 2:
		return []any{"type", "AddressUpdated", "id", id, "city", "Street " + number + ", Zürich"}
	}
	return []any{"type", "OrderPlaced", "id", id, "order", number, "cents", number}
}

func document(addr string) contract.Document {
	at := contract.Redis{URL: "redis://" + addr + "/0"}
	return contract.Document{
		Projection: "bench/users", UID: "bench", Revision: "bench000",
		Source: contract.Source{Redis: at, Stream: stream, From: "0", Format: contract.FormatFields, TypeField: "type"},
		Reducer: contract.Reducer{Type: "Rules", Key: "event.id", Rules: []contract.Rule{
			{On: []string{"UserCreated"}, Set: map[string]string{"id": "event.id", "name": "event.name", "email": "event.email"}},
			{On: []string{"EmailUpdated"}, Set: map[string]string{"email": "event.email"}},
			{On: []string{"AddressUpdated"}, Set: map[string]string{"city": "event.city"}},
			{On: []string{"OrderPlaced"}, Add: map[string]string{"orders": "1", "spent": "int(event.cents)"}},
		}},
		ReadModel: contract.ReadModel{
			Fields: []contract.Field{{Name: "id", Type: contract.TypeString}, {Name: "name", Type: contract.TypeString},
				{Name: "email", Type: contract.TypeString}, {Name: "city", Type: contract.TypeString},
				{Name: "orders", Type: contract.TypeInteger}, {Name: "spent", Type: contract.TypeInteger}},
			RedisHash: &contract.RedisHash{Redis: at, KeyPrefix: "user:"},
		},
		ErrorPolicy: contract.ErrorPolicy{OnError: contract.OnErrorHalt},
	}
}

// replay folds the whole stream with the real projector and waits until the
// ledger says the last ID. It takes away what was built.
func replay(ctx context.Context, client *redis.Client, projector, dir string) (took time.Duration, peakRSSKiB int64, err error) {
	info, err := client.XInfoStream(ctx, stream).Result()
	if err != nil {
		return 0, 0, err
	}
	data, err := contract.Encode(document(client.Options().Addr))
	if err != nil {
		return 0, 0, err
	}
	file := filepath.Join(dir, contract.FileName)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return 0, 0, err
	}
	port, err := freePort()
	if err != nil {
		return 0, 0, err
	}
	cmd := exec.Command(projector, "--contract", file, "--listen", "127.0.0.1:"+port)
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=460MiB")
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	err = awaitLedger(ctx, client, info.LastGeneratedID)
	took = time.Since(begun)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
	if err != nil {
		return 0, 0, err
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		peakRSSKiB = usage.Maxrss
	}
	out, err := exec.CommandContext(ctx, projector, "drop", "--keep=false", "--contract", file, "--termination-log", os.DevNull).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("drop: %w: %s", err, out)
	}
	return took, peakRSSKiB, err
}

func awaitLedger(ctx context.Context, client *redis.Client, last string) error {
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if id, _ := client.HGet(ctx, ledger, "id").Result(); id == last {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("the ledger does not reach %s", last)
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
