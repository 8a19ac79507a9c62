package contract_test

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector/contract"
)

var update = flag.Bool("update", false, "write the golden files anew")

// full sets every field that there is.
func full() contract.Document {
	redis := contract.Redis{
		URL:         "rediss://redis.shop.svc:6379/0",
		Credentials: &contract.Credentials{SecretName: "redis", Dir: "/etc/refold/source"},
		TLS: &contract.TLS{CASecretName: "ca", CADir: "/etc/refold/source-ca", CertSecretName: "client",
			CertDir: "/etc/refold/source-cert", ServerName: "redis.shop"},
	}
	return contract.Document{
		Version: contract.Version, Projection: "shop/user-profile", UID: "2b1e", Revision: "7f3k2m9q",
		Source: contract.Source{Redis: redis, Stream: "user_events", From: "0", Format: contract.FormatCloudEvents,
			PayloadField: "payload", TypeField: "type"},
		Reducer: contract.Reducer{Type: "Rules", Key: "event.id", Rules: []contract.Rule{
			{On: []string{"UserCreated"}, Set: map[string]string{"name": "event.name", "email": "event.email"}},
			{On: []string{"OrderPlaced"}, When: "int(event.cents) > 0", Add: map[string]string{"orders": "1"}, Unset: []string{"name"}},
			{On: []string{"UserDeleted"}, Delete: true},
		}},
		ReadModel: contract.ReadModel{Fields: []contract.Field{{Name: "email", Type: contract.TypeString}},
			RedisHash: &contract.RedisHash{Redis: redis, KeyPrefix: "user:"}},
		ErrorPolicy: contract.ErrorPolicy{OnError: contract.OnErrorHalt},
	}
}

func fullStatus() contract.Status {
	return contract.Status{
		Version: contract.Version, Projection: "shop/user-profile", Revision: "7f3k2m9q", Contract: "e3b0", Build: "dev",
		StartedAt: "2026-11-23T12:00:00Z", MemoryLimitBytes: 483183819,
		Partitions: []contract.Partition{{
			Stream: "user_events", State: contract.StateHalted, Claimed: true, Published: true, Epoch: 3, Position: "1795412031120-356",
			Tail: "1795412031121-0", Entries: 99, Events: 90, LagEvents: 1, LagSeconds: 2, CaughtUp: true, EventsPerSecond: 1.5, EtaSeconds: 1,
			Skipped: contract.Skipped{UnnamedType: 8, NoKey: 1}, Rejected: 1, History: contract.HistoryComplete,
			Memory: contract.Memory{UsedBytes: 1 << 20, BudgetBytes: 193273500},
			Problem: &contract.Problem{Reason: contract.ReasonEventFailed, Message: "m", Remedy: "r", Permanent: true,
				EventID: "1795412031121-0", Since: "2026-11-23T12:00:01Z"},
		}},
	}
}

// The files are what the two planes of different releases exchange: a change
// of either is a new Version.
func TestTheDocumentsKeepTheirShape(t *testing.T) {
	status, err := json.MarshalIndent(fullStatus(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	document, err := contract.Encode(full())
	if err != nil {
		t.Fatal(err)
	}
	for file, got := range map[string][]byte{"testdata/contract.golden.json": document, "testdata/statusz.golden.json": append(status, '\n')} {
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

func TestADocumentSurvivesTheWay(t *testing.T) {
	data, err := contract.Encode(full())
	if err != nil {
		t.Fatal(err)
	}
	got, err := contract.Decode(data)
	if diff := cmp.Diff(full(), got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestDecodeRefusesWhatItDoesNotFullyUnderstand(t *testing.T) {
	tests := map[string]struct{ data, want string }{
		"another version":         {`{"version": 2}`, "use the projector image that belongs to the operator"},
		"no version":              {`{}`, "contract version 0"},
		"an unknown field":        {`{"version": 1, "sourcee": {}}`, "sourcee"},
		"an unknown nested field": {`{"version": 1, "source": {"streams": "x"}}`, "streams"},
		"not JSON":                {`version: 1`, "decode contract"},
		"data after the document": {`{"version": 1} {}`, "decode contract"},
		"nothing":                 {``, "decode contract"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := contract.Decode([]byte(tc.data))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	whole, err := contract.Encode(full())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"version": 1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := contract.Decode(data)
		if err != nil {
			return
		}
		once, err := contract.Encode(d)
		if err != nil {
			t.Fatalf("decoded but does not encode: %v", err)
		}
		again, err := contract.Decode(once)
		if err != nil {
			t.Fatalf("encoded but does not decode: %v\n%s", err, once)
		}
		twice, _ := contract.Encode(again)
		if string(once) != string(twice) {
			t.Errorf("encoded twice it differs:\n%s\n%s", once, twice)
		}
		for _, place := range []string{"{", `"source": {`, `"redis": {`, `"reducer": {`, `"readModel": {`, `"errorPolicy": {`} {
			more := strings.Replace(string(once), place, place+`"unknown": 0,`, 1)
			if _, err := contract.Decode([]byte(more)); err == nil {
				t.Errorf("a field that is not known is let pass:\n%s", more)
			}
		}
	})
}
