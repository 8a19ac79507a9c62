package plan

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/projector/contract"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// given is an Input that wants b, at the server 1, while what is known is known.
func given(active string, known ...Known) Input {
	for i := range known {
		known[i].Runnable, known[i].Claimed = true, known[i].State != ""
		if known[i].Store == "" {
			known[i].Store = "1"
		}
	}
	return Input{Now: noon, Desired: "b", Store: "1", Active: active, Known: known, History: HistoryComplete, Spec: ReplaySpec{
		Strategy: v1alpha1.ReplayShadow, Mode: v1alpha1.PromotionAutomatic, MaxChangedPercent: 20, RollbackWindow: time.Hour, History: v1alpha1.HistoryRequired}}
}

func (in Input) with(change func(*Input)) Input { change(&in); return in }

func is(name string, state v1alpha1.RevisionState, changes ...func(*Known)) Known {
	k := Known{Name: name, State: state, Events: 9, Running: true}
	if state == v1alpha1.RevisionActive || state == v1alpha1.RevisionRetained {
		k.PromotedAt = noon.Add(-time.Minute)
	}
	if state == v1alpha1.RevisionRetained {
		k.RetainedUntil = noon.Add(time.Minute)
	}
	for _, change := range changes {
		change(&k)
	}
	return k
}

func says(p Projector) func(*Known) {
	return func(k *Known) { p.Claimed = true; k.Projector = &p }
}

var (
	live       = says(Projector{Published: true, CaughtUp: true, Events: 9})
	atTail     = says(Projector{CaughtUp: true, Events: 9})
	behind     = says(Projector{CaughtUp: true, Events: 9, LagSeconds: 2})
	published  = live
	stopped    = func(k *Known) { k.Running = false }
	empty      = func(k *Known) { k.Events = 0 }
	elsewhere2 = func(k *Known) { k.Store = "2" }
)

func ended(kind JobKind, result *contract.Result, attempt int) func(*Known) {
	return func(k *Known) {
		k.Job = &Job{Kind: kind, Ended: true, Result: result, Attempt: attempt, RetryAt: noon.Add(time.Minute)}
	}
}

func runs(kind JobKind) func(*Known) {
	return func(k *Known) { k.Job = &Job{Kind: kind, Attempt: 3} }
}

func compared(at string, changed int64) func(*Known) {
	return ended(JobVerify, &contract.Result{Done: true, Diff: &contract.Diff{AtID: at, Same: 100 - changed, Changed: changed}}, 1)
}

func differs(changed int64) func(*Known) {
	return func(k *Known) { k.Diff = &v1alpha1.RevisionDiff{AtID: "1-0", Same: 100 - changed, Changed: changed} }
}

func percent(n int32) func(*Input) { return func(in *Input) { in.Spec.MaxChangedPercent = n } }

// brief tells a decision in one line: phase, revisions (a star for one that
// runs), Job, what is forgotten, fault.
func brief(d Decision) string {
	out := []string{string(d.Phase)}
	for _, s := range d.Revisions {
		star := ""
		if s.Run {
			star = strings.Repeat("*", 1+int(s.Replicas))
		}
		if s.Name == d.Active {
			star += "!"
		}
		out = append(out, fmt.Sprintf("%s%s=%s", s.Name, star, s.State))
	}
	if d.Job != nil {
		out = append(out, fmt.Sprintf("%s(%s,%s,%d,%t)", d.Job.Kind, d.Job.Revision, d.Job.Against, d.Job.Attempt, d.Job.Published))
	}
	if len(d.Forget) > 0 {
		out = append(out, fmt.Sprintf("forget%v", d.Forget))
	}
	if d.Fault != nil {
		out = append(out, d.Fault.Reason)
	}
	for _, e := range d.Finished {
		out = append(out, fmt.Sprintf("%s:%s", e.Revision, e.Outcome))
	}
	return strings.Join(out, " ")
}

