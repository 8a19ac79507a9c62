package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// Revision names what a spec folds: the first 8 characters of the lowercase
// base32 SHA-256 of the canonical JSON of source, reducer and read model, but
// their credentials and TLS, and of the replay's trigger. Two specs that fold the same have one name.
//
// A later version of Refold must give the same names, or it would ask for
// replays that nobody wants: testdata/revisions.golden says so. A new field may
// only join with omitempty, absent at its default.
func Revision(spec v1alpha1.ProjectionSpec) string {
	sum := sha256.Sum256(canonical(Defaulted(spec)))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:8]
}

type foldJSON struct {
	Source    sourceJSON    `json:"source"`
	Reducer   reducerJSON   `json:"reducer"`
	ReadModel readModelJSON `json:"readModel"`
	Trigger   string        `json:"trigger,omitempty"`
}

type sourceJSON struct {
	URL          string `json:"url"`
	Stream       string `json:"stream"`
	From         string `json:"from"`
	Until        string `json:"until,omitempty"`
	Format       string `json:"format"`
	PayloadField string `json:"payloadField,omitempty"`
	TypeField    string `json:"typeField"`
}

type reducerJSON struct {
	Type  string     `json:"type"`
	Key   string     `json:"key"`
	Rules []ruleJSON `json:"rules,omitempty"`
}

type ruleJSON struct {
	On     []string          `json:"on"`
	When   string            `json:"when,omitempty"`
	Set    map[string]string `json:"set,omitempty"`
	Add    map[string]string `json:"add,omitempty"`
	Unset  []string          `json:"unset,omitempty"`
	Delete bool              `json:"delete,omitempty"`
}

type readModelJSON struct {
	Fields    map[string]string `json:"fields"`
	RedisHash redisHashJSON     `json:"redisHash"`
}

type redisHashJSON struct {
	URL       string `json:"url"`
	KeyPrefix string `json:"keyPrefix"`
	Cutover   string `json:"cutover,omitempty"` // "" for Rename
}

// canonical renders the fold of a defaulted spec. Maps are sorted by
// encoding/json, sets here; the order of rules matters and is kept.
func canonical(spec v1alpha1.ProjectionSpec) []byte {
	fold := foldJSON{
		Source: sourceJSON{
			URL:          string(spec.Source.Redis.URL),
			Stream:       spec.Source.Stream,
			From:         StartID(spec.Source.From),
			Until:        EndID(spec.Source.Until),
			Format:       string(spec.Source.Format),
			PayloadField: spec.Source.PayloadField,
			TypeField:    spec.Source.TypeField,
		},
		Reducer: reducerJSON{Type: string(spec.Reducer.Type), Key: NormalExpression(string(spec.Reducer.Key))},
		ReadModel: readModelJSON{
			Fields: map[string]string{},
			RedisHash: redisHashJSON{
				URL:       string(spec.ReadModel.RedisHash.URL),
				KeyPrefix: spec.ReadModel.RedisHash.KeyPrefix,
			},
		},
		Trigger: spec.Replay.Trigger,
	}
	if cutover := spec.ReadModel.RedisHash.Cutover; cutover != v1alpha1.CutoverRename {
		fold.ReadModel.RedisHash.Cutover = string(cutover)
	}
	for _, rule := range spec.Reducer.Rules {
		fold.Reducer.Rules = append(fold.Reducer.Rules, canonicalRule(rule))
	}
	for _, field := range spec.ReadModel.Fields {
		fold.ReadModel.Fields[string(field.Name)] = string(field.Type)
	}
	return encode(fold)
}

func canonicalRule(rule v1alpha1.Rule) ruleJSON {
	return ruleJSON{
		On:     sorted(rule.On),
		When:   NormalExpression(string(rule.When)),
		Set:    normalExpressions(rule.Set),
		Add:    normalExpressions(rule.Add),
		Unset:  sorted(rule.Unset),
		Delete: rule.Delete,
	}
}

// Expressions turns a map of expressions into one of plain strings.
func Expressions(in map[string]v1alpha1.Expression) map[string]string {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]string, len(in))
	for name := range maps.Keys(in) {
		out[name] = string(in[name])
	}
	return out
}

func sorted[T ~string](in []T) []string {
	if len(in) == 0 {
		return nil
	}
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = string(s)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// encode leaves <, > and & as they are: an escape that encoding/json might
// change one day must not change a name.
func encode(v any) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("plan: strings and maps of strings always encode: " + err.Error())
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
