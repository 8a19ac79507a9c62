// Package e2e holds the end-to-end tests: Refold as its users run it, on the
// testbed's cluster, with real Redis servers beside it, driven by kubectl.
// They are built with the tag e2e; `make e2e` brings up what they need.
package e2e
