// Package house holds the tests of the whole tree: who may import whom, what
// stands at the top, and that the docs speak of things that exist.
package house
