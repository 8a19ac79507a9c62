package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/refold-dev/refold/api/v1alpha1"
)

func TestRival(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 23, 12, minute, 0, 0, time.UTC) }
	claim := func(name string, minute int, prefix string, held bool) Claim {
		return Claim{Projection: name, Created: at(minute), Target: Target{"r:6379/0", prefix}, Held: held}
	}
	tests := map[string]struct {
		mine   Claim
		others []Claim
		want   string
	}{
		"nobody else":                      {claim("n/a", 1, "u:", false), nil, ""},
		"another prefix":                   {claim("n/a", 1, "u:", false), []Claim{claim("n/b", 0, "v:", true)}, ""},
		"the earlier one is kept":          {claim("n/a", 1, "u:", false), []Claim{claim("n/b", 0, "u:", false)}, "n/b"},
		"the later one waits":              {claim("n/a", 0, "u:", false), []Claim{claim("n/b", 1, "u:", false)}, ""},
		"at one time the name decides":     {claim("n/b", 0, "u:", false), []Claim{claim("n/a", 0, "u:", false)}, "n/a"},
		"who holds it keeps it":            {claim("n/a", 0, "u:", false), []Claim{claim("n/b", 1, "u:", true)}, "n/b"},
		"I keep what I hold":               {claim("n/a", 1, "u:", true), []Claim{claim("n/b", 0, "u:", false)}, ""},
		"my prefix begins with theirs":     {claim("n/a", 1, "u:v:", false), []Claim{claim("n/b", 0, "u:", false)}, "n/b"},
		"theirs begins with mine":          {claim("n/a", 1, "u:", false), []Claim{claim("n/b", 0, "u:v:", false)}, "n/b"},
		"my own old claim is none of mine": {claim("n/a", 1, "u:", false), []Claim{claim("n/a", 1, "u:", true)}, ""},
		"of several the first is named": {claim("n/a", 5, "u:", false),
			[]Claim{claim("n/d", 3, "u:", false), claim("n/b", 1, "u:", false), claim("n/c", 2, "u:", false)}, "n/b"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Rival(tc.mine, tc.others); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestURLsHaveOneSpelling(t *testing.T) {
	for in, want := range map[v1alpha1.URL]v1alpha1.URL{
		"redis://Redis":                 "redis://redis:6379/0",
		"redis://redis/":                "redis://redis:6379/0",
		"redis://redis:7000/03":         "redis://redis:7000/3",
		"rediss://[2001:DB8::1]":        "rediss://[2001:db8::1]:6379/0",
		"rediss://[2001:DB8::1]:6380/1": "rediss://[2001:db8::1]:6380/1",
		"nonsense":                      "nonsense",
		"redis://redis/zero":            "redis://redis/zero",
	} {
		if got := NormalURL(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestTLSMakesNoOtherTarget(t *testing.T) {
	if !NewTarget("redis://r", "u:").Overlaps(NewTarget("rediss://R:6379/0", "u:v")) {
		t.Error("one database, reached in two ways, is two targets")
	}
}

func TestCheckFrom(t *testing.T) {
	for from, ok := range map[string]bool{
		"0": true, "1-2": true, "18446744073709551615-18446744073709551615": true, "2026-11-23T00:00:00Z": true,
		"18446744073709551616": false, "1-": false, "-1": false, "2026-02-30T00:00:00Z": false, "": false, "$": false,
	} {
		if err := CheckFrom(from); (err == nil) != ok {
			t.Errorf("%q: %v", from, err)
		} else if err != nil && !strings.Contains(err.Error(), "source.from") {
			t.Errorf("%q: %v does not say where", from, err)
		}
	}
}

func TestDefaultsNeverHandCredentialsToAnotherServer(t *testing.T) {
	s := spec(t, `
source: {redis: {url: "redis://a", credentialsSecretRef: {name: secret}}, stream: s}
reducer: {key: k, rules: []}
readModel: {fields: [], redisHash: {keyPrefix: "x:", url: "redis://b"}}`)
	if got := Defaulted(s).ReadModel.RedisHash.CredentialsSecretRef; got != nil {
		t.Errorf("got %v", got)
	}
	s.ReadModel.RedisHash.URL = ""
	if got := Defaulted(s).ReadModel.RedisHash.CredentialsSecretRef; got == nil || got.Name != "secret" {
		t.Errorf("got %v", got)
	}
}
