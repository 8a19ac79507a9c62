package run

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector/contract"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestStatuszIsWhatTheOperatorReads holds the shape of /statusz. The operator
// has a test of its own against the same document.
func TestStatuszIsWhatTheOperatorReads(t *testing.T) {
	Version = "v1.2.3"
	w := &worker{document: contract.Document{Projection: "shop/user-profile", Revision: "7f3k2m9q"}, digest: "9f86d081"}
	got, err := json.MarshalIndent(status(w, time.Unix(1795412031, 0), 483183819, contract.Partition{
		Stream:          "user_events",
		State:           contract.StateHalted,
		Claimed:         true,
		Published:       true,
		Epoch:           3,
		Position:        "1795412031120-355",
		Tail:            "1795412031120-356",
		Entries:         1_000_000,
		Events:          999_990,
		LagEvents:       1,
		EventsPerSecond: 1234.5,
		EtaSeconds:      -1,
		Memory:          contract.Memory{UsedBytes: 1 << 20, BudgetBytes: 193273500},
		Skipped:         contract.Skipped{UnnamedType: 7, NoKey: 3},
		Rejected:        1,
		History:         contract.HistoryComplete,
		Problem: &contract.Problem{
			Reason:    contract.ReasonEventFailed,
			Message:   "no such field: cents",
			Remedy:    "correct the reducer",
			Permanent: true,
			EventID:   "1795412031120-356",
			Since:     "2026-11-23T12:00:00Z",
		},
	}), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "statusz.golden.json")
	if *update {
		if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Error(diff)
	}
}

func TestFlags(t *testing.T) {
	dir := t.TempDir()
	for name, test := range map[string]struct {
		args []string
		want int
	}{
		"an unknown flag is refused":         {[]string{"--no-such-flag"}, exitUsage},
		"an unknown word is refused":         {[]string{"run", "fast"}, exitUsage},
		"a log level that is none":           {[]string{"--log-level=loud"}, exitUsage},
		"a negative cache is refused":        {[]string{"--cache-mib=-1"}, exitUsage},
		"dropping by no contract is failing": {[]string{"drop", "--contract", dir, "--termination-log", filepath.Join(dir, "out")}, exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Command(t.Context(), nil, test.args, t.Output()); got != test.want {
				t.Errorf("exit code %d, want %d", got, test.want)
			}
		})
	}
}
