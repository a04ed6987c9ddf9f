package faults

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// FirstProject is the Project by which a measuring tool sees that the server
// has started. It always becomes Ready, and without delay: a fault must not
// keep the server from being measured.
const FirstProject = "milo-perf-first"

// Projects applies those faults of a Set that act on Projects.
type Projects struct {
	leakGoroutines, leakFiles      float64
	orphans                        int
	neverReady, stuckGC            float64
	skipFinalizers                 float64
	slowReady, projectLock, slowGC time.Duration
	deletionLock, slowResume       time.Duration

	lock             chan struct{} // A mutex for which one can stop waiting.
	created, deleted total
	ready, opened    total
	finalized        total
	resumed          atomic.Int64
	mu               sync.Mutex
	files            []*os.File
}

// NewProjects returns the hooks of the given faults.
func NewProjects(s *Set) *Projects {
	return &Projects{
		leakGoroutines: s.Size(LeakProjectGoroutines),
		leakFiles:      s.Size(LeakFiles),
		orphans:        int(s.Size(Orphans)),
		neverReady:     s.Size(NeverReady),
		slowReady:      s.duration(SlowReady),
		projectLock:    s.duration(ProjectLock),
		slowGC:         s.duration(SlowGC),
		stuckGC:        s.Size(StuckGC),
		skipFinalizers: s.Size(SkipFinalizers),
		deletionLock:   s.duration(DeletionLock),
		slowResume:     s.duration(SlowResume),
		lock:           make(chan struct{}, 1),
	}
}

// Created acts once on each new Project. It reports whether the Project may
// become Ready, by a running total, so that 10 % is exactly one in every ten.
func (p *Projects) Created(project string) (mayBecomeReady bool) {
	p.openFiles()
	if p.neverReady == 0 || project == FirstProject {
		return true
	}
	return p.created.step(p.neverReady) == 0
}

// Deleted acts once on each deleted Project. It reports whether the Project
// may be purged, by a running total as with Created.
func (p *Projects) Deleted() (mayBePurged bool) {
	return p.deleted.step(p.stuckGC) == 0
}

// ReadyDelay is how much later a Project becomes Ready.
func (p *Projects) ReadyDelay(project string) time.Duration {
	if project == FirstProject {
		return 0
	}
	return p.slowReady
}

// BeforeReady lets Projects that become Ready wait for each other, and for purges.
func (p *Projects) BeforeReady(ctx context.Context) {
	if p.projectLock > 0 || p.deletionLock > 0 {
		p.holdLock(ctx, p.projectLock)
	}
}

// BeforePurge lets purges wait for each other, and Projects that become Ready wait for them.
func (p *Projects) BeforePurge(ctx context.Context) {
	if p.deletionLock > 0 {
		p.holdLock(ctx, p.deletionLock)
	}
}

func (p *Projects) holdLock(ctx context.Context, d time.Duration) {
	select {
	case p.lock <- struct{}{}:
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
		<-p.lock
	case <-ctx.Done():
	}
}

// AwaitsFinalizers acts once on each deleted Project whose objects may have finalizers. It reports
// whether they are waited for, by a running total as with Created.
func (p *Projects) AwaitsFinalizers() bool {
	return p.finalized.step(p.skipFinalizers) == 0
}

// ResumeDelay is how much later a Project is worked on that existed when the server started, for
// each such Project more.
func (p *Projects) ResumeDelay() time.Duration {
	return time.Duration(p.resumed.Add(1)) * p.slowResume
}

// AfterReady acts once on each Project that became Ready. It leaks by a running total, so that 0.1 is
// exactly one in every ten Projects.
func (p *Projects) AfterReady() { leakGoroutines(p.ready.step(p.leakGoroutines)) }

// PurgeDelay is how much later a deleted Project is purged.
func (p *Projects) PurgeDelay() time.Duration { return p.slowGC }

// Orphans is how many keys a purge must leave behind besides the one it always leaves.
func (p *Projects) Orphans() int { return p.orphans }

// openFiles opens files and keeps them, by a running total as with AfterReady:
// what nobody refers to, the garbage collector would close. At the limit of the
// process there is no more to leak.
func (p *Projects) openFiles() {
	for range p.opened.step(p.leakFiles) {
		file, err := os.Open(os.DevNull)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.files = append(p.files, file)
		p.mu.Unlock()
	}
}
