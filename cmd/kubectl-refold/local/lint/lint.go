// Package lint says of a manifest all that the API server and the operator
// would say, and gives advice. It needs no cluster and changes nothing.
package lint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/cmd/kubectl-refold/local/admission"
	"github.com/refold-dev/refold/cmd/kubectl-refold/local/manifest"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/reduce/rules"
)

// Severity says what a finding comes to.
type Severity string

// Values of Severity.
const (
	Error   Severity = "error"   // the API server or the operator refuses it
	Warning Severity = "warning" // it is most likely not what was meant
	Note    Severity = "note"    // it is good to know
)

// Who says so.
const (
	FromYAML      = "yaml"
	FromAdmission = "admission" // the API server
	FromOperator  = "operator"
	FromAdvice    = "advice"
)

// Finding is one thing that is said of a manifest.
type Finding struct {
	Severity   Severity `json:"severity"`
	File       string   `json:"file"`
	Line       int      `json:"line,omitempty"` // 0 in a kustomization
	Column     int      `json:"column,omitempty"`
	Projection string   `json:"projection,omitempty"`
	Path       string   `json:"path,omitempty"` // "spec.reducer.rules[0].set.email"
	Message    string   `json:"message"`
	Excerpt    string   `json:"excerpt,omitempty"` // of an expression, with a caret below
	From       string   `json:"from"`
	Check      string   `json:"check,omitempty"` // the name of an advice, or a reason of the operator
}

// Linter holds what all manifests are checked by.
type Linter struct {
	admission *admission.Validator
	registry  projector.Registry
}

// New takes the reducers that manifests may name.
func New(registry projector.Registry) (*Linter, error) {
	validator, err := admission.NewValidator()
	if err != nil {
		return nil, err
	}
	return &Linter{validator, registry}, nil
}

// Problem is a finding about a document that could not be read.
func Problem(p *manifest.Problem) Finding {
	return Finding{Severity: Error, File: p.File, Line: p.Line, Column: p.Column, Message: p.Message, From: FromYAML}
}

// Document checks one object of Refold's.
func (l *Linter) Document(ctx context.Context, d *manifest.Document) []Finding {
	r := &report{document: d}
	if !d.IsProjection() {
		r.add(Error, FromAdmission, "", d.Key("kind"), "no matches for kind %q in version %q: write kind: %s and apiVersion: %s",
			d.Kind(), d.APIVersion(), manifest.Kind, v1alpha1.GroupVersion)
		return r.findings
	}
	object := runtime.DeepCopyJSON(d.Object)
	giveNamespace(object)
	unknown, invalid := l.admission.Admit(ctx, object)
	r.admission(l.admission, unknown, invalid)
	p, err := manifest.Decode(object)
	if err != nil {
		if len(r.findings) == 0 {
			r.add(Error, FromAdmission, "", d.At(), "%v", err)
		}
		return r.findings
	}
	l.operator(r, p)
	advise(r, p)
	return r.sorted()
}

// giveNamespace does what kubectl does.
func giveNamespace(object map[string]any) {
	metadata, ok := object["metadata"].(map[string]any)
	if ok && metadata["namespace"] == nil {
		metadata["namespace"] = "default"
	}
}

// report gathers what is said of one document.
type report struct {
	document *manifest.Document
	findings []Finding
}

func (r *report) add(severity Severity, from, path string, at manifest.Position, format string, args ...any) *Finding {
	r.findings = append(r.findings, Finding{
		Severity: severity, From: from, Path: path, Projection: r.document.Name(),
		File: at.File, Line: at.Line, Column: at.Column, Message: fmt.Sprintf(format, args...),
	})
	return &r.findings[len(r.findings)-1]
}

// refused tells what the API server refuses already: the path, or what holds it.
func (r *report) refused(path string) bool {
	return slices.ContainsFunc(r.findings, func(f Finding) bool {
		return f.From == FromAdmission && (f.Path == path || f.Path == parent(path))
	})
}

