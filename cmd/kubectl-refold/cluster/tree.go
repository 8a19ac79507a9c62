package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// node is a line of a tree and what stands below it.
type node struct {
	text string
	more []string // further lines of the same node
	kids []node
}

// render writes a tree with its branches.
func render(out *strings.Builder, nodes []node, indent string) {
	for i, n := range nodes {
		branch, below := "├─ ", "│  "
		if i == len(nodes)-1 {
			branch, below = "└─ ", "   "
		}
		fmt.Fprintln(out, indent+branch+n.text)
		for _, line := range n.more {
			hang := "   "
			if len(n.kids) > 0 {
				hang = "│  "
			}
			fmt.Fprintln(out, indent+below+hang+line)
		}
		render(out, n.kids, indent+below)
	}
}

// drawing draws views as of one moment.
type drawing struct {
	paint   cli.Paint
	columns int // 0: no bound
	now     time.Time
	version string
}

// draw is the whole of status.
func (d drawing) draw(v *view) string {
	var out strings.Builder
	d.head(&out, v)
	var nodes []node
	for _, r := range v.revisions() {
		nodes = append(nodes, d.revision(v, r))
	}
	if rest := d.unrelated(v); len(rest) > 0 {
		nodes = append(nodes, rest...)
	}
	render(&out, nodes, "")
	d.held(&out, v)
	d.events(&out, v)
	for _, missing := range v.Missing {
		fmt.Fprintln(&out, d.paint.Faint("not shown: "+cli.Safe(missing)))
	}
	for _, strange := range v.strange(d.version) {
		fmt.Fprintln(&out, d.paint.Busy("hint: "+strange))
	}
	if v.trouble != nil {
		fmt.Fprintln(&out, d.paint.Bad("what is above may be old: "+cli.Safe(v.trouble.Error())+"; trying again"))
	}
	return out.String()
}

// head says what it is and how it stands.
func (d drawing) head(out *strings.Builder, v *view) {
	word, colour := cli.Safe(v.standing()), d.colour(v.standing())
	title := d.paint.Strong(v.path()) + "   " + colour(word)
	if reason := v.reason(); reason != "" && reason != word {
		title += colour(": " + cli.Safe(reason))
	}
	if v.Spec.Suspend && word != v1alpha1.ReasonSuspended {
		title += d.paint.Busy("   suspended")
	}
	if !v.DeletionTimestamp.IsZero() {
		title += d.paint.Busy("   being deleted")
	}
	fmt.Fprintln(out, title)
	fmt.Fprintln(out, d.paint.Faint(d.clip(cli.Safe(wayOf(v)))))
	if !v.is(v1alpha1.ConditionHeld) { // which has words of its own, below
		d.prose(out, "", v.message())
	}
	switch {
	case len(v.Status.Conditions) == 0:
		fmt.Fprintln(out, d.paint.Busy("if that lasts: is the operator there? kubectl -n refold-system get pods"))
	case !v.seen():
		fmt.Fprintln(out, d.paint.Busy("the operator has not seen the newest spec yet; what is below is of the one before"))
	}
	if c := v.condition(v1alpha1.ConditionHistoryComplete); c != nil && c.Status == "False" {
		d.prose(out, "history: ", c.Message)
	}
	fmt.Fprintln(out)
}

// wayOf is from where to where a Projection folds.
func wayOf(v *view) string {
	source, hash := v.Spec.Source, v.Spec.ReadModel.RedisHash
	text := fmt.Sprintf("%s at %s → hashes %s*", source.Stream, withoutUser(string(source.Redis.URL)), hash.KeyPrefix)
	if hash.URL != "" {
		text += " at " + withoutUser(string(hash.URL))
	}
	if hash.Cutover == v1alpha1.CutoverPointer {
		text += ", by pointer"
	}
	return text
}

func (d drawing) colour(standing string) func(string) string {
	switch standing {
	case v1alpha1.ConditionReady:
		return d.paint.Good
	case v1alpha1.ConditionStalled:
		return d.paint.Bad
	}
	return d.paint.Busy
}

// prose writes text of the operator, broken to the terminal's width.
func (d drawing) prose(out *strings.Builder, title, text string) {
	for _, line := range cli.Wrap(title+cli.Safe(text), d.columns) {
		fmt.Fprintln(out, line)
	}
}

