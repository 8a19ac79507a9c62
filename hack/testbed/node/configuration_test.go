package node

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/refold-dev/refold/hack/testbed/layout"
)

func TestEveryPlaceInTheConfigurationIsFilledIn(t *testing.T) {
	place := Node{Place: layout.Layout{Folder: t.TempDir()}}
	left := regexp.MustCompile(`\b[A-Z]{2,}(_[A-Z]+)+\b|\b(FOLDER|PKI|SOCKET|CRUN|SNAPSHOTTER)\b`)
	for file, content := range place.configuration() {
		if found := left.FindString(content); found != "" {
			t.Errorf("%s still has %s", file, found)
		}
	}
}

func TestTheNetworkConfigurationIsJSON(t *testing.T) {
	place := Node{Place: layout.Layout{Folder: t.TempDir()}}
	if content := place.configuration()["cni/10-refold.conflist"]; !json.Valid([]byte(content)) {
		t.Errorf("not JSON:\n%s", content)
	}
}

func TestOnlyWhatACoverHidesIsBroughtBack(t *testing.T) {
	tests := map[string]bool{
		"/var/lib/refold-testbed": true,
		"/var/library":            false,
		"/root/.cache/refold":     false,
		"/run/user/0/testbed":     true,
	}
	for path, want := range tests {
		if got := isBelowAny(path, covered); got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}
