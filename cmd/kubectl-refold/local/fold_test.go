package local

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector/redisconn"
)

const foldManifest = "testdata/fold.yaml"

// fill makes a log of two users, one of whom goes, and an event that fails.
func fill(t *testing.T, server *redis.Server, access redisconn.Access) *goredis.Client {
	t.Helper()
	scheme, address, _ := strings.Cut(server.URL(), "://")
	if _, host, found := strings.Cut(address, "@"); found {
		address = host
	}
	client, err := redisconn.NewWith(redisconn.Source, scheme+"://"+address, access)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	for i, event := range [][]any{
		{"type", "Created", "id", "42", "name", "Ada"},
		{"type", "Created", "id", "43", "name", "Bob\xff"},
		{"type", "Ordered", "id", "42", "cents", "1250"},
		{"type", "Unnamed", "id", "42"},
		{"type", "Deleted", "id", "43"},
		{"type", "Created", "id", "a,b", "name", "no"},
	} {
		add(t, client, "events", fmt.Sprintf("%d-0", 1767225600000+int64(i)*1000), event...)
	}
	add(t, client, "halting", "5-0", "type", "Created", "id", "42", "name", "Ada")
	add(t, client, "halting", "6-0", "type", "Created", "id", "43")
	return client
}

func add(t *testing.T, client *goredis.Client, stream, id string, values ...any) {
	t.Helper()
	if err := client.XAdd(t.Context(), &goredis.XAddArgs{Stream: stream, ID: id, Values: values}).Err(); err != nil {
		t.Fatal(err)
	}
}

var changing = regexp.MustCompile(`in [0-9.]+m?s|127\.0\.0\.1:[0-9]+|/tmp/[^ ]*/`)

// foldGolden runs fold, with what changes from run to run taken out.
func foldGolden(t *testing.T, name, in string, args ...string) {
	t.Helper()
	out, errOut, code := run(in, append([]string{"fold"}, args...)...)
	compare(t, filepath.Join("testdata", "fold-"+name+".golden"), changing.ReplaceAllString(everything(out, errOut, code), "…"))
}

func TestFoldPrintsTheState(t *testing.T) {
	server := redis.Start(t)
	client := fill(t, server, redisconn.Access{})
	content, err := os.ReadFile(foldManifest)
	if err != nil {
		t.Fatal(err)
	}
	halting := strings.Replace(string(content), "stream: events", "stream: halting", 1)
	until := strings.Replace(string(content), "stream: events", "stream: events\n    until: \"2026-01-01T00:00:02Z\"", 1)
	for name, test := range map[string]struct {
		in   string
		args []string
	}{
		"all":            {"", []string{"-f", foldManifest}},
		"json":           {"", []string{"-f", foldManifest, "-o", "json"}},
		"csv":            {"", []string{"-f", foldManifest, "-o", "csv"}},
		"bytes":          {"", []string{"-f", foldManifest, "--until", "2026-01-01T00:00:01Z"}},
		"bytes-json":     {"", []string{"-f", foldManifest, "--until", "2026-01-01T00:00:01Z", "-o", "json"}},
		"key":            {"", []string{"-f", foldManifest, "--key", "42"}},
		"key-until":      {"", []string{"-f", foldManifest, "--key", "42", "--until", "1767225601999"}},
		"deleted":        {"", []string{"-f", foldManifest, "--key", "43"}},
		"never":          {"", []string{"-f", foldManifest, "--key", "99"}},
		"from":           {"", []string{"-f", foldManifest, "--from", "2026-01-01T00:00:05Z"}},
		"nothing":        {"", []string{"-f", foldManifest, "--until", "5"}},
		"after-end":      {"", []string{"-f", foldManifest, "--from", "2030-01-01T00:00:00Z"}},
		"manifest-until": {until, []string{"-f", "-"}},
		"halting":        {halting, []string{"-f", "-"}},
		"before-halt":    {halting, []string{"-f", "-", "--until", "5-18446744073709551615"}},
		"no-stream":      {strings.Replace(string(content), "stream: events", "stream: evnts", 1), []string{"-f", "-"}},
		"memory":         {"", []string{"-f", foldManifest, "--max-memory", "100"}},
		"bad-memory":     {"", []string{"-f", foldManifest, "--max-memory", "much"}},
		"bad-until":      {"", []string{"-f", foldManifest, "--until", "yesterday"}},
		"bad-from":       {"", []string{"-f", foldManifest, "--from", "5-0-0"}},
		"not-compiling":  {strings.Replace(string(content), "event.name", "evnt.name", 1), []string{"-f", "-"}},
	} {
		t.Run(name, func(t *testing.T) {
			foldGolden(t, name, test.in, append(test.args, "--redis", server.URL())...)
		})
	}
	t.Run("a trimmed stream is refused, and says where to begin", func(t *testing.T) {
		if err := client.XTrimMaxLen(t.Context(), "events", 3).Err(); err != nil {
			t.Fatal(err)
		}
		foldGolden(t, "trimmed", "", "-f", foldManifest, "--redis", server.URL())
		foldGolden(t, "trimmed-from", "", "-f", foldManifest, "--redis", server.URL(), "--from", "1767225603000-0")
		foldGolden(t, "trimmed-early", "", "-f", foldManifest, "--redis", server.URL(), "--from", "1767225601000-0")
	})
}

