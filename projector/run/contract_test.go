package run

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

func valid() contract.Document {
	return contract.Document{
		Projection: "shop/users", UID: "0e8a", Revision: "r1",
		Source:      contract.Source{Redis: contract.Redis{URL: "redis://Redis.shop/1"}, Stream: "user_events", From: "5-0", Format: contract.FormatFields},
		ReadModel:   contract.ReadModel{Fields: []contract.Field{{Name: "name", Type: contract.TypeString}}, RedisHash: &contract.RedisHash{Redis: contract.Redis{URL: "redis://redis"}, KeyPrefix: "user:"}},
		ErrorPolicy: contract.ErrorPolicy{OnError: contract.OnErrorHalt},
	}
}

func workerOf(t *testing.T, d contract.Document) (*worker, error) {
	t.Helper()
	data, err := contract.Encode(d)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), contract.FileName)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := newWorker(path)
	t.Cleanup(w.close)
	return w, err
}

func TestAContractThatMakesNoSenseIsRefusedInItsOwnWords(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*contract.Document)
		says   string
	}{
		"an end before the beginning": {func(d *contract.Document) { d.Source.Until = "4-9" }, "source.until: 4-9 lies before source.from 5-0"},
		"an end that is none":         {func(d *contract.Document) { d.Source.Until = "tomorrow" }, "source.until"},
		"an unknown cutover":          {func(d *contract.Document) { d.ReadModel.RedisHash.Cutover = "Copy" }, "readModel.redisHash.cutover"},
		"an unknown history":          {func(d *contract.Document) { d.Replay.History = "Some" }, "replay.history"},
		"a rate below none":           {func(d *contract.Document) { d.Replay.MaxEventsPerSecond = -1 }, "replay.maxEventsPerSecond"},
	} {
		t.Run(name, func(t *testing.T) {
			d := valid()
			test.change(&d)
			_, err := workerOf(t, d)
			f := fault.As(err)
			if f == nil || f.Reason != contract.ReasonInvalidContract || !f.Permanent || !strings.Contains(f.Message, test.says) {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
}

func TestAnEndIsInclusive(t *testing.T) {
	most := ^uint64(0)
	for until, want := range map[string]projector.ID{
		"5-0":                      {Ms: 5},
		"1795412031120-7":          {Ms: 1795412031120, Seq: 7},
		"1795412031120":            {Ms: 1795412031120, Seq: most},
		"2026-11-23T06:53:51.120Z": {Ms: 1795416831120, Seq: most},
	} {
		d := valid()
		d.Source.Until = until
		w, err := workerOf(t, d)
		if err != nil || w.until == nil || *w.until != want {
			t.Errorf("%s: %v %v, want %v", until, w.until, err, want)
		}
	}
	if w, err := workerOf(t, valid()); err != nil || w.until != nil {
		t.Errorf("%v %v", w.until, err)
	}
}

func TestALogHasOneNameHoweverItIsWritten(t *testing.T) {
	want := "redis://redis.shop:6379/1 user_events"
	for _, url := range []string{"redis://redis.shop/1", "redis://Redis.Shop:6379/1", "redis://redis.shop:6379/1/"} {
		d := valid()
		d.Source.Redis.URL = url
		if w, err := workerOf(t, d); err != nil || w.log != want {
			t.Errorf("%s is %q, %v", url, w.log, err)
		}
	}
}