// indent is what is left of a width beside an indent; 0 stays no bound.
func indent(columns, by int) int {
	if columns == 0 {
		return 0
	}
	return max(columns-by, 20)
}

func (d drawing) clip(text string) string { return cli.Clip(text, d.columns) }

// revision is the branch of one revision.
func (d drawing) revision(v *view, r v1alpha1.RevisionStatus) node {
	text := fmt.Sprintf("%s  %s", d.paint.Strong(cli.Safe(r.Name)), d.state(r.State))
	if note := d.note(v, r); note != "" {
		text += "  " + note
	}
	out := node{text: text}
	if r.Diff != nil && r.State != v1alpha1.RevisionActive && r.State != v1alpha1.RevisionRetained {
		for _, line := range d.diff(*r.Diff) {
			out.more = append(out.more, cli.Wrap(line, indent(d.columns, 6))...)
		}
	}
	if line := d.partition(v, r); line != "" {
		out.kids = append(out.kids, node{text: line})
	}
	for _, pod := range v.podsOf(r.Name) {
		out.kids = append(out.kids, node{text: d.pod(pod)})
	}
	return out
}

func (d drawing) state(state v1alpha1.RevisionState) string {
	switch state {
	case v1alpha1.RevisionActive:
		return d.paint.Good(string(state))
	case v1alpha1.RevisionFailed:
		return d.paint.Bad(string(state))
	case v1alpha1.RevisionRetained, v1alpha1.RevisionRetiring:
		return d.paint.Faint(string(state))
	}
	return d.paint.Busy(cli.Safe(string(state)))
}

// note is what the state of a revision leaves open.
func (d drawing) note(v *view, r v1alpha1.RevisionStatus) string {
	switch {
	case r.State == v1alpha1.RevisionRetained && r.RetainedUntil != nil:
		if left := r.RetainedUntil.Sub(d.now); left > 0 {
			return fmt.Sprintf("until %s, %s left to roll back", d.clock(r.RetainedUntil.Time), duration.HumanDuration(left))
		}
		return "its window is over"
	case r.State == v1alpha1.RevisionActive && r.Completed:
		return "complete up to " + cli.Safe(v.Spec.Source.Until)
	case r.State == v1alpha1.RevisionActive && r.PromotedAt != nil:
		return "what readers read, for " + age(d.now, r.PromotedAt.Time)
	case r.State == v1alpha1.RevisionActive:
		return "what readers read"
	case r.State == v1alpha1.RevisionRetiring:
		return "is being removed"
	case r.Progress != nil:
		return progressText(r, d.barWidth())
	}
	return ""
}

func (d drawing) barWidth() int {
	if d.columns > 0 && d.columns < 100 {
		return 12
	}
	return 24
}

