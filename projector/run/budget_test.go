package run_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/stream"
)

const mebibyte = 1 << 20

// container is a memory limit, and what the operator makes of it.
const container = 128 * mebibyte

var goLimit = fmt.Sprint("GOMEMLIMIT=", contract.GoMemoryBytes(container))

// peak is the most memory that the process ever had, in bytes.
func (p *process) peak() int64 {
	p.w.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.w.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	if err != nil {
		p.w.t.Fatal(err)
	}
	return kib * 1024
}

func (p *process) stayedBelow(limit int64) {
	p.w.t.Helper()
	if peak := p.peak(); peak >= limit && !slices.Contains(buildFlags, "-race") { // which takes several times as much
		p.w.t.Errorf("the process took %d MiB of %d", peak/mebibyte, limit/mebibyte)
	}
}

func TestTooLittleMemoryIsRefusedInWords(t *testing.T) {
	w := newWorld(t)
	w.burst(10, 1)
	p := w.start("GOMEMLIMIT=30MiB")
	s := p.awaitProblem(contract.ReasonMemoryTooSmall)
	if s.State != contract.StateHalted || !s.Problem.Permanent || s.Claimed || s.EtaSeconds != -1 {
		t.Errorf("%+v", s)
	}
	for what, want := range map[string]string{s.Problem.Message: "40 MiB", s.Problem.Remedy: "64 MiB"} {
		if !strings.Contains(what, want) {
			t.Errorf("%q does not say %s", what, want)
		}
	}
}

func TestTheLeastMemoryFoldsExactly(t *testing.T) {
	w := newWorld(t)
	for seed := range 4 {
		w.burst(10_000, seed*1000)
	}
	p := w.start(fmt.Sprint("GOMEMLIMIT=", contract.GoMemoryBytes(contract.LeastMemoryBytes)))
	s := p.awaitTail()
	if m := s.Memory; m.UsedBytes <= 0 || m.UsedBytes > m.BudgetBytes || m.BudgetBytes > 16*mebibyte {
		t.Errorf("%+v", s.Memory)
	}
	w.judgeAll()
	p.stayedBelow(contract.LeastMemoryBytes)
}

func TestAnEventThatDoesNotFitIsRefusedAndNotHeld(t *testing.T) {
	w := newWorld(t)
	w.burst(100, 1)
	before := w.tail()
	large := w.add("Created", "id", "large", "name", strings.Repeat("x", 64*mebibyte))
	w.burst(10, 2)
	p := w.start(goLimit)
	s := p.awaitProblem(contract.ReasonEventTooLarge)
	if s.State != contract.StateHalted || s.Problem.EventID != large || !strings.Contains(s.Problem.Message, "at least 6710") {
		t.Errorf("%+v %+v", s, s.Problem)
	}
	p.await("all before it is committed", func(s contract.Partition) bool { return s.Position == before })
	w.judge()
	p.stayedBelow(container)
}

func TestEventsThatJustFitAreFoldedAndReadBack(t *testing.T) {
	w := newWorld(t)
	most := int(contract.GoMemoryBytes(container)) / stream.EventShare
	name := strings.Repeat("x", most-200)
	for i := range 30 {
		w.add("Created", "id", i%15, "name", fmt.Sprint(i, name))
	}
	p := w.start(goLimit)
	p.awaitTail()
	w.judgeAll()
	p.stayedBelow(container)
	p.stop()
	for i := range 15 {
		w.add("Ordered", "id", i, "cents", 1)
	}
	p = w.start(goLimit)
	p.awaitTail()
	w.judgeAll()
	p.stayedBelow(container)
}
