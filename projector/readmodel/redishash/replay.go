package redishash

import (
	"context"
	"errors"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/readmodel"
)

var errNotBuilt = errors.New("not built yet")

func (s *Store) Compare(context.Context, string, string) (contract.Diff, error) {
	return contract.Diff{}, errNotBuilt
}
func (s *Store) Promote(context.Context, string, string) (contract.Cutover, error) {
	return contract.Cutover{}, errNotBuilt
}
func (s *Store) DropRevision(context.Context, string, string, bool) error { return errNotBuilt }
func (s *Store) Revisions(context.Context, string) ([]readmodel.Revision, error) {
	return nil, errNotBuilt
}
