package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// fold is the judge: a plain loop over the whole log into a map, written by
// hand from the manifest's rules, the sample's or the mended ones. It shares no
// code with the projector.
func fold(ctx context.Context, client *redis.Client, mended bool) (model map[string]map[string]string, events int, err error) {
	model = map[string]map[string]string{}
	for from := "-"; ; {
		page, err := client.XRangeN(ctx, stream, from, "+", 10_000).Result()
		if err != nil {
			return nil, 0, fmt.Errorf("read the log: %w", err)
		}
		for _, entry := range page {
			if err := apply(model, entry, mended); err != nil {
				return nil, 0, fmt.Errorf("event %s: %w", entry.ID, err)
			}
		}
		events += len(page)
		if len(page) == 0 {
			return model, events, nil
		}
		from = "(" + page[len(page)-1].ID
	}
}

// apply does to the map what config/samples/user-profile.yaml says in rules.
func apply(model map[string]map[string]string, entry redis.XMessage, mended bool) error {
	get := func(field string) string { s, _ := entry.Values[field].(string); return s }
	id := get("id")
	user := func() map[string]string {
		if model[id] == nil {
			model[id] = map[string]string{}
		}
		return model[id]
	}
	switch get("type") {
	case "UserCreated":
		u := user()
		u["id"], u["name"], u["email"] = id, get("name"), get("email")
		u["created_at"] = timeOf(entry)
	case "EmailUpdated":
		user()["email"] = get("email")
		if mended {
			user()["email_since"] = timeOf(entry)
		}
	case "AddressUpdated":
		user()["city"] = get("city")
	case "OrderPlaced":
		cents, err := strconv.Atoi(get("cents"))
		if err != nil || cents <= 0 {
			return err
		}
		u := user()
		u["orders"] = plus(u["orders"], 1)
		u["spent_cents"] = plus(u["spent_cents"], cents)
	case "UserDeleted":
		delete(model, id)
	}
	return nil
}

func timeOf(entry redis.XMessage) string {
	ms, _ := strconv.ParseInt(strings.Split(entry.ID, "-")[0], 10, 64) // as Redis made it
	return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano)
}

func plus(text string, n int) string {
	old, _ := strconv.Atoi(text)
	return strconv.Itoa(old + n)
}

// differences compares every hash below the prefix with the model, both ways.
func differences(ctx context.Context, client *redis.Client, model map[string]map[string]string) ([]string, error) {
	var different []string
	scan := client.Scan(ctx, 0, keyPrefix+"*", 1000).Iterator()
	seen := map[string]bool{}
	for scan.Next(ctx) {
		if seen[scan.Val()] {
			continue
		}
		seen[scan.Val()] = true
		hash, err := client.HGetAll(ctx, scan.Val()).Result()
		if err != nil {
			return nil, err
		}
		if want := model[strings.TrimPrefix(scan.Val(), keyPrefix)]; !maps.Equal(hash, want) {
			different = append(different, fmt.Sprintf("%s is %v, the fold says %v", scan.Val(), hash, want))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(model)) {
		if !seen[keyPrefix+id] {
			different = append(different, fmt.Sprintf("%s%s is missing, the fold says %v", keyPrefix, id, model[id]))
		}
	}
	return different, scan.Err()
}
