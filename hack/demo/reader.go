package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

const watchedUsers = 1000

// reader is an application that reads whole users all the time. Nothing is
// appended meanwhile, so each is what it was before, or what it will be.
type reader struct {
	reads, missing, torn, old, new int
	err                            error

	client        *redis.Client
	before, after map[string]map[string]string
	keys          []string
	cancel        context.CancelFunc
	done          sync.WaitGroup
}

// startReader learns what some users are, and will be once a revision is
// published, and then reads them until it is stopped.
func (d *demo) startReader(ctx context.Context, candidate string) (*reader, error) {
	r := &reader{client: d.redis, before: map[string]map[string]string{}, after: map[string]map[string]string{}}
	shadow := "~" + candidate + ":" + keyPrefix
	scan := d.redis.Scan(ctx, 0, keyPrefix+"*", 1000).Iterator()
	for len(r.keys) < watchedUsers && scan.Next(ctx) {
		key := scan.Val()
		before, err := d.redis.HGetAll(ctx, key).Result()
		if err != nil {
			return nil, err
		}
		after, err := d.redis.HGetAll(ctx, shadow+strings.TrimPrefix(key, keyPrefix)).Result()
		if err != nil {
			return nil, err
		}
		if len(after) == 0 {
			return nil, fmt.Errorf("the shadow of %s, %s…, is not there", key, shadow)
		}
		if r.before[key] == nil {
			r.keys = append(r.keys, key)
		}
		r.before[key], r.after[key] = before, after
	}
	if err := scan.Err(); err != nil {
		return nil, err
	}
	ctx, r.cancel = context.WithCancel(ctx)
	r.done.Go(func() { r.read(ctx) })
	return r, nil
}

func (r *reader) read(ctx context.Context) {
	for ctx.Err() == nil {
		key := r.keys[rand.IntN(len(r.keys))]
		hash, err := r.client.HGetAll(ctx, key).Result()
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				r.err = err
			}
			return
		}
		r.reads++
		switch {
		case len(hash) == 0:
			r.missing++
		case maps.Equal(hash, r.before[key]):
			r.old++
		case maps.Equal(hash, r.after[key]):
			r.new++
		default:
			r.torn++
		}
	}
}

// stop may be called again.
func (r *reader) stop() {
	r.cancel()
	r.done.Wait()
}