// clock is the time of day, with the date where it is another day's.
func (d drawing) clock(t time.Time) string {
	t, now := t.Local(), d.now.Local()
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// age is how long ago t was; another machine's clock may be ahead of this one's.
func age(now, t time.Time) string { return duration.HumanDuration(max(0, now.Sub(t))) }

// progressText is a bar, percent, rate and time to go.
func progressText(r v1alpha1.RevisionStatus, width int) string {
	p := r.Progress
	var parts []string
	if p.Percent != nil {
		parts = append(parts, fmt.Sprintf("%s %d %%", cli.Bar(float64(*p.Percent), width), *p.Percent))
	}
	if r.State == v1alpha1.RevisionBuilding && p.EventsPerSecond > 0 {
		parts = append(parts, cli.Count(p.EventsPerSecond)+"/s")
	}
	if r.State == v1alpha1.RevisionBuilding && p.EtaSeconds != nil {
		parts = append(parts, duration.HumanDuration(time.Duration(*p.EtaSeconds)*time.Second)+" to go")
	}
	if p.Events > 0 {
		parts = append(parts, cli.Count(p.Events)+" events")
	}
	return strings.Join(parts, "  ")
}

// partition is position, lag and rate of a revision's stream.
func (d drawing) partition(v *view, r v1alpha1.RevisionStatus) string {
	stream, position := v.Spec.Source.Stream, r.LastAckedID
	active := r.Name == v.Status.ActiveRevision
	var lag *int64
	var seconds int64
	if active {
		lag = v.Status.LagEvents
		if v.Status.LagSeconds != nil {
			seconds = *v.Status.LagSeconds
		}
		for _, p := range v.Status.Partitions {
			stream, position = p.Stream, p.LastAckedID
		}
	}
	said := v.reading(r.Name)
	if said != nil && said.Claimed {
		stream, position = said.Stream, said.Position
		lag, seconds = nil, said.LagSeconds
		if said.LagEvents >= 0 {
			lag = &said.LagEvents
		}
	}
	if position == "" {
		return ""
	}
	parts := []string{cli.Safe(stream), "at " + cli.Safe(position)}
	if lag != nil {
		parts = append(parts, lagText(*lag, seconds))
	}
	if rate, ok := d.rate(v, r, said); ok {
		parts = append(parts, rate)
	}
	if said != nil {
		parts = append(parts, d.partitionState(*said))
	}
	return strings.Join(parts, "  ")
}

func lagText(events, seconds int64) string {
	if events == 0 {
		return "lag 0"
	}
	return fmt.Sprintf("lag %s, %s behind", cli.Count(events), duration.HumanDuration(time.Duration(seconds)*time.Second))
}

// rate is how many events a second are folded: as the projector says, else as
// seen between two looks. A revision that is being built has it beside its bar.
func (d drawing) rate(v *view, r v1alpha1.RevisionStatus, said *contract.Partition) (string, bool) {
	if r.State == v1alpha1.RevisionBuilding && r.Progress != nil {
		return "", false
	}
	if said != nil {
		return cli.Count(int64(said.EventsPerSecond)) + "/s", true
	}
	rate, ok := v.Rates[r.Name]
	return cli.Count(int64(rate)) + "/s", ok
}

func (d drawing) partitionState(p contract.Partition) string {
	if p.Problem != nil {
		return d.paint.Bad(cli.Safe(string(p.State) + ": " + p.Problem.Reason))
	}
	return d.paint.Faint(cli.Safe(string(p.State)))
}

// pod is the line of a pod of a projector or a Job.
func (d drawing) pod(pod corev1.Pod) string {
	kind := "pod"
	if !resources.IsProjector(pod.Labels) {
		kind = string(resources.ComponentOf(pod.Labels)) + " job"
	}
	word, bad := podWord(pod)
	if bad {
		word = d.paint.Bad(word)
	}
	text := fmt.Sprintf("%s %s  %s", kind, pod.Name, word)
	if n := restarts(pod); n > 0 {
		text += d.paint.Busy(fmt.Sprintf("  %d restarts", n))
	}
	text += "  " + age(d.now, pod.CreationTimestamp.Time)
	if pod.Spec.NodeName != "" && (d.columns == 0 || d.columns >= 100) {
		text += "  on " + pod.Spec.NodeName
	}
	return text
}

// podWord is the state of a pod as kubectl says it, and whether it is a bad one.
func podWord(pod corev1.Pod) (word string, bad bool) {
	if pod.DeletionTimestamp != nil {
		return "Terminating", false
	}
	for _, c := range pod.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil && w.Reason != "" {
			return cli.Safe(w.Reason), w.Reason != "ContainerCreating" && w.Reason != "PodInitializing"
		}
		if t := c.State.Terminated; t != nil && t.ExitCode != 0 {
			return cli.Safe(t.Reason), true
		}
		if pod.Status.Phase == corev1.PodRunning && !c.Ready {
			return "Running, not ready", false
		}
	}
	return string(pod.Status.Phase), pod.Status.Phase == corev1.PodFailed
}

func restarts(pod corev1.Pod) (n int32) {
	for _, c := range pod.Status.ContainerStatuses {
		n += c.RestartCount
	}
	return n
}

// unrelated are pods of revisions that status does not name, as of a Job that
// removes everything.
func (d drawing) unrelated(v *view) (out []node) {
	for _, pod := range v.Pods {
		name := pod.Labels[v1alpha1.RevisionLabel]
		if !slices.ContainsFunc(v.revisions(), func(r v1alpha1.RevisionStatus) bool { return r.Name == name }) {
			out = append(out, node{text: d.pod(pod)})
		}
	}
	return out
}

// withoutUser is a URL without user and password, wherever they may stand.
func withoutUser(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return url
	}
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		rest = rest[at+1:]
	}
	rest, _, _ = strings.Cut(rest, "?")
	return scheme + "://" + rest
}
