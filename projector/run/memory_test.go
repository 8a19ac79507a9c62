package run

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

func TestTheContainersLimitIsFound(t *testing.T) {
	for name, test := range map[string]struct {
		self  string
		files map[string]string
		want  int64
	}{
		"version 2, in a container": {"0::/\n", map[string]string{"memory.max": "134217728\n"}, 128 << 20},
		"version 2, seen from the host": {"0::/kubepods/pod1/c1\n", map[string]string{
			"kubepods/pod1/c1/memory.max": "max\n", "kubepods/pod1/memory.max": "67108864\n", "kubepods/memory.max": "1073741824\n"}, 64 << 20},
		"version 1, in a container": {"9:cpu,cpuacct:/docker/7f\n4:memory:/docker/7f\n0::/\n",
			map[string]string{"memory/memory.limit_in_bytes": "134217728\n"}, 128 << 20},
		"version 1, with a parent that has less": {"4:memory:/a/b\n",
			map[string]string{"memory/a/b/memory.limit_in_bytes": "1073741824\n", "memory/a/memory.limit_in_bytes": "67108864\n"}, 64 << 20},
		"version 1 without a limit":        {"4:memory:/\n", map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712\n"}, math.MaxInt64},
		"a path that leads out stays here": {"0::/../../x\n", map[string]string{"memory.max": "67108864\n"}, 64 << 20},
		"no control groups":                {"", nil, math.MaxInt64},
		"something else":                   {"what is this\n1:memory:/\n", map[string]string{"memory/memory.limit_in_bytes": "much\n"}, math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range test.files {
				path := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := containerLimit(root, test.self); got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
}

func TestMemoryInWhichNothingWorksIsRefused(t *testing.T) {
	const mebibyte = 1 << 20
	for name, test := range map[string]struct {
		limit, cache int64
		want         string
	}{
		"no limit, no matter what is asked for": {0, 1 << 40, ""},
		"the least":                             {40 * mebibyte, 0, ""},
		"less":                                  {39 * mebibyte, 0, "leaves Go 39 MiB, and 40 MiB is the smallest that works"},
		"as much cache as may be":               {100 * mebibyte, 60 * mebibyte, ""},
		"more":                                  {100 * mebibyte, 61 * mebibyte, "--cache-mib asks for 61 MiB, and of 100 MiB no more than 60 %"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkMemory(test.limit, test.cache)
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			f := fault.As(err)
			if f == nil || f.Reason != contract.ReasonMemoryTooSmall || !f.Permanent || f.Remedy == "" || !strings.Contains(f.Message, test.want) {
				t.Errorf("%+v", f)
			}
		})
	}
}
