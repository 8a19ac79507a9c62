package inspect_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/refold-dev/refold/projector/inspect/api"
)

// stat is a number of the server's INFO.
func (w *world) stat(section, name string) int {
	w.t.Helper()
	_, rest, _ := strings.Cut(w.client.Info(w.t.Context(), section).Val(), name+":")
	digits, _, _ := strings.Cut(rest, "\r")
	n, err := strconv.Atoi(digits)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// The server makes the whole answer before it sends any of it: no more is asked
// for than is shown.
func TestTheNewestEventIsAskedForAlone(t *testing.T) {
	w := newWorld(t, users())
	for i := range 20 {
		w.add(fmt.Sprintf("%d-0", i+1), "Created", "id", "7", "name", strings.Repeat("x", 1<<20))
	}
	before := w.stat("stats", "total_net_output_bytes")
	lines, end := w.lines(api.LogPath + "?reverse=true&limit=1")
	if took := w.stat("stats", "total_net_output_bytes") - before; took > 5<<20 { // one more, and the first and the last with XINFO STREAM
		t.Errorf("%d bytes came for one event of 1 MiB", took)
	}
	if len(lines) != 1 || lines[0].Event.ID != "20-0" || !end.More || end.Position != "20-0" {
		t.Errorf("%d, %+v", len(lines), end)
	}
}

func TestASearchBackwardKeepsItsConnection(t *testing.T) {
	w := newWorld(t, users())
	w.many(20_000)
	before := w.stat("stats", "total_connections_received")
	if lines, _ := w.lines(api.LogPath + "?reverse=true&key=nobody"); len(lines) != 0 {
		t.Error(len(lines))
	}
	if more := w.stat("stats", "total_connections_received") - before; more > 4 {
		t.Errorf("it took %d connections", more)
	}
}
