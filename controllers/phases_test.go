package controllers

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/projector/contract"
)

func TestTimesToGoSayNoMoreThanIsKnown(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "1 minute", 59 * time.Second: "1 minute", 61 * time.Second: "2 minutes", 4 * time.Minute: "5 minutes",
		31 * time.Minute: "45 minutes", 46 * time.Minute: "1 hour", 61 * time.Minute: "2 hours", 30 * time.Hour: "30 hours",
	} {
		if got := coarse(d); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}

// said is the message of a pass that finds a replay so far, after one that said last.
func said(last string, p contract.Partition) string {
	before := &v1alpha1.Projection{}
	if last != "" {
		before.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: "False", Reason: v1alpha1.ReasonReplaying, Message: last}}
	}
	s := &scope{before: before}
	s.sayPercent(v1alpha1.ReasonReplaying, "b is built", p)
	return s.verdict.Message
}

func TestAMessageOfProgressChangesInStepsOnly(t *testing.T) {
	g := NewWithT(t)
	last, changes := "", 0
	for entries := int64(0); entries < 10_000; entries += 10 {
		next := said(last, contract.Partition{Entries: entries, LagEvents: 10_000 - entries, EtaSeconds: (entries * 7919) % 5000})
		if next != last {
			changes++
		}
		last = next
	}
	g.Expect(changes).To(Equal(20))
	g.Expect(last).To(HavePrefix("b is built: 95 % is done, about "))
	g.Expect(said("", contract.Partition{Entries: -1, LagEvents: -1, EtaSeconds: -1})).To(Equal("b is built"))
	g.Expect(*percentOf(contract.Partition{Entries: 999_999, LagEvents: 1})).To(BeEquivalentTo(99), "100 is for what is done")
	g.Expect(*percentOf(contract.Partition{Entries: 999_999, LagEvents: 1, CaughtUp: true})).To(BeEquivalentTo(100))
}

func TestFieldsThatDifferMostComeFirstAndAreFew(t *testing.T) {
	g := NewWithT(t)
	counts := map[string]int64{"rare": 1, "often": 1 << 40, "also": 7, "same": 7}
	g.Expect(fieldsText(counts)).To(Equal(fmt.Sprintf("often %d, also 7, same 7, rare 1", int64(1<<40))))
	for i := range 20 {
		counts[fmt.Sprintf("f%02d", i)] = 0
	}
	g.Expect(fieldsText(counts)).To(HaveSuffix("f03 0, …"))
}
