package main

import "github.com/refold-dev/refold/projector/contract"

const revision = "bench000"

func ledgerOf(revision string) string { return "refold:{bench/users}:" + revision + ":0" }

// Reducers that a contract of the bench names.
const (
	rulesReducer = "Rules"
	goReducer    = "Bench" // of hack/bench/goreducer
)

// document is the contract of the fold that model does.
func document(addr, reducer string) contract.Document {
	at := contract.Redis{URL: "redis://" + addr + "/0"}
	d := contract.Document{
		Projection: "bench/users", UID: "bench", Revision: revision,
		Source:  contract.Source{Redis: at, Stream: stream, From: "0", Format: contract.FormatFields, TypeField: "type"},
		Reducer: contract.Reducer{Type: reducer, Key: "event.id"},
		ReadModel: contract.ReadModel{
			Fields: []contract.Field{
				{Name: "id", Type: contract.TypeString}, {Name: "name", Type: contract.TypeString},
				{Name: "email", Type: contract.TypeString}, {Name: "city", Type: contract.TypeString},
				{Name: "orders", Type: contract.TypeInteger}, {Name: "spent", Type: contract.TypeInteger},
			},
			RedisHash: &contract.RedisHash{Redis: at, KeyPrefix: keyPrefix},
		},
		ErrorPolicy: contract.ErrorPolicy{OnError: contract.OnErrorHalt},
	}
	if reducer == rulesReducer {
		d.Reducer.Rules = []contract.Rule{
			{On: []string{"UserCreated"}, Set: map[string]string{"id": "event.id", "name": "event.name", "email": "event.email"}},
			{On: []string{"EmailUpdated"}, Set: map[string]string{"email": "event.email"}},
			{On: []string{"AddressUpdated"}, Set: map[string]string{"city": "event.city"}},
			{On: []string{"OrderPlaced"}, Add: map[string]string{"orders": "1", "spent": "int(event.cents)"}},
		}
	}
	return d
}

// liveDocument folds events that carry a number, so that one can see which of
// them is in a hash.
func liveDocument(addr string) contract.Document {
	d := document(addr, rulesReducer)
	d.ReadModel.Fields = append(d.ReadModel.Fields, contract.Field{Name: seqField, Type: contract.TypeInteger})
	d.Reducer.Rules = []contract.Rule{
		{On: []string{"EmailUpdated"}, Set: map[string]string{"email": "event.email", seqField: "int(event.seq)"}},
	}
	return d
}
