package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// BenchmarkReplayWrites counts what the operator writes to the API server for one
// replay, from the edit until the revision that was read before is gone, without
// what it writes of a long one's progress; and in ten passes of rest. hack/bench
// asks for it.
func BenchmarkReplayWrites(b *testing.B) {
	for range b.N {
		w := newWorld(b)
		p := w.ready()
		before := len(w.writes.log)
		w.edit(p, newFold)
		w.comesTo(p, w.desired(p))
		w.clock.SetTime(w.clock.Now().Add(2 * time.Hour))
		w.settle(p)
		w.Expect(w.deployments()).To(HaveLen(1))
		done := len(w.writes.log)
		for range 10 {
			w.pass(p)
		}
		b.ReportMetric(float64(done-before), "writes/replay")
		b.ReportMetric(float64(len(w.writes.log)-done), "writes/rest")
	}
}
