package history

import "github.com/refold-dev/refold/projector/contract"

// Names in the document that Contract returns.
const (
	Projection = "chaos/torture"
	Revision   = "r1"
	Stream     = "torture_events"
	Prefix     = "e:"
)

// Contract is the document for this history, with the servers left out. Its
// rules say what (*state).apply does.
func (h *History) Contract() contract.Document {
	key := "event.id"
	if h.shape.Pairs {
		key = "has(event.to) ? [event.id, event.to] : [event.id]"
	}
	return contract.Document{
		Projection:  Projection,
		UID:         "0e8a",
		Revision:    Revision,
		Source:      contract.Source{Stream: Stream, From: "0", Format: contract.FormatFields, TypeField: "type"},
		Reducer:     contract.Reducer{Type: "Rules", Key: key, Rules: h.rules()},
		ReadModel:   contract.ReadModel{Fields: fields(), RedisHash: &contract.RedisHash{KeyPrefix: Prefix}},
		ErrorPolicy: contract.ErrorPolicy{OnError: contract.OnErrorHalt},
	}
}

func (h *History) rules() []contract.Rule {
	rules := []contract.Rule{
		{
			On:  []string{string(created), string(updated), string(counted)},
			Add: map[string]string{"events": "1", "weight": "int(event.weight)", "sum": "event.part"},
			Set: map[string]string{
				"chain": "(state.?chain.orValue(0) * 31 + int(event.weight)) % 1000003",
				"peak":  "math.greatest(state.?peak.orValue(0), int(event.weight))",
			},
		},
		{On: []string{string(created)}, Set: map[string]string{"name": "event.name", "at": "time", "seen": "event.seen"}},
		{On: []string{string(updated)}, Set: map[string]string{
			"name": "event.?name", "seen": "event.?seen", "flag": "event.?flag", "ratio": "event.?ratio", "big": "event.?big",
			"tags": "event.?tags.optMap(t, t.split(','))",
		}},
		{On: []string{string(emptied)}, Unset: fieldNames[:]},
		{On: []string{string(deleted)}, Delete: true},
	}
	if h.shape.Pairs {
		rules = append(rules, contract.Rule{On: []string{string(moved)}, Add: map[string]string{
			"events": "1", "weight": "key == event.id ? int(event.weight) : -int(event.weight)",
		}})
	}
	return rules
}

func fields() []contract.Field {
	types := [fieldCount]string{
		fieldEvents: contract.TypeInteger, fieldWeight: contract.TypeInteger, fieldSum: contract.TypeNumber,
		fieldChain: contract.TypeInteger, fieldPeak: contract.TypeInteger, fieldName: contract.TypeString,
		fieldAt: contract.TypeTimestamp, fieldSeen: contract.TypeTimestamp, fieldFlag: contract.TypeBoolean,
		fieldRatio: contract.TypeNumber, fieldBig: contract.TypeInteger, fieldTags: contract.TypeJSON,
	}
	fields := make([]contract.Field, fieldCount)
	for i, name := range fieldNames {
		fields[i] = contract.Field{Name: name, Type: types[i]}
	}
	return fields
}
