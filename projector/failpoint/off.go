//go:build !failpoints

package failpoint

// Hit is nothing in this build.
func Hit(string) {}
