package tenant

import (
	"sync"
	"time"
)

// Stage is work on a Project that may be tried several times. What was decided
// and when it began are the same in each try.
type Stage struct {
	mu      sync.Mutex
	decided bool
	allowed bool
	due     time.Time
}

// Decided reports whether there was an earlier try that came as far as Decide.
func (s *Stage) Decided() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.decided
}

// Decide returns what decide returned when it was first called for this stage.
func (s *Stage) Decide(decide func() bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.decided {
		s.decided, s.allowed = true, decide()
	}
	return s.allowed
}

// Left is how much is left of a delay that began with the first call.
func (s *Stage) Left(delay time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.due.IsZero() {
		s.due = time.Now().Add(delay)
	}
	return max(0, time.Until(s.due))
}