func TestNext(t *testing.T) {
	a := is("a", v1alpha1.RevisionActive, live)
	const building, verifying, held, promoting, retained, retiring = v1alpha1.RevisionBuilding, v1alpha1.RevisionVerifying, v1alpha1.RevisionHeld,
		v1alpha1.RevisionPromoting, v1alpha1.RevisionRetained, v1alpha1.RevisionRetiring
	inPlace := func(in *Input) { in.Spec.Strategy = v1alpha1.ReplayInPlace }
	manual := func(in *Input) { in.Spec.Mode = v1alpha1.PromotionManual }
	approve := func(in *Input) { in.Spec.Approve = "b" }
	moved := func(in *Input) { in.Store = "2" }
	failed := func(reason string) *contract.Result { return problem(reason, true) }
	tests := map[string]struct {
		in   Input
		want string
	}{
		"the first revision builds":                     {given(""), "Building b**=Building"},
		"it is published by its claim":                  {given("", is("b", building, says(Projector{Published: true}))), "Building b**!=Building"},
		"it is active once it has caught up":            {given("b", is("b", building, live)), "Steady b**!=Active b:Promoted"},
		"and stays so while it is behind":               {given("b", is("b", v1alpha1.RevisionActive)), "Steady b**!=Active"},
		"suspended, nothing runs":                       {given("b", is("b", v1alpha1.RevisionActive)).with(func(in *Input) { in.Spec.Suspend = true }), "Steady b*!=Active"},
		"what folded nothing is stopped":                {given("a", is("a", building, says(Projector{Published: true}))), "Replacing a!=Building b=Building"},
		"and then gives way":                            {given("a", is("a", building, empty, stopped), is("b", building, stopped)), "Replacing a!=Building b**=Building"},
		"it is removed when the other has claimed":      {given("a", is("a", building, empty, stopped), is("b", building, says(Projector{Published: true}))), "Building b**!=Building a=Retiring a:Superseded"},
		"it goes on if it folded something after all":   {given("a", is("a", building, empty, stopped), is("b", building, says(Projector{}))), "Replaying a**!=Building b**=Building"},
		"a candidate is built beside what is read":      {given("a", a), "Replaying a**!=Active b**=Building"},
		"it is not compared before it has caught up":    {given("a", a, is("b", building, behind)), "Replaying a**!=Active b**=Building"},
		"it is compared at the tail":                    {given("a", a, is("b", building, atTail)), "Verifying a**!=Active b**=Verifying"},
		"or when it is complete":                        {given("a", a, is("b", building, says(Projector{Completed: true, Events: 1}))), "Verifying a**!=Active b**=Verifying"},
		"the Job begins when status says so":            {given("a", a, is("b", verifying, atTail)), "Verifying a**!=Active b**=Verifying verify(b,a,1,false)"},
		"a Job that runs goes on":                       {given("a", a, is("b", verifying, atTail, runs(JobVerify))), "Verifying a**!=Active b**=Verifying verify(b,a,3,false)"},
		"also while suspended":                          {given("a", a, is("b", verifying, runs(JobVerify))).with(func(in *Input) { in.Spec.Suspend = true }), "Verifying a*!=Active b*=Verifying verify(b,a,3,false)"},
		"but none is begun then":                        {given("a", a, is("b", verifying)).with(func(in *Input) { in.Spec.Suspend = true }), "Verifying a*!=Active b*=Verifying"},
		"few changes pass the gate":                     {given("a", a, is("b", verifying, compared("1-0", 20))), "Promoting a**!=Active b**=Promoting"},
		"many are held":                                 {given("a", a, is("b", verifying, compared("1-0", 21))), "Held a**!=Active b**=Held"},
		"within a limit of nothing, nothing may change": {given("a", a, is("b", verifying, compared("1-0", 0))).with(percent(0)), "Promoting a**!=Active b**=Promoting"},
		"and one change is one too many":                {given("a", a, is("b", verifying, compared("1-0", 1))).with(percent(0)), "Held a**!=Active b**=Held"},
		"within one of a hundred all may":               {given("a", a, is("b", verifying, compared("1-0", 100))).with(percent(100)), "Promoting a**!=Active b**=Promoting"},
		"without a common ID it is held":                {given("a", a, is("b", verifying, compared("", 0))), "Held a**!=Active b**=Held"},
		"by hand it is held":                            {given("a", a, is("b", verifying, compared("1-0", 0))).with(manual), "Held a**!=Active b**=Held"},
		"held it waits, and its Job is deleted":         {given("a", a, is("b", held, differs(50), compared("1-0", 50))), "Held a**!=Active b**=Held forget[b]"},
		"approved it is published":                      {given("a", a, is("b", held, differs(50))).with(approve), "Promoting a**!=Active b**=Promoting"},
		"an approval of another is none":                {given("a", a, is("b", held, differs(50))).with(func(in *Input) { in.Spec.Approve = "c" }), "Held a**!=Active b**=Held"},
		"a raised limit lets it pass":                   {given("a", a, is("b", held, differs(50))).with(percent(50)), "Promoting a**!=Active b**=Promoting"},
		"a cutover begins when status says so":          {given("a", a, is("b", promoting, atTail)), "Promoting a**!=Active b**=Promoting cutover(b,a,1,false)"},
		"its end makes it active":                       {given("a", a, is("b", promoting, atTail, ended(JobCutover, &contract.Result{Done: true}, 1))), "Steady b**!=Active a**=Retained b:Promoted"},
		"so does its projector's word":                  {given("a", a, is("b", promoting, published)), "Steady b**!=Active a**=Retained b:Promoted"},
		"without a window the old one goes":             {given("a", a, is("b", promoting, published)).with(func(in *Input) { in.Spec.RollbackWindow = 0 }), "Steady b**!=Active a=Retiring b:Promoted"},
		"its Job is deleted once status has it":         {given("b", is("b", v1alpha1.RevisionActive, atTail, ended(JobCutover, &contract.Result{Done: true}, 1))), "Steady b**!=Active forget[b]"},
		"also when projectors know":                     {given("b", is("b", v1alpha1.RevisionActive, live, ended(JobCutover, &contract.Result{Done: true}, 1))), "Steady b**!=Active forget[b]"},
		"a word of before a cutover counts no more":     {given("b", is("b", v1alpha1.RevisionActive, atTail, ended(JobCutover, &contract.Result{Done: true}, 1)), is("a", retained, live)), "Steady b**!=Active a**=Retained forget[b]"},
		"a failed comparison waits":                     {given("a", a, is("b", verifying, atTail, ended(JobVerify, failed(contract.ReasonNotComparable), 1))), "Verifying a**!=Active b**=Verifying VerifyFailed"},
		"approved, it is not needed":                    {given("a", a, is("b", verifying, atTail, ended(JobVerify, failed(contract.ReasonNotComparable), 1))).with(approve), "Promoting a**!=Active b**=Promoting"},
		"it is tried again":                             {given("a", a, is("b", verifying, atTail, ended(JobVerify, nil, 1))).with(func(in *Input) { in.Now = noon.Add(time.Hour) }), "Verifying a**!=Active b**=Verifying verify(b,a,2,false)"},
		"a failed cutover waits":                        {given("a", a, is("b", promoting, ended(JobCutover, failed(contract.ReasonNotOwned), 1))), "Promoting a**!=Active b**=Promoting CutoverFailed"},
		"nothing whole to compare with":                 {given("a", is("a", building, says(Projector{Published: true, Events: 5})), is("b", building, atTail)), "Promoting a**!=Building b**=Promoting"},
		"back to the active one":                        {given("b", is("b", v1alpha1.RevisionActive, live), is("c", building)), "Steady b**!=Active c=Retiring c:CalledOff"},
		"the newest edit wins":                          {given("a", a, is("c", held, differs(50))), "Replaying a**!=Active b**=Building c=Retiring c:Superseded"},
		"a cutover that may have begun is finished":     {given("a", a, is("c", promoting)), "Promoting a**!=Active c**=Promoting cutover(c,a,1,false)"},
		"one that died may have begun":                  {given("a", a, is("c", promoting, ended(JobCutover, nil, 1))), "Promoting a**!=Active c**=Promoting"},
		"one that touched nothing is called off":        {given("a", a, is("c", promoting, ended(JobCutover, failed(contract.ReasonNotOwned), 1))), "Replaying a**!=Active b**=Building c=Retiring c:Superseded"},
		"back to a retained one":                        {given("a", a, is("b", retained, atTail)), "RollingBack a**!=Active b**=Promoting"},
		"a window ends":                                 {given("b", is("b", v1alpha1.RevisionActive, live), is("a", retained)).with(func(in *Input) { in.Now = noon.Add(time.Minute) }), "Steady b**!=Active a=Retiring"},
		"it is removed when its pod is gone":            {given("b", is("b", v1alpha1.RevisionActive, live), is("a", retiring, stopped)), "Steady b**!=Active a=Retiring retire(a,,1,false)"},
		"not before":                                    {given("b", is("b", v1alpha1.RevisionActive, live), is("a", retiring)), "Steady b**!=Active a=Retiring"},
		"removed it leaves the list":                    {given("b", is("b", v1alpha1.RevisionActive, live), is("a", retiring, stopped, ended(JobRetire, &contract.Result{Done: true}, 1))), "Steady b**!=Active"},
		"and its Job is deleted":                        {given("b", is("b", v1alpha1.RevisionActive, live), is("a", "", stopped, ended(JobRetire, &contract.Result{Done: true}, 1))), "Steady b**!=Active forget[a]"},
		"what is removed is not begun again before":     {given("a", a, is("b", retiring, stopped)), "Replaying a**!=Active b=Retiring retire(b,,1,false)"},
		"a removal that has not begun is taken back":    {given("a", a, is("b", retiring, atTail)), "Verifying a**!=Active b**=Verifying"},
		"the oldest makes room": {given("a", a, is("c", retained), is("d", retained, func(k *Known) { k.RetainedUntil = noon.Add(time.Second) }), is("e", retained)),
			"Replaying a**!=Active c**=Retained d=Retiring e**=Retained"},
		"history is required":                   {given("a", a).with(func(in *Input) { in.History = HistoryIncomplete }), "Blocked a**!=Active HistoryRequired"},
		"also in place":                         {given("a", a).with(func(in *Input) { in.History = HistoryIncomplete }).with(inPlace), "Blocked a**!=Active HistoryRequired"},
		"unless what there is will do":          {given("a", a).with(func(in *Input) { in.History, in.Spec.History = HistoryIncomplete, v1alpha1.HistoryAvailable }), "Replaying a**!=Active b**=Building"},
		"in place the old one stops":            {given("a", a).with(inPlace), "Emptying a!=Retiring"},
		"then it is emptied":                    {given("a", is("a", retiring, stopped)).with(inPlace), "Emptying a!=Retiring retire(a,,1,true)"},
		"not while anything runs":               {given("a", is("a", retiring, stopped), is("c", retiring)).with(inPlace), "Emptying a!=Retiring c=Retiring"},
		"then the new one runs":                 {given("a", is("a", retiring, stopped, ended(JobRetire, &contract.Result{Done: true}, 1))).with(inPlace), "Building b**=Building"},
		"emptying goes on whatever is wanted":   {given("a", is("a", retiring, stopped)).with(func(in *Input) { in.Desired = "a" }), "Emptying a!=Retiring retire(a,,1,true)"},
		"if it has not begun it is taken back":  {given("a", is("a", retiring, func(k *Known) { k.PromotedAt = noon })).with(func(in *Input) { in.Desired = "a" }), "Steady a**!=Active"},
		"moved it is the first there":           {given("a", a, is("b", building, behind, elsewhere2)).with(moved), "Replaying a**!=Active b**=Building"},
		"and active when it has caught up":      {given("a", a, is("b", building, live, elsewhere2)).with(moved), "Steady b**!=Active a**=Retained b:Promoted"},
		"by hand it waits":                      {given("a", a, is("b", building, live, elsewhere2)).with(moved).with(manual), "Held a**!=Active b**=Held"},
		"the old server is left":                {given("b", is("b", v1alpha1.RevisionActive, live, elsewhere2), is("a", retiring, stopped)).with(moved), "Steady b**!=Active a=Retiring retire(a,,1,true)"},
		"complete it needs no projector":        {given("b", is("b", v1alpha1.RevisionActive, stopped, func(k *Known) { k.Completed = true })), "Completed b*!=Active"},
		"an invalid spec stops nothing":         {given("a", a, is("c", building)).with(func(in *Input) { in.Invalid = &Fault{Reason: "X"} }), "Blocked a**!=Active c**=Building X"},
		"and starts nothing":                    {given("").with(func(in *Input) { in.Rival = "x/y" }), "Blocked TargetConflict"},
		"what is invalid first counts first":    {given("").with(func(in *Input) { in.Rival, in.Invalid = "x/y", &Fault{Reason: "X"} }), "Blocked X"},
		"an invalid spec lets a cutover finish": {given("a", a, is("c", promoting)).with(func(in *Input) { in.Invalid = &Fault{Reason: "X"} }), "Blocked a**!=Active c**=Promoting cutover(c,a,1,false) X"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := brief(Next(tc.in)); got != tc.want {
				t.Errorf("\n got %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestTheGateIsExact(t *testing.T) {
	for _, tc := range []struct {
		same, added, removed, changed int64
		percent                       int32
		want                          bool
	}{
		{0, 0, 0, 0, 0, true},
		{80, 10, 5, 5, 20, true},
		{799, 100, 50, 51, 20, false},
		{100, 0, 0, 1, 0, false},
		{0, 5, 0, 0, 100, true},
		{math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, 75, true},
		{math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, 74, false},
	} {
		d := &v1alpha1.RevisionDiff{AtID: "1-0", Same: tc.same, Added: tc.added, Removed: tc.removed, Changed: tc.changed}
		if got := within(d, tc.percent); got != tc.want {
			t.Errorf("%+v: %t", tc, got)
		}
	}
}
