package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	secondBurstSize = 60_000
	readyTimeout    = "180s"
	lagTimeout      = 120 * time.Second
	mostShown       = 20 // differences
)

func (d *demo) tellStory(ctx context.Context) error {
	d.writer = newCommandSide(d.redis)
	return d.writer.append(ctx, d.writer.story())
}

func (d *demo) firstBurst(ctx context.Context) error {
	return d.writer.append(ctx, d.writer.burst(firstBurstSize))
}

func (d *demo) applyProjection(ctx context.Context) error {
	if err := d.startOver(ctx); err != nil {
		return err
	}
	if err := d.apply(ctx); err != nil {
		return err
	}
	_, err := d.kubectl(ctx, "wait", "--for=condition=Ready", "projection/"+projection, "--timeout="+readyTimeout)
	if err != nil {
		why, _ := d.kubectl(ctx, "describe", "projection", projection)
		return fmt.Errorf("%w\n%s", err, why)
	}
	return d.awaitNoLag(ctx)
}

// startOver deletes what an earlier run has left: applied over it, the sample
// would be a replay.
func (d *demo) startOver(ctx context.Context) error {
	found, err := d.kubectl(ctx, "get", "projection", projection, "--ignore-not-found", "-o", "name")
	if err != nil || found == "" {
		return err
	}
	if _, err := d.kubectl(ctx, "patch", "projection", projection, "--type", "merge", "-p", `{"spec":{"deletionPolicy":"Delete"}}`); err != nil {
		return err
	}
	_, err = d.kubectl(ctx, "delete", "projection", projection, "--timeout="+readyTimeout)
	return err
}

func (d *demo) look(ctx context.Context) error {
	table, err := d.kubectl(ctx, "get", "projections")
	if err != nil {
		return err
	}
	hash, err := d.redis.HGetAll(ctx, keyPrefix+"42").Result()
	if err != nil {
		return err
	}
	position, err := d.kubectl(ctx, "get", "projection", projection, "-o", "jsonpath=lag {.status.lagEvents} events, last acked ID {.status.lastAckedID}")
	if err != nil {
		return err
	}
	fmt.Printf("\n$ kubectl -n %s get projections\n%s\n$ redis-cli HGETALL %s42\n", namespace, table, keyPrefix)
	for _, field := range []string{"id", "name", "email", "city", "orders", "spent_cents", "created_at"} {
		fmt.Printf("  %-12s %s\n", field, hash[field])
	}
	fmt.Printf("\n%s\n\n", position)
	return nil
}

// appendWhileLooking appends events one by one and waits, for each, until a
// reader sees its effect.
func (d *demo) appendWhileLooking(ctx context.Context) error {
	var slowest, total time.Duration
	const n = 20
	for i := range n {
		email := fmt.Sprintf("countess.%d.%d@example.com", i, time.Now().UnixNano())
		begun := time.Now()
		if err := d.writer.append(ctx, [][]any{event("EmailUpdated", "id", "42", "email", email)}); err != nil {
			return err
		}
		if err := d.awaitEmail(ctx, email); err != nil {
			return err
		}
		took := time.Since(begun)
		slowest, total = max(slowest, took), total+took
	}
	fmt.Printf("       %d events, XADD to visible: %.1f ms on average, %.1f ms at most\n", n, total.Seconds()*1000/n, slowest.Seconds()*1000)
	return nil
}

func (d *demo) awaitEmail(ctx context.Context, want string) error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		got, err := d.redis.HGet(ctx, keyPrefix+"42", "email").Result()
		if err != nil {
			return err
		}
		if got == want {
			return nil
		}
	}
	return fmt.Errorf("%s42 does not show email %s after 10 s", keyPrefix, want)
}

// killMidBurst force-deletes the projector's pod when half of a burst is
// written and waits for the lag to go by itself.
func (d *demo) killMidBurst(ctx context.Context) error {
	events := d.writer.burst(secondBurstSize)
	half := len(events) / 2
	if err := d.writer.append(ctx, events[:half]); err != nil {
		return err
	}
	_, err := d.kubectl(ctx, "delete", "pod", "-l", "refold.dev/projection="+projection, "--force", "--grace-period=0")
	if err != nil {
		return err
	}
	if err := d.writer.append(ctx, events[half:]); err != nil {
		return err
	}
	return d.awaitNoLag(ctx)
}

// awaitNoLag waits until status says that the last event of the log is acked.
func (d *demo) awaitNoLag(ctx context.Context) error {
	info, err := d.redis.XInfoStream(ctx, stream).Result()
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(lagTimeout); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		status, err := d.kubectl(ctx, "get", "projection", projection, "-o", "jsonpath={.status.lastAckedID} {.status.lagEvents}")
		if err != nil {
			return err
		}
		if status == info.LastGeneratedID+" 0" {
			return nil
		}
	}
	why, _ := d.kubectl(ctx, "describe", "projection", projection)
	return fmt.Errorf("status does not show lastAckedID %s and lag 0 after %s\n%s", info.LastGeneratedID, lagTimeout, why)
}

func (d *demo) compare(ctx context.Context) error {
	model, events, err := fold(ctx, d.redis, d.mended)
	if err != nil {
		return err
	}
	different, err := differences(ctx, d.redis, model)
	if err != nil {
		return err
	}
	if len(different) > 0 {
		fmt.Println(strings.Join(different[:min(mostShown, len(different))], "\n"))
		return errors.New(strconv.Itoa(len(different)) + " entities differ from the independent fold")
	}
	fmt.Printf("\nread model == independent fold (%d entities, %d events)\n\n", len(model), events)
	return nil
}

func (d *demo) compareMended(ctx context.Context) error {
	d.mended = true
	return d.compare(ctx)
}

func (d *demo) kubectl(ctx context.Context, args ...string) (string, error) {
	return d.cluster.Kubectl(ctx, "", append([]string{"-n", namespace}, args...)...)
}
