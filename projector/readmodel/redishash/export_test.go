package redishash

import "time"

// SetLease makes holds end sooner than they do.
func (s *Store) SetLease(lease time.Duration) { s.lease = lease }

// AtStep is told each step of a Job.
func (s *Store) AtStep(reached func(step string)) { s.reached = reached }
