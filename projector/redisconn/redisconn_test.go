package redisconn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	testbed "github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/redisconn"
)

const secret = "hunter2-verysecret"

func connect(t testing.TB, r contract.Redis) *redis.Client {
	t.Helper()
	client, err := redisconn.New(redisconn.Source, r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// mount writes files as a Secret's volume has them, and returns the folder.
func mount(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func login(t *testing.T, files map[string]string) *contract.Credentials {
	return &contract.Credentials{SecretName: "redis", Dir: mount(t, files)}
}

func plain(s *testbed.Server) contract.Redis {
	return contract.Redis{URL: "redis://" + s.Addr()}
}

// both tries the client and a connection of Dial's, which must agree.
func both(t *testing.T, client *redis.Client) (viaClient, viaDial error) {
	t.Helper()
	viaClient = client.XLen(t.Context(), "s").Err()
	cn, err := redisconn.Dial(t.Context(), client)
	if err != nil {
		return viaClient, err
	}
	defer cn.Close()
	cn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := cn.Write(redisconn.AppendCommand(nil, "XLEN", "s")); err != nil {
		return viaClient, err
	}
	reply := make([]byte, 512)
	n, err := cn.Read(reply)
	if err == nil && reply[0] == '-' {
		err = redisconn.ServerError(strings.TrimSpace(string(reply[1:n])))
	}
	return viaClient, err
}

type want struct {
	reason    string
	permanent bool
	message   string // a part
	remedy    string // a part
}

func check(t *testing.T, err error, w want) {
	t.Helper()
	f := redisconn.Classify(redisconn.Source, err)
	if f == nil {
		t.Fatalf("%v is no fault", err)
	}
	if f.Reason != w.reason || f.Permanent != w.permanent || !strings.Contains(f.Message, w.message) || !strings.Contains(f.Remedy, w.remedy) {
		t.Errorf("%v:\n got %s, permanent %v: %q, %q\nwant %s, permanent %v: %q, %q", err, f.Reason, f.Permanent, f.Message, f.Remedy, w.reason, w.permanent, w.message, w.remedy)
	}
	if f.Message == "" || f.Remedy == "" {
		t.Errorf("it says too little: %q, %q", f.Message, f.Remedy)
	}
	if text := f.Message + f.Remedy + f.Error(); strings.Contains(text, secret) || strings.Contains(text, "->") {
		t.Errorf("it says too much: %q", text)
	}
}

func TestConnectionsToRealServers(t *testing.T) {
	open := testbed.Start(t)
	guarded := testbed.Start(t, testbed.Password(secret))
	secure := testbed.Start(t, testbed.TLS())
	mutual := testbed.Start(t, testbed.MutualTLS())
	foreign := testbed.Start(t, testbed.TLS())
	ca := mount(t, map[string]string{"ca.crt": content(t, secure.CAFile)})
	mutualCA := mount(t, map[string]string{"ca.crt": content(t, mutual.CAFile)})
	otherCA := mount(t, map[string]string{"ca.crt": content(t, foreign.CAFile)})
	pair := mount(t, map[string]string{"tls.crt": content(t, mutual.CertFile), "tls.key": content(t, mutual.KeyFile)})
	mixed := mount(t, map[string]string{"tls.crt": content(t, mutual.CertFile), "tls.key": content(t, secure.KeyFile)})
	junk := mount(t, map[string]string{"ca.crt": "x", "tls.crt": "x", "tls.key": "x"})
	none := t.TempDir()
	tlsTo := func(s *testbed.Server, c contract.TLS) contract.Redis {
		c.CASecretName, c.CertSecretName = "ca", "client"
		return contract.Redis{URL: "rediss://" + s.Addr(), TLS: &c}
	}
	closed := closedPort(t)

	cases := map[string]struct {
		redis contract.Redis
		want  want // reason "": it works
	}{
		"no password where none is needed": {redis: plain(open)},
		"a password where none is needed":  {redis: contract.Redis{URL: "redis://" + open.Addr(), Credentials: login(t, map[string]string{"password": secret})}},
		"the right password":               {redis: contract.Redis{URL: "redis://" + guarded.Addr(), Credentials: login(t, map[string]string{"password": secret + "\n"})}},
		"the right user":                   {redis: contract.Redis{URL: "redis://" + guarded.Addr(), Credentials: login(t, map[string]string{"password": secret, "username": "default\n"})}},
		"another database":                 {redis: contract.Redis{URL: "redis://" + open.Addr() + "/3"}},
		"TLS":                              {redis: tlsTo(secure, contract.TLS{CADir: ca})},
		"TLS by another name":              {redis: tlsTo(secure, contract.TLS{CADir: ca, ServerName: "localhost"})},
		"TLS with a client certificate":    {redis: tlsTo(mutual, contract.TLS{CADir: mutualCA, CertDir: pair})},

		"no password where one is needed": {plain(guarded), want{contract.ReasonAuthenticationFailed, true, "refuses the credentials", "source.redis.credentialsSecretRef"}},
		"a wrong password":                {contract.Redis{URL: "redis://" + guarded.Addr(), Credentials: login(t, map[string]string{"password": secret + "x"})}, want{contract.ReasonAuthenticationFailed, true, "", ""}},
		"two newlines, one is the password's": {contract.Redis{URL: "redis://" + guarded.Addr(), Credentials: login(t, map[string]string{"password": secret + "\n\n"})},
			want{contract.ReasonAuthenticationFailed, true, "", ""}},
		"an unknown user":  {contract.Redis{URL: "redis://" + open.Addr(), Credentials: login(t, map[string]string{"password": secret, "username": "who"})}, want{contract.ReasonAuthenticationFailed, true, "", ""}},
		"no Secret":        {contract.Redis{URL: "redis://" + guarded.Addr(), Credentials: &contract.Credentials{SecretName: "redis", Dir: "/nonexistent"}}, want{contract.ReasonCredentialsMissing, true, "Secret redis has no key password", "create"}},
		"no password key":  {contract.Redis{URL: "redis://" + guarded.Addr(), Credentials: login(t, map[string]string{"username": "x"})}, want{contract.ReasonCredentialsMissing, true, "Secret redis has no key password", ""}},
		"no such database": {contract.Redis{URL: "redis://" + open.Addr() + "/99"}, want{contract.ReasonInvalidContract, true, "database", "source.redis.url"}},
		"a closed port":    {contract.Redis{URL: "redis://" + closed}, want{contract.ReasonSourceUnreachable, false, "at " + closed + ": the port is closed", "source.redis.url"}},
		"an unknown host":  {contract.Redis{URL: "redis://refold.invalid:6379"}, want{contract.ReasonSourceUnreachable, false, "at refold.invalid:6379: the host", ""}},

		"TLS with unknown roots":               {contract.Redis{URL: "rediss://" + secure.Addr()}, want{contract.ReasonTLSFailed, true, "not trusted", "source.redis.tls.caSecretRef"}},
		"TLS with another CA":                  {tlsTo(secure, contract.TLS{CADir: otherCA}), want{contract.ReasonTLSFailed, true, "not trusted", "source.redis.tls.caSecretRef"}},
		"TLS with a wrong name":                {tlsTo(secure, contract.TLS{CADir: ca, ServerName: "redis.shop"}), want{contract.ReasonTLSFailed, true, "another name", "source.redis.tls.serverName"}},
		"TLS without a CA's file":              {tlsTo(secure, contract.TLS{CADir: none}), want{contract.ReasonCredentialsMissing, true, "Secret ca has no key ca.crt", ""}},
		"TLS with a CA that is none":           {tlsTo(secure, contract.TLS{CADir: junk}), want{contract.ReasonTLSFailed, true, "Secret ca", ""}},
		"TLS without the certificate it wants": {tlsTo(mutual, contract.TLS{CADir: mutualCA}), want{contract.ReasonTLSFailed, true, "", "source.redis.tls.certSecretRef"}},
		"TLS without a certificate's file":     {tlsTo(mutual, contract.TLS{CADir: mutualCA, CertDir: none}), want{contract.ReasonCredentialsMissing, true, "Secret client has no key tls.crt", ""}},
		"TLS with another certificate's key":   {tlsTo(mutual, contract.TLS{CADir: mutualCA, CertDir: mixed}), want{contract.ReasonTLSFailed, true, "Secret client", ""}},
		"TLS with a certificate that is none":  {tlsTo(mutual, contract.TLS{CADir: mutualCA, CertDir: junk}), want{contract.ReasonTLSFailed, true, "Secret client", ""}},
		"TLS where there is none":              {contract.Redis{URL: "rediss://" + open.Addr()}, want{contract.ReasonSourceUnreachable, false, "does not answer the TLS handshake", "redis://"}},
		"no TLS where there is":                {plain(secure), want{contract.ReasonSourceUnreachable, false, ": it hung up before it said anything", "rediss://"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // one of them takes its time
			viaClient, viaDial := both(t, connect(t, c.redis))
			for _, err := range []error{viaClient, viaDial} {
				if c.want.reason != "" {
					check(t, err, c.want)
				} else if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestARotatedSecretIsPickedUp(t *testing.T) {
	s := testbed.Start(t, testbed.Password(secret))
	dir := mount(t, map[string]string{"password": "wrong"})
	client := connect(t, contract.Redis{URL: "redis://" + s.Addr(), Credentials: &contract.Credentials{SecretName: "redis", Dir: dir}})
	viaClient, viaDial := both(t, client)
	check(t, viaClient, want{reason: contract.ReasonAuthenticationFailed, permanent: true})
	check(t, viaDial, want{reason: contract.ReasonAuthenticationFailed, permanent: true})
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	if viaClient, viaDial = both(t, client); viaClient != nil || viaDial != nil {
		t.Error(viaClient, viaDial)
	}
}

func TestARestartedServerIsFoundAgain(t *testing.T) {
	s := testbed.Start(t)
	client := connect(t, plain(s))
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	for range 2 * client.Options().PoolSize {
		check(t, client.Ping(t.Context()).Err(), want{reason: contract.ReasonSourceUnreachable, message: "at " + s.Addr()})
	}
	s.Restart(t)
	for deadline := time.Now().Add(5 * time.Second); client.Ping(t.Context()).Err() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it stays away")
		}
	}
}

func TestConnectionsAreNamed(t *testing.T) {
	s := testbed.Start(t)
	client := connect(t, plain(s))
	cn, err := redisconn.Dial(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	defer cn.Close()
	list := client.ClientList(t.Context()).Val()
	if n := strings.Count(list, "name=refold "); n != 2 {
		t.Errorf("%d connections have the name:\n%s", n, list)
	}
}

func TestAnACLThatAllowsLittleIsEnough(t *testing.T) {
	s := testbed.Start(t)
	admin := connect(t, plain(s))
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "app", "on", ">"+secret, "~s", "+xlen").Err(); err != nil {
		t.Fatal(err)
	}
	client := connect(t, contract.Redis{URL: "redis://" + s.Addr(), Credentials: login(t, map[string]string{"username": "app", "password": secret})})
	if viaClient, viaDial := both(t, client); viaClient != nil || viaDial != nil {
		t.Fatal(viaClient, viaDial)
	}
	check(t, client.Get(t.Context(), "s").Err(), want{contract.ReasonPermissionDenied, true, "get", "ACL SETUSER"})
	check(t, client.XLen(t.Context(), "other").Err(), want{contract.ReasonPermissionDenied, true, "key", "ACL SETUSER"})
}

func TestRealErrorRepliesAreUnderstood(t *testing.T) {
	s := testbed.Start(t, testbed.AOF())
	client := connect(t, plain(s))
	ctx := t.Context()
	must := func(args ...any) {
		t.Helper()
		if err := client.Do(ctx, args...).Err(); err != nil {
			t.Fatal(args, err)
		}
	}
	add := func() error { return client.XAdd(ctx, &redis.XAddArgs{Stream: "s", Values: []any{"a", "b"}}).Err() }

	must("CONFIG", "SET", "maxmemory", "1")
	check(t, add(), want{reason: contract.ReasonRedisOutOfMemory, message: "maxmemory"})
	must("CONFIG", "SET", "maxmemory", "0")

	must("CONFIG", "SET", "min-replicas-to-write", "1")
	check(t, add(), want{reason: contract.ReasonRedisNoReplicas})
	must("CONFIG", "SET", "min-replicas-to-write", "0")

	must("REPLICAOF", "127.0.0.1", "1")
	check(t, add(), want{reason: contract.ReasonRedisReadOnly, remedy: "source.redis.url"})
	must("CONFIG", "SET", "replica-serve-stale-data", "no")
	check(t, client.XLen(ctx, "s").Err(), want{reason: contract.ReasonRedisLoading})
	must("REPLICAOF", "NO", "ONE")

	must("SET", "text", "x")
	check(t, client.XLen(ctx, "text").Err(), want{reason: contract.ReasonWrongType, permanent: true})
	check(t, client.Do(ctx, "NONSENSE").Err(), want{reason: contract.ReasonProtocolError})

	must("CONFIG", "SET", "busy-reply-threshold", "20")
	go client.Eval(context.WithoutCancel(ctx), "while true do end", nil)
	time.Sleep(200 * time.Millisecond)
	check(t, client.XLen(ctx, "s").Err(), want{reason: contract.ReasonRedisBusy})
	must("SCRIPT", "KILL")
}

func TestASilentServerTimesOut(t *testing.T) {
	s := testbed.Start(t)
	client := connect(t, plain(s))
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	s.Pause()
	defer s.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := client.Ping(ctx).Err()
	check(t, err, want{reason: contract.ReasonSourceUnreachable, message: "at " + s.Addr() + ": it did not answer in time"})
}

// A real server says this only to another host, and there is none.
func TestAServerInProtectedModeIsNamed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			cn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(cn, "-DENIED Redis is running in protected mode because protected mode is enabled …\r\n")
			_, _ = cn.Read(make([]byte, 1024)) // or the reset would overtake the words
			_ = cn.Close()
		}
	}()
	client, err := redisconn.New(redisconn.Source, contract.Redis{URL: "redis://" + listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	_, dialErr := redisconn.Dial(t.Context(), client)
	for way, err := range map[string]error{"the client": client.Ping(t.Context()).Err(), "a connection of our own": dialErr} {
		f := redisconn.Classify(redisconn.Source, err)
		if f == nil || f.Reason != contract.ReasonPermissionDenied || !f.Permanent || !strings.Contains(f.Remedy, "protected-mode no") {
			t.Errorf("%s: %v became %+v", way, err, f)
		}
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	s := testbed.Start(t)
	client := connect(t, contract.Redis{URL: "redis://" + s.Addr() + "/1"})
	s.Pause()
	defer s.Resume()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	began := time.Now()
	if _, err := redisconn.Dial(ctx, client); err == nil || time.Since(began) > 2*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

func TestURLs(t *testing.T) {
	good := map[string]struct {
		addr string
		db   int
	}{
		"redis://h":           {"h:6379", 0},
		"redis://h:1/2":       {"h:1", 2},
		"redis://h/":          {"h:6379", 0},
		"redis://[::1]:7/3":   {"[::1]:7", 3},
		"rediss://h.shop.svc": {"h.shop.svc:6379", 0},
	}
	for url, w := range good {
		client := connect(t, contract.Redis{URL: url})
		if opt := client.Options(); opt.Addr != w.addr || opt.DB != w.db {
			t.Errorf("%s: %s, %d", url, opt.Addr, opt.DB)
		}
	}
	bad := map[string]string{
		"redis://user:" + secret + "@h":   "Secret",
		"redis://:" + secret + "@h":       "Secret",
		"redis://user@h":                  "Secret",
		"http://h":                        `scheme "http"`,
		"h:6379":                          "redis://",
		"":                                "redis://",
		"redis://":                        "no host",
		"redis://:6379":                   "no host",
		"redis://h:0":                     "port",
		"redis://h:99999":                 "port",
		"redis://h:x":                     "not a URL",
		"redis://h/x":                     "database number",
		"redis://h/-1":                    "database number",
		"redis://h/1/2":                   "database number",
		"redis://h?db=1":                  "?db=1",
		"redis://h/0?skip_verify=true":    "skip_verify",
		"redis://h#x":                     "understood",
		"redis+sentinel://h":              "scheme",
		"unix:///tmp/redis.sock":          "scheme",
		"redis://h/0\x00":                 "not a URL",
		"redis://user:" + secret + "@h:x": "not a URL",
	}
	for url, part := range bad {
		_, err := redisconn.New(redisconn.ReadModel, contract.Redis{URL: url})
		if err == nil || !strings.Contains(err.Error(), part) || !strings.HasPrefix(err.Error(), "readModel.redisHash.url: ") || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := redisconn.New(redisconn.Source, contract.Redis{URL: "redis://h", TLS: &contract.TLS{}}); err == nil || !strings.Contains(err.Error(), "rediss://") {
		t.Errorf("tls without rediss: %v", err)
	}
}

func TestErrorsAServerCannotBeMadeToSayEasily(t *testing.T) {
	cases := map[string]want{
		"LOADING Redis is loading the dataset in memory":                                                   {reason: contract.ReasonRedisLoading},
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.":                 {reason: contract.ReasonRedisLoading},
		"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.": {reason: contract.ReasonRedisDiskError},
		"MISCONF Errors writing to the AOF file: No space left on device":                                  {reason: contract.ReasonRedisDiskError},
		"CLUSTERDOWN Hash slot not served":                                                                 {reason: contract.ReasonRedisClusterDown},
		"MOVED 3999 127.0.0.1:6381":                                                                        {reason: contract.ReasonRedisClusterDown},
		"ASK 3999 127.0.0.1:6381":                                                                          {reason: contract.ReasonRedisClusterDown},
		"TRYAGAIN Multiple keys request during rehashing of slot":                                          {reason: contract.ReasonRedisClusterDown},
		"UNKILLABLE Sorry the script already executed write commands":                                      {reason: contract.ReasonRedisBusy},
		"ERR max number of clients reached":                                                                {reason: contract.ReasonSourceUnreachable, message: "maxclients"},
		"ERR AUTH <password> called without any password configured for the default user. Are you sure?":   {reason: contract.ReasonAuthenticationFailed, permanent: true},
		"ERR invalid password":                                                                             {reason: contract.ReasonAuthenticationFailed, permanent: true},
		"WRONGPASS invalid username-password pair or user is disabled.":                                    {reason: contract.ReasonAuthenticationFailed, permanent: true},
		"NOPERM this user has no permissions to run the 'xread' command":                                   {reason: contract.ReasonPermissionDenied, permanent: true, message: "'xread'"},
		"NOPERM No permissions to access a key":                                                            {reason: contract.ReasonPermissionDenied, permanent: true, message: "access a key"},
		"BUSYGROUP Consumer Group name already exists":                                                     {reason: contract.ReasonProtocolError},
		"ERR " + strings.Repeat("é", 500):                                                                  {reason: contract.ReasonProtocolError, message: "…"},
	}
	for text, w := range cases {
		check(t, redisconn.ServerError(text), w)
		check(t, fmt.Errorf("wrapped: %w", redisconn.ServerError(text)), w)
	}
	check(t, errors.New("redis: can't parse reply"), want{reason: contract.ReasonProtocolError})
	check(t, redisconn.ErrBadReply, want{reason: contract.ReasonProtocolError})
	check(t, redis.ErrPoolTimeout, want{reason: contract.ReasonSourceUnreachable})
}

func TestTheReadModelsRedisIsCalledSo(t *testing.T) {
	f := redisconn.Classify(redisconn.ReadModel, &net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}})
	if f.Reason != contract.ReasonReadModelUnreachable || !strings.Contains(f.Message, "read model") || !strings.Contains(f.Remedy, "readModel.redisHash.url") {
		t.Errorf("%+v", f)
	}
}

func TestWhatIsNoFaultIsLeftAlone(t *testing.T) {
	for _, err := range []error{nil, context.Canceled, context.DeadlineExceeded, fmt.Errorf("x: %w", context.Canceled)} {
		if f := redisconn.Classify(redisconn.Source, err); f != nil {
			t.Errorf("%v: %v", err, f)
		}
	}
	known := &fault.Error{Reason: contract.ReasonNotOwned}
	if f := redisconn.Classify(redisconn.Source, fmt.Errorf("x: %w", known)); f != known {
		t.Errorf("%v", f)
	}
}
