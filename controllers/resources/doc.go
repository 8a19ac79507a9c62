// Package resources builds the objects that the operator applies: the contract,
// its ConfigMap, the Deployment that folds and the Job that drops. Builders are
// pure, a Projection and plain values in and a whole object out; they hold no
// client, clock or global. testdata shows every object whole.
package resources
