package run_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect/api"
)

var aclLine = regexp.MustCompile(`(?m)^ +(ACL SETUSER refold .*)$`)

func TestTheUserInTheDocsIsAllowedAllThatIsNeeded(t *testing.T) {
	page, err := os.ReadFile("../../docs/projector.md")
	if err != nil {
		t.Fatal(err)
	}
	found := aclLine.FindStringSubmatch(string(page))
	if found == nil {
		t.Fatal("docs/projector.md shows no ACL SETUSER line")
	}
	w := newWorld(t)
	rule := strings.ReplaceAll(found[1], "{shop/user-profile}", "{"+w.contract.Projection+"}")
	var words []any
	for _, word := range strings.Fields(rule) {
		words = append(words, word)
	}
	if err := w.client.Do(t.Context(), words...).Err(); err != nil {
		t.Fatalf("%s: %v", rule, err)
	}
	dir := t.TempDir()
	for file, text := range map[string]string{"username": "refold", "password": "secret"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	credentials := &contract.Credentials{SecretName: "redis", Dir: dir}
	w.contract.Source.Redis.Credentials = credentials
	w.contract.ReadModel.RedisHash.Redis.Credentials = credentials

	w.burst(500, 1)
	p, ask := w.asked()
	p.awaitTail()
	w.add("Created", "id", "new", "name", "Ada")
	w.add("Left", "id", "new")
	p.awaitTail()
	for _, path := range []string{api.InfoPath, api.EntitiesPath, api.EntitiesPath + "?prefix=1", api.EntityPath("0"), api.EntityPath("0", api.History), api.EntityPath("0", api.State), api.StatesPath, api.LogPath} {
		if body, code := ask.get(path); code == http.StatusServiceUnavailable || code == 0 {
			t.Errorf("%s: %d: %s", path, code, body)
		}
	}
	p.stop()
	again := w.start() // loads what is there
	w.burst(500, 2)
	again.awaitTail()
	if code := again.stop(); code != 0 {
		t.Errorf("the projector ended with %d", code)
	}
	if code, result := w.drop("false"); code != 0 {
		t.Errorf("the drop ended with %d: %+v", code, result)
	}
	if left := w.keys(); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	denied, err := w.client.ACLLog(t.Context(), 100).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range denied {
		if entry.Object != "restore" { // which it tries and does without
			t.Errorf("refused: %+v", entry)
		}
	}
}