func TestFoldLogsIn(t *testing.T) {
	server := redis.Start(t, redis.Password("s3cret"))
	fill(t, server, redisconn.Access{Password: "s3cret"})
	plain := "redis://" + server.Addr()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		url, password string
		args          []string
		want          int
	}{
		"by a file":                     {plain, "", []string{"--redis-password-file", file}, 0},
		"by the environment":            {plain, "s3cret", nil, 0},
		"by the URL in the environment": {server.URL(), "", nil, 0},
		"with a wrong password":         {plain, "wrong", nil, 1},
		"without a password":            {plain, "", nil, 1},
		"with a file that is not there": {plain, "", []string{"--redis-password-file", file + "x"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(urlVariable, test.url)
			t.Setenv(passwordVariable, test.password)
			out, errOut, code := run("", append([]string{"fold", "-f", foldManifest}, test.args...)...)
			if code != test.want || code == 0 && !strings.Contains(out, "name: Ada") {
				t.Error(code, out, errOut)
			}
			if strings.Contains(out+errOut, "s3cret") {
				t.Error("a password is shown", errOut)
			}
			if code == 1 && test.args == nil && !strings.Contains(errOut, passwordVariable) {
				t.Error("it does not say what to do", errOut)
			}
		})
	}
}

func TestFoldSpeaksTLS(t *testing.T) {
	secure := redis.Start(t, redis.MutualTLS())
	setup := []string{"--redis-tls-ca", secure.CAFile, "--redis-tls-cert", secure.CertFile, "--redis-tls-key", secure.KeyFile}
	config, err := (&server{ca: secure.CAFile, cert: secure.CertFile, key: secure.KeyFile}).tls()
	if err != nil {
		t.Fatal(err)
	}
	fill(t, secure, redisconn.Access{TLS: config})
	for name, test := range map[string]struct {
		args []string
		want int
		says string
	}{
		"with all":                    {setup, 0, ""},
		"without trust":               {nil, 1, "--redis-tls-ca"},
		"without a certificate":       {setup[:2], 1, "--redis-tls-cert"},
		"with another name":           {append([]string{"--redis-tls-server-name", "elsewhere"}, setup...), 1, "--redis-tls-server-name"},
		"with half a pair":            {setup[:4], 3, "go together"},
		"with a CA that is none":      {[]string{"--redis-tls-ca", foldManifest}, 1, "no PEM certificate"},
		"with a key that is no match": {[]string{"--redis-tls-cert", secure.CertFile, "--redis-tls-key", secure.CAFile}, 1, "--redis-tls-cert"},
	} {
		t.Run(name, func(t *testing.T) {
			_, errOut, code := run("", append([]string{"fold", "-f", foldManifest, "--redis", secure.URL()}, test.args...)...)
			if code != test.want || !strings.Contains(errOut, test.says) {
				t.Error(code, errOut)
			}
		})
	}
}

func TestFoldSaysThatNoServerIsThere(t *testing.T) {
	for url, want := range map[string]string{
		"redis://127.0.0.1:1":    "--redis names another one",
		"http://127.0.0.1":       "--redis: unknown scheme",
		"redis://u:pass@:%zz":    "--redis is not a URL",
		"redis://u:pass@h/0?x=1": "--redis:",
	} {
		_, errOut, code := run("", "fold", "-f", foldManifest, "--redis", url)
		if code == 0 || !strings.Contains(errOut, want) || strings.Contains(errOut, "pass@") {
			t.Error(url, code, errOut)
		}
	}
}

// A pipe is no terminal: progress must not reach files.
func TestFoldWritesNoProgressIntoFiles(t *testing.T) {
	server := redis.Start(t)
	fill(t, server, redisconn.Access{})
	_, errOut, _ := run("", "fold", "-f", foldManifest, "--redis", server.URL())
	if bytes.ContainsAny([]byte(errOut), "\r\x1b") {
		t.Errorf("%q", errOut)
	}
}