// refusedWithin tells whether the API server refuses something at path or below.
func (r *report) refusedWithin(path string) bool {
	return slices.ContainsFunc(r.findings, func(f Finding) bool {
		rest, within := strings.CutPrefix(f.Path, path)
		return f.From == FromAdmission && within && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

func (r *report) admission(v *admission.Validator, unknown []string, invalid field.ErrorList) {
	for _, path := range unknown {
		name := strings.TrimPrefix(path, parent(path)+".")
		r.add(Error, FromAdmission, path, r.document.Key(path), "unknown field %q%s", path, suggestion(name, v.Fields(parent(path))))
	}
	for _, err := range invalid {
		path := err.Field
		if path == "<nil>" { // that CEL rules were not checked
			r.add(Note, FromAdmission, "", r.document.At(), "%s", err.Detail)
			continue
		}
		at := r.document.Value(path)
		if !r.document.Has(path) {
			at = r.document.Key(parent(path))
		}
		r.add(Error, FromAdmission, path, at, "%s", err.ErrorBody())
	}
}

func suggestion(name string, names []string) string {
	if near := cli.Close(name, names); len(near) > 0 {
		return fmt.Sprintf("; did you mean %s?", strings.Join(near, " or "))
	}
	return ""
}

// parent is the path of what holds the field.
func parent(path string) string {
	if i := strings.LastIndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return ""
}

// operator says what the operator would say before it starts anything.
func (l *Linter) operator(r *report, p *v1alpha1.Projection) {
	source := plan.Defaulted(p.Spec).Source
	r.check("spec.source.from", plan.CheckFrom(source.From))
	r.check("spec.source.until", plan.CheckUntil(source.From, source.Until))
	r.check("spec.projector.resources.limits.memory", resources.CheckMemory(p.Spec.Projector))
	if r.refusedWithin("spec.readModel.fields") || r.refused("spec.source.format") || r.refused("spec.reducer.type") {
		return // what the compiler would say follows from that
	}
	for _, err := range each(Compile(l.registry, resources.Document(p))) {
		r.compilation(err)
	}
}

// check adds what the operator alone refuses.
func (r *report) check(path string, err error) {
	if err == nil || r.refused(path) {
		return
	}
	message := strings.TrimPrefix(err.Error(), strings.TrimPrefix(path, "spec.")+": ")
	r.add(Error, FromOperator, path, r.document.Value(path), "%s", message).Check = v1alpha1.ReasonInvalidSpec
}

// Compile compiles a contract's reducer as a projector would.
func Compile(registry projector.Registry, d contract.Document) error {
	schema, err := projector.NewSchema(d.ReadModel.Fields)
	if err != nil {
		return err
	}
	_, err = registry.New(projector.Config{Reducer: d.Reducer, Format: d.Source.Format, Schema: schema})
	return err
}

// each takes joined errors apart.
func each(err error) []error {
	var joined interface{ Unwrap() []error }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &joined):
		return joined.Unwrap()
	}
	return []error{err}
}

func (r *report) compilation(err error) {
	var found *rules.Finding
	if !errors.As(err, &found) {
		r.add(Error, FromOperator, "spec.reducer", r.document.Key("spec.reducer"), "%v", err).Check = v1alpha1.ReasonInvalidReducer
		return
	}
	path := "spec." + found.Place
	if r.refused(path) {
		return // the API server has said it
	}
	at := r.document.Value(path)
	if found.Line > 0 {
		at = r.document.Inside(path, found.Line, found.Column)
	}
	f := r.add(Error, FromOperator, path, at, "%s", found.Message)
	f.Excerpt, f.Check = found.Excerpt, v1alpha1.ReasonInvalidReducer
}

// sorted puts what stands first in the file first.
func (r *report) sorted() []Finding {
	slices.SortStableFunc(r.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.findings
}
