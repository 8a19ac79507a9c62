package cluster

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOfLogLinesThatAreNotRefoldsOwnNothingIsLeftButTimeAndLevel(t *testing.T) {
	r := newRedactor(&object{Projection: readSample(t)})
	for name, test := range map[string]struct{ line, want string }{
		"a message of a reducer in Go": {
			`{"time":"2026-11-23T12:00:00.5Z","level":"INFO","msg":"created user ada@example.com","name":"Ada Lovelace","address":"12 Main St","state":"x","kind":"patient","object":{"name":"Ada"}}`,
			`{"level":"INFO","msg":"…","time":"2026-11-23T12:00:00.5Z"}`},
		"an error and a number of a reducer in Go": {
			`{"level":"ERROR+1","msg":"bad card","error":"card 4111111111111111 of Ada Lovelace refused","bytes":4711}`, `{"level":"ERROR+1","msg":"…"}`},
		"a time and a level that are none":          {`{"time":"ada@example.com","level":"lovelace"}`, `{"level":"…","time":"…"}`},
		"a name of somebody's own":                  {`{"ada@example.com":1}`, `{}`},
		"JSON that is no line of a log":             {`"ada@example.com"`, "[a line of 17 bytes that is none of the projector's]"},
		"what looks like a call and is in no trace": {"lovelace(4711)", "[a line of 14 bytes that is none of the projector's]"},
		"a message of the projector": {
			`{"level":"INFO","msg":"Starting","projection":"shop/user-profile","build":"v1","name":"Ada"}`,
			`{"build":"v1","level":"INFO","msg":"Starting","name":"…","projection":"shop/user-profile"}`},
	} {
		if got := strings.TrimSpace(r.log([]byte(test.line))); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

func TestKeysAndQuotedWordsAreTakenOutHoweverTheyAreWritten(t *testing.T) {
	for name, test := range map[string]struct{ prefix, text, want string }{
		"a short prefix":                        {"u:", "~7f3k2m4q:u:4711-lovelace and u:4711 are there already", "… and … are there already"},
		"a short prefix within a word":          {"u:", "you menu: all", "you menu: all"},
		"no prefix":                             {"", "~7f3k2m4q:4711-lovelace is there", "… is there"},
		"an apostrophe within double quotes":    {"user:", `the Projection's key "user:ada's-4711" exists`, `the Projection's key "…" exists`},
		"an apostrophe within single quotes":    {"user:", `the key 'ada's-4711' exists`, `the key '…' exists`},
		"cut off behind a quote that is masked": {"user:", `the key "user:ada\"lovelace-471`, `the key …`},
		"cut off behind another":                {"user:", `the "key" "\"ada lovelace`, `the "…" …`},
		"cut off in single quotes":              {"user:", `the key 'ada lovelace`, `the key …`},
	} {
		p := readSample(t)
		p.Spec.ReadModel.RedisHash.KeyPrefix = test.prefix
		if got := newRedactor(&object{Projection: p}).text(test.text); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

// TestTheProjectorsMessagesAreThoseOfItsSource reads what the projector logs.
func TestTheProjectorsMessagesAreThoseOfItsSource(t *testing.T) {
	want := map[string][]string{}
	files := sources(t, "projector", filepath.Join("cmd", "projector"))
	doings := doingsOf(files)
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && logs(call) {
				message, keys := saidBy(call)
				for _, text := range textsOf(message, doings) {
					want[text] = slices.Compact(slices.Sorted(slices.Values(append(want[text], keys...))))
				}
			}
			return true
		})
	}
	got := map[string][]string{}
	for message, keys := range logged {
		got[message] = slices.Sorted(slices.Values(keys))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the table logged is not what the projector logs (-source +table):\n%s", diff)
	}
}

func sources(t *testing.T, dirs ...string) (out []*ast.File) {
	t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(filepath.Join("..", "..", "..", dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			out = append(out, file)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// logs tells a call of a method of a logger.
func logs(call *ast.CallExpr) bool {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains([]string{"Debug", "Info", "Warn", "Error", "Log", "DebugContext", "InfoContext", "WarnContext", "ErrorContext", "LogAttrs"}, method.Sel.Name) {
		return false
	}
	switch on := method.X.(type) {
	case *ast.Ident:
		return strings.HasSuffix(strings.ToLower(on.Name), "log") || strings.HasSuffix(on.Name, "ogger")
	case *ast.SelectorExpr:
		return strings.HasSuffix(strings.ToLower(on.Sel.Name), "log") || strings.HasSuffix(on.Sel.Name, "ogger")
	}
	return false
}

// saidBy is the message of such a call, and the names of its attributes.
func saidBy(call *ast.CallExpr) (message ast.Expr, keys []string) {
	args := call.Args
	if name := call.Fun.(*ast.SelectorExpr).Sel.Name; strings.HasSuffix(name, "Context") {
		args = args[1:]
	} else if strings.HasPrefix(name, "Log") {
		args = args[2:]
	}
	for i := 1; i < len(args); i += 2 {
		keys = append(keys, textsOf(args[i], nil)...)
	}
	return args[0], keys
}

// textsOf are the texts that an expression may be: a literal, what a job is
// doing, or a sum of them.
func textsOf(e ast.Expr, doings []string) (out []string) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return []string{text}
	case *ast.BinaryExpr:
		for _, left := range textsOf(e.X, doings) {
			for _, right := range textsOf(e.Y, doings) {
				out = append(out, left+right)
			}
		}
		return out
	case *ast.SelectorExpr:
		if e.Sel.Name == "doing" {
			return doings
		}
	}
	return []string{"a message that is no constant"}
}

// doingsOf are the words of the jobs of package run.
func doingsOf(files []*ast.File) (out []string) {
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || v.Names[0].Name != "jobs" || len(v.Values) == 0 {
				return true
			}
			for _, entry := range v.Values[0].(*ast.CompositeLit).Elts {
				out = append(out, textsOf(entry.(*ast.KeyValueExpr).Value.(*ast.CompositeLit).Elts[0], nil)...)
			}
			return false
		})
	}
	return out
}
