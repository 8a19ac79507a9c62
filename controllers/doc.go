// Package controllers reconciles Projections: it applies what plan decides and
// resources builds, follows the projectors over /statusz, and mirrors what they
// say into status. It holds no credential and never connects to a source or a
// read model.
//
// Reconcile is a list of phases. A phase is a method with a file of its own that
// reads and fills the scope; what each learns it says once (scope.say), and only
// status.go turns that into conditions.
package controllers
