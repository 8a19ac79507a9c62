package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

func TestEveryResultFits(t *testing.T) {
	quotes, runes, angles, controls := strings.Repeat(`"\`, 32), strings.Repeat("☃", 21), strings.Repeat("<&>", 21), strings.Repeat("\x01", 64)
	for _, key := range []string{"42", quotes, runes, angles, controls} {
		r := contract.Result{Version: contract.Version, Done: true, Message: "done", Diff: &contract.Diff{
			AtID: "1795412031120-355", Same: 1 << 60, Changed: 1 << 60, Digest: strings.Repeat("f", 32), ChangedFields: map[string]int64{}}}
		for i := range 32 {
			r.Diff.ChangedFields[fmt.Sprint("field_with_a_long_name_", i)] = 1 << 60
		}
		for i := range 20 {
			r.Diff.Sample = append(r.Diff.Sample, contract.DiffSample{Key: key, Change: contract.Changed, Fields: []string{"name", fmt.Sprint("field_", i)}})
		}
		data, err := fitting(r)
		if err != nil || len(data) >= resultBytes || !utf8.Valid(data) {
			t.Fatalf("%v: %d bytes", err, len(data))
		}
		var got contract.Result
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if !got.Done || got.Diff.Same != 1<<60 || len(got.Diff.ChangedFields) != 32 || len(got.Diff.Sample) == 0 {
			t.Errorf("too much is gone: %s", data)
		}
		for i, sample := range got.Diff.Sample {
			if sample.Key != key || sample.Fields[1] != fmt.Sprint("field_", i) {
				t.Errorf("sample %d is %+v", i, sample)
			}
		}
		longer := got
		longer.Diff.Sample = append(longer.Diff.Sample, r.Diff.Sample[len(got.Diff.Sample):min(20, len(got.Diff.Sample)+1)]...)
		if data, _ := encode(longer); len(got.Diff.Sample) < 20 && len(data) < resultBytes && len(longer.Diff.Sample) > len(got.Diff.Sample) {
			t.Errorf("one more would have fitted: %d bytes", len(data))
		}
	}
}

func TestATextOfAnyLengthFits(t *testing.T) {
	for _, letter := range []string{"x", `"`, "☃", "\x01", "\xff"} {
		long := strings.Repeat(letter, 10_000)
		var r contract.Result
		failedResult(context.Background(), &r, &fault.Error{Reason: contract.ReasonNotOwned, Message: long, Remedy: long, Permanent: true})
		r.Diff = &contract.Diff{ChangedFields: map[string]int64{long: 1}}
		data, err := fitting(r)
		if err != nil || len(data) >= resultBytes {
			t.Errorf("%q: %v, %d bytes", letter, err, len(data))
		}
		var got contract.Result
		if err := json.Unmarshal(data, &got); err != nil || got.Problem == nil || got.Problem.Reason != contract.ReasonNotOwned || got.Message == "" || !utf8.ValidString(got.Message) {
			t.Errorf("%q: %v %s", letter, err, data)
		}
	}
}

// But for how far a cutover has come: without it the operator takes it that
// nothing was touched.
func TestAFailureHasNoFindings(t *testing.T) {
	r := contract.Result{Diff: &contract.Diff{}, Cutover: &contract.Cutover{From: "r1", To: "r2"}}
	failedResult(context.Background(), &r, errors.New("away"))
	if r.Diff != nil || r.Cutover == nil || r.Message != "away" {
		t.Errorf("%+v", r)
	}
}
