package inspect_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect/api"
)

// candidate is another revision of the same log: it greets users, forgets Bob, and
// keeps who is deleted.
func (w *world) candidate() *world {
	w.t.Helper()
	d := users()
	d.Revision = "r2"
	d.Reducer.Rules[0].Set["name"] = "'Dear ' + event.name"
	d.Reducer.Rules[0].When = "event.name != 'Bob'"
	d.Reducer.Rules[4] = contract.Rule{On: []string{"Deleted"}, Set: map[string]string{"tier": "'gone'"}}
	return newWorldAt(w.t, w.addr, d)
}

func TestADiffShowsWhatACandidateChanges(t *testing.T) {
	w := newWorld(t, users())
	for i, name := range []string{"Ada", "Bob", "Cem"} {
		w.add(fmt.Sprintf("%d-0", i+1), "Created", "id", i+1, "name", name)
	}
	w.add("4-0", "Deleted", "id", "3")
	w.add("5-0", "Renamed", "id", "4", "name", "Dag")
	w.add("6-0", "Renamed", "id", "5")
	w.fold(w.document)
	c := w.candidate()
	c.fold(c.document)
	one := func(text string) *api.Text { return (*api.Text)(&text) }
	want := map[api.Text]api.Difference{
		"1": {Key: "1", Change: contract.Changed, Changes: []api.Change{{Field: "name", Old: one("Ada"), New: one("Dear Ada")}}},
		"2": {Key: "2", Change: contract.Removed, Changes: []api.Change{{Field: "name", Old: one("Bob")}, {Field: "orders", Old: one("0")}}},
		"3": {Key: "3", Change: contract.Added, Changes: []api.Change{{Field: "name", New: one("Dear Cem")}, {Field: "orders", New: one("0")}, {Field: "tier", New: one("gone")}}},
	}
	for _, from := range []*world{w, c} { // both projectors say the same
		lines, end := from.lines(api.DiffPath + "?candidate=r2")
		got := map[api.Text]api.Difference{}
		for _, line := range lines {
			got[line.Difference.Key] = *line.Difference
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		counts := &api.Counts{Published: "r1", Candidate: "r2", Same: 1, Added: 1, Removed: 1, Changed: 1, ChangedFields: map[string]int64{"name": 1}}
		if diff := cmp.Diff(counts, end.Counts); diff != "" || end.Position != "6-0" {
			t.Errorf("%s %+v", diff, end)
		}
	}
	if lines, _ := w.lines(api.DiffPath + "?key=1"); len(lines) != 1 || lines[0].Difference.Key != "1" {
		t.Errorf("%+v", lines)
	}
	if lines, end := w.lines(api.DiffPath + "?key=4"); len(lines) != 0 || end.Counts.Same != 1 {
		t.Errorf("%+v", lines)
	}
	if lines, _ := w.lines(api.DiffPath + "?prefix=2"); len(lines) != 1 {
		t.Errorf("%+v", lines)
	}
	w.fails(api.DiffPath+"?candidate=r9", 404, api.ReasonNoRevision, "r9", "r2")
	w.fails(api.DiffPath+"?candidate=r1", 400, api.ReasonBadRequest, "published")
}

// A candidate that is behind differs by the events that it has not folded: that is
// said, and not waited for at each of a thousand entities.
func TestADiffWithACandidateThatIsBehindSaysSo(t *testing.T) {
	w := newWorld(t, users())
	c := w.candidate()
	for i := range 1000 {
		w.add(fmt.Sprintf("%d-0", i+1), "Created", "id", i, "name", "Ada")
	}
	w.fold(w.document)
	c.fold(c.document)
	for i := range 300 {
		w.add(fmt.Sprintf("%d-0", i+2000), "Ordered", "id", i, "cents", 1)
	}
	w.fold(w.document)
	_, end := w.lines(api.DiffPath)
	if end.Counts.Changed != 1000 || end.Counts.Unsettled != 1000 || end.Position != "1000-0" {
		t.Errorf("%+v %+v", end, end.Counts)
	}
}

func TestWithNothingToCompareADiffSaysSo(t *testing.T) {
	w := story(t)
	w.fails(api.DiffPath, 400, api.ReasonBadRequest, "candidate", "r1")
}
