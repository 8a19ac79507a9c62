package rules_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/reduce/rules"
)

const reference = "../../../docs/rules.md"

// examples returns the fenced blocks of one language.
func examples(t *testing.T, language string) []string {
	t.Helper()
	page, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, match := range regexp.MustCompile("(?s)\n```"+language+"\n(.*?)```").FindAllSubmatch(page, -1) {
		blocks = append(blocks, string(match[1]))
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no example in %s", reference, language)
	}
	return blocks
}

func TestManifestsOfTheReferenceCompile(t *testing.T) {
	for _, block := range examples(t, "yaml") {
		var tree map[string]any
		if err := yaml.Unmarshal([]byte(block), &tree); err != nil {
			t.Fatalf("%v in\n%s", err, block)
		}
		text, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		manifest := contract.Document{Source: contract.Source{Format: contract.FormatFields}}
		if err := json.Unmarshal(text, &manifest); err != nil {
			t.Fatalf("%v in\n%s", err, block)
		}
		config := projector.Config{Reducer: manifest.Reducer, Format: manifest.Source.Format, Schema: schemaOf(t, manifest.ReadModel.Fields)}
		if _, err := rules.New(config); err != nil {
			t.Errorf("%v\nin\n%s", err, block)
		}
	}
}

func TestExpressionsOfTheReferenceCompile(t *testing.T) {
	fields := append([]contract.Field{{Name: "best", Type: contract.TypeInteger}, {Name: "result", Type: contract.TypeJSON}}, userFields...)
	for _, block := range examples(t, "cel") {
		for _, line := range strings.Split(strings.TrimSpace(block), "\n") {
			compile(t, contract.FormatFields, schemaOf(t, fields), contract.Reducer{Key: "event.id", Rules: []contract.Rule{
				on("T", contract.Rule{Set: exprs{"result": line}})}})
		}
	}
}

// The messages that the reference shows are those of the other tests.
func TestMessagesOfTheReferenceAreReal(t *testing.T) {
	var known strings.Builder
	for _, file := range []string{"testdata/compile_errors.golden", "rules_test.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		known.Write(text)
	}
	for _, block := range examples(t, "text") {
		for _, line := range strings.Split(strings.TrimSpace(block), "\n") {
			if !strings.Contains(known.String(), line) {
				t.Errorf("no test knows the message %s", line)
			}
		}
	}
}
