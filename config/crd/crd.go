// Package crd holds the CustomResourceDefinition of a Projection, for programs
// that check manifests without a cluster. It holds no logic.
package crd

import _ "embed"

// Projections is the definition, as YAML.
//
//go:embed bases/refold.dev_projections.yaml
var Projections []byte
