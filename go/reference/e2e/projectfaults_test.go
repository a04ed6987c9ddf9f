package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// together is how many Projects are made at once to see whether they wait for
// each other: with a lock of 1 s, the last one waits that many seconds.
const together = 4

// unused returns names that no Project of the server had before.
func unused(count int) []string {
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf("p%d-%d", time.Now().UnixNano(), i)
	}
	return names
}

// lives is how long it takes a Project to be made, to become Ready and to be gone.
func lives(s *server) float64 {
	name := unused(1)[0]
	return (s.project(name) + s.remove(name)).Seconds()
}

func removals(s *server) float64 {
	shortest := time.Hour
	for _, name := range unused(2) {
		s.project(name)
		shortest = min(shortest, s.remove(name))
	}
	return shortest.Seconds()
}

// readyTogether is how long it takes until all of some Projects are Ready that were made at once.
func readyTogether(s *server) float64 {
	names := unused(together)
	began := time.Now()
	for _, name := range names {
		s.begin(name)
	}
	for _, name := range names {
		s.eventually("Ready of "+name, func() bool { return s.ready(name) })
	}
	return time.Since(began).Seconds()
}

// filesOf is by how much the number of open files grows for good.
func filesOf(s *server, load func(*server) float64) float64 {
	return grown(s, "process_open_fds", load)
}

// stuckOf is how many of ten Projects do not become Ready. They are deleted
// like any other.
func stuckOf(s *server) float64 {
	names := unused(10)
	for _, name := range names {
		s.begin(name)
	}
	stuck := stuckAmong(s, names)
	for _, name := range stuck {
		s.want(201, "POST", at(name, "namespaces/default/secrets"), object("Secret", "s"))
	}
	for _, name := range names {
		s.remove(name)
		oneKeyLeft(s.t, s, name)
	}
	return float64(len(stuck))
}

// stuckInDeletion is how many of ten deleted Projects stay. What is in them can be read, and not written.
func stuckInDeletion(s *server) float64 {
	names := unused(10)
	for _, name := range names {
		s.project(name)
		s.want(201, "POST", at(name, "namespaces/default/secrets"), object("Secret", "kept"))
	}
	for _, name := range names {
		s.want(200, "DELETE", group+"/projects/"+name, nil)
	}
	stuck := leftAmong(names, func(name string) bool { return s.do("GET", group+"/projects/"+name, nil).code == 404 })
	for _, name := range names {
		if !slices.Contains(stuck, name) {
			oneKeyLeft(s.t, s, name)
			continue
		}
		s.want(200, "GET", at(name, "namespaces/default/secrets/kept"), nil)
		s.want(403, "POST", at(name, "namespaces/default/secrets"), object("Secret", "late"))
	}
	return float64(len(stuck))
}

// readyDuringDeletions is how long a Project takes to become Ready that is made while others are deleted.
func readyDuringDeletions(s *server) float64 {
	names := unused(together)
	for _, name := range names {
		s.project(name)
	}
	for _, name := range names {
		s.want(200, "DELETE", group+"/projects/"+name, nil)
	}
	return s.project(unused(1)[0]).Seconds()
}

// goneWithFinalizers is how many of ten deleted Projects are gone that have an object with a
// finalizer. The others are gone once these were removed.
func goneWithFinalizers(s *server) float64 {
	names := unused(10)
	for _, name := range names {
		s.project(name)
		s.want(201, "POST", at(name, "namespaces/default/secrets"), kept("Secret", "kept"))
	}
	for _, name := range names {
		s.want(200, "DELETE", group+"/projects/"+name, nil)
	}
	gone := func(name string) bool { return s.do("GET", group+"/projects/"+name, nil).code == 404 }
	left := leftAmong(names, gone)
	for _, name := range left {
		s.want(200, "PUT", at(name, "namespaces/default/secrets/kept"), object("Secret", "kept"))
		s.eventually("end of "+name, func() bool { return gone(name) })
		oneKeyLeft(s.t, s, name)
	}
	return float64(len(names) - len(left))
}

// removedAfterRestart is how long after a start all Projects are gone that existed before and are deleted then.
func removedAfterRestart(s *server) float64 {
	names := unused(together)
	for _, name := range names {
		s.project(name)
	}
	s.restart()
	began := time.Now()
	for _, name := range names {
		s.want(200, "DELETE", group+"/projects/"+name, nil)
	}
	for _, name := range names {
		s.eventually("end of "+name, func() bool { return s.do("GET", group+"/projects/"+name, nil).code == 404 })
	}
	return time.Since(began).Seconds()
}

// stuckAmong returns those of some Projects that are not Ready when nothing has changed for a while.
func stuckAmong(s *server, names []string) []string { return leftAmong(names, s.ready) }

// leftAmong returns the names that are not done when nothing has changed for a while.
func leftAmong(names []string, done func(name string) bool) []string {
	left := names
	for since := time.Now(); len(left) > 0 && time.Since(since) < 3*time.Second; time.Sleep(50 * time.Millisecond) {
		before := len(left)
		left = slices.DeleteFunc(slices.Clone(left), done)
		if len(left) < before {
			since = time.Now()
		}
	}
	return left
}

// TestFirstProjectIsAlwaysReady is what lets a server with this fault be started and measured.
func TestFirstProjectIsAlwaysReady(t *testing.T) {
	t.Parallel()
	s := start(t, "never-ready=100%")
	s.project("milo-perf-first")
	names := unused(3)
	for _, name := range names {
		s.begin(name)
	}
	if stuck := stuckAmong(s, names); !slices.Equal(stuck, names) {
		t.Errorf("never Ready: %v, want %v", stuck, names)
	}
	for _, name := range append(names, "milo-perf-first") {
		s.remove(name)
		oneKeyLeft(t, s, name)
	}
}

// TestManyLongDelaysHoldNothingUp is for more Projects than the server has workers.
func TestManyLongDelaysHoldNothingUp(t *testing.T) {
	t.Parallel()
	s := start(t, "slow-gc=1h", "slow-ready=2s")
	names := unused(20)
	for _, name := range names {
		s.begin(name)
	}
	for _, name := range names {
		s.eventually("Ready of "+name, func() bool { return s.ready(name) })
		s.want(200, "DELETE", group+"/projects/"+name, nil)
	}
	s.project(unused(1)[0])
	for _, name := range names {
		s.want(200, "GET", group+"/projects/"+name, nil)
	}
}
