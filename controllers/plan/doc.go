// Package plan decides, and does nothing else: which revision a spec names,
// what must run next, and which of two Projections may have a target. All of
// it is pure: no client, no clock, no global.
package plan
