package tenant

import (
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/storage"
)

// Resource is the type of Projects.
var Resource = schema.GroupVersionResource{
	Group: "resourcemanager.miloapis.com", Version: "v1alpha1", Resource: "projects",
}

// Project is the state of one Project's control plane in this process.
type Project struct {
	Name string
	UID  types.UID

	// Creation and Deletion are the two ways of a Project through the controller.
	Creation, Deletion Stage
	// Resumption is the time until a controller that was started works on a Project that existed before.
	Resumption Stage
	// Finalization decides whether a deletion waits for finalizers.
	Finalization Stage
	// Emptied reports whether the deletion of every object was requested. Only the worker that has
	// the Project uses it.
	Emptied bool

	mu          sync.Mutex
	finalizers  bool // Objects may have finalizers.
	terminating bool
	finalizing  bool // Objects may be changed and deleted, and not created.
	closed      bool
	writers     int
	drained     chan struct{}
	children    map[schema.GroupResource]*child
}

// child is the storage of one type in one Project. It is made outside the
// Project's lock, because making it dials etcd.
type child struct {
	once    sync.Once
	storage storage.Interface
	stop    func()
	err     error
}

func newProject(name string, uid types.UID) *Project {
	return &Project{
		Name: name, UID: uid,
		drained:  make(chan struct{}),
		children: map[schema.GroupResource]*child{},
	}
}

// Gone is the answer to everything below a Project that does not exist.
func Gone(name string) error { return apierrors.NewNotFound(Resource.GroupResource(), name) }

// BeginWrite registers a request that may write. It refuses once the Project
// is being deleted, so that a purge can wait for the writers before it and
// knows that there are none after it. While a deletion waits for finalizers,
// only requests that create are refused.
func (p *Project) BeginWrite(creates bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminating && (creates || !p.finalizing) {
		return false
	}
	p.writers++
	return true
}

// EndWrite ends what BeginWrite began.
func (p *Project) EndWrite() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writers--
	if p.terminating && !p.finalizing && p.writers == 0 {
		close(p.drained)
	}
}

// Terminate refuses further writes. The channel is closed when the last write
// that had begun has ended.
func (p *Project) Terminate() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.terminating {
		p.terminating = true
		if p.writers == 0 {
			close(p.drained)
		}
	}
	return p.drained
}

// ExpectFinalizers records that objects may have finalizers, for which a deletion must wait.
func (p *Project) ExpectFinalizers() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finalizers = true
}

// MayHaveFinalizers reports whether objects may have finalizers.
func (p *Project) MayHaveFinalizers() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.finalizers
}

// AllowFinalizing lets objects be changed and deleted until the deletion ends. It is called after
// the last write before the deletion has ended.
func (p *Project) AllowFinalizing() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finalizing = true
}

// Finalizing reports whether the deletion waits for finalizers.
func (p *Project) Finalizing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.finalizing
}

// Closed reports whether the control plane is gone for good.
func (p *Project) Closed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// Close stops every storage of the Project, with its watches. None is made afterwards.
func (p *Project) Close() {
	p.Terminate()
	p.mu.Lock()
	p.closed = true
	children := p.children
	p.children = nil
	p.mu.Unlock()
	for _, c := range children {
		// Whoever is first decides: either the storage was made, or it never will be.
		c.once.Do(func() { c.err = Gone(p.Name) })
		if c.stop != nil {
			c.stop()
		}
	}
}

// Storage returns the storage of one type, and makes it on first touch.
func (p *Project) Storage(resource schema.GroupResource, open func(project string) (storage.Interface, func(), error)) (storage.Interface, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, Gone(p.Name)
	}
	c := p.children[resource]
	if c == nil {
		c = &child{}
		p.children[resource] = c
	}
	p.mu.Unlock()

	c.once.Do(func() { c.storage, c.stop, c.err = open(p.Name) })
	if c.err != nil {
		p.forget(resource, c)
	}
	return c.storage, c.err
}

// forget lets the next request try again to make a storage that could not be made.
func (p *Project) forget(resource schema.GroupResource, failed *child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.children[resource] == failed {
		delete(p.children, resource)
	}
}
