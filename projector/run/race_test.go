//go:build race

package run_test

// Under the race detector the projector is built with it, too.
func init() { buildFlags = append(buildFlags, "-race") }
