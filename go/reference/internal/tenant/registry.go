package tenant

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// catchUp is how long a request waits for the informer to see a Project
	// that a live read has found. Usually it is a few milliseconds behind.
	catchUp     = 2 * time.Second
	catchUpTick = 2 * time.Millisecond
	// reread is after how many ticks the live read is repeated: the informer may
	// be ahead of it and have seen the end of the Project.
	reread = 20
)

// Registry knows the Projects that exist. Only the informer adds to it: a live
// read could be older than a deletion and bring a Project back from the dead.
type Registry struct {
	// Live reads a Project past every cache. It is set before requests are served.
	Live func(ctx context.Context, name string) (types.UID, error)

	mu       sync.RWMutex
	projects map[string]*Project
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{projects: map[string]*Project{}} }

// Ensure returns the Project of that name and UID. One with another UID was
// deleted and made again; what it held in memory is stopped.
func (r *Registry) Ensure(name string, uid types.UID) *Project {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.projects[name]
	if known != nil && known.UID == uid {
		return known
	}
	if known != nil {
		go known.Close()
	}
	project := newProject(name, uid)
	r.projects[name] = project
	return project
}

// Remove forgets a Project that was deleted.
func (r *Registry) Remove(name string, uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.projects[name]; known != nil && known.UID == uid {
		delete(r.projects, name)
		go known.Close()
	}
}

// Get returns a Project that is known and not closed, or nil.
func (r *Registry) Get(name string) *Project {
	r.mu.RLock()
	known := r.projects[name]
	r.mu.RUnlock()
	if known == nil || known.Closed() {
		return nil
	}
	return known
}

// Find returns the Project that a request is for. If the informer does not
// know it, a live read decides, so that a Project can be used as soon as its
// creation was answered.
func (r *Registry) Find(ctx context.Context, name string) (*Project, error) {
	if known := r.Get(name); known != nil {
		return known, nil
	}
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	tick := time.NewTicker(catchUpTick)
	defer tick.Stop()
	var uid types.UID
	for n := 0; ; n++ {
		if n%reread == 0 {
			var err error
			if uid, err = r.Live(ctx, name); err != nil {
				return nil, err
			}
		}
		if known := r.Known(name, uid); known != nil {
			if known.Closed() {
				return nil, Gone(name) // It is purged and about to vanish.
			}
			return known, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, notYet
		}
	}
}

var notYet = apierrors.NewServiceUnavailable("the server does not know this Project yet, try again")

// Known returns the Project of that name and UID in whatever state it is, or nil.
func (r *Registry) Known(name string, uid types.UID) *Project {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if known := r.projects[name]; known != nil && known.UID == uid {
		return known
	}
	return nil
}
