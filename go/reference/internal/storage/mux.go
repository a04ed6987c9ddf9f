// Package storage gives each Project its own storage of each type.
//
// A Mux stands where the generic registry expects one storage. It passes every
// call to the root's storage or to a child that belongs to the Project in the
// context: watch cache, etcd client and key prefix of its own, made on first
// touch.
package storage

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/storage"

	"github.com/milo-os/milo-perf/reference/internal/faults"
	"github.com/milo-os/milo-perf/reference/internal/tenant"
)

// Mux implements storage.Interface for one type at the root and in all Projects.
type Mux struct {
	resource schema.GroupResource
	// Interface is the root's storage. Calls without a context are about it.
	storage.Interface
	open func(project string) (storage.Interface, func(), error)
	// watches acts on watches in Projects by clients, unless it is nil.
	watches *faults.Watches
}

func (m *Mux) pick(ctx context.Context) (storage.Interface, error) {
	project := tenant.FromContext(ctx)
	if project == nil {
		return m.Interface, nil
	}
	return project.Storage(m.resource, m.open)
}

// Create implements storage.Interface.
func (m *Mux) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	s, err := m.pick(ctx)
	if err != nil {
		return err
	}
	return s.Create(ctx, key, obj, out, ttl)
}

// Delete implements storage.Interface.
func (m *Mux) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, existing runtime.Object, opts storage.DeleteOptions,
) error {
	s, err := m.pick(ctx)
	if err != nil {
		return err
	}
	return s.Delete(ctx, key, out, preconditions, validate, existing, opts)
}

// Watch implements storage.Interface.
func (m *Mux) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	s, err := m.pick(ctx)
	if err != nil {
		return nil, err
	}
	inner, err := s.Watch(ctx, key, opts)
	project := tenant.FromContext(ctx)
	if err != nil || m.watches == nil || project == nil || isOwn(ctx) {
		return inner, err
	}
	again := opts
	again.ResourceVersion, again.ResourceVersionMatch, again.SendInitialEvents = "0", "", nil
	return m.watches.Follow(faults.Watched{
		Resource: m.resource.Resource, Project: project.Name,
		Open: func() (watch.Interface, error) { return s.Watch(context.Background(), key, again) },
	}, inner), nil
}

// isOwn reports whether a request is one of the server's own clients, which faults spare.
func isOwn(ctx context.Context) bool {
	who, ok := request.UserFrom(ctx)
	return ok && who.GetName() == user.APIServerUser
}

// Get implements storage.Interface.
func (m *Mux) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	s, err := m.pick(ctx)
	if err != nil {
		return err
	}
	return s.Get(ctx, key, opts, out)
}

// GetList implements storage.Interface.
func (m *Mux) GetList(ctx context.Context, key string, opts storage.ListOptions, list runtime.Object) error {
	s, err := m.pick(ctx)
	if err != nil {
		return err
	}
	return s.GetList(ctx, key, opts, list)
}

// GuaranteedUpdate implements storage.Interface.
func (m *Mux) GuaranteedUpdate(ctx context.Context, key string, out runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, update storage.UpdateFunc, existing runtime.Object,
) error {
	s, err := m.pick(ctx)
	if err != nil {
		return err
	}
	return s.GuaranteedUpdate(ctx, key, out, ignoreNotFound, preconditions, update, existing)
}

// Stats implements storage.Interface.
func (m *Mux) Stats(ctx context.Context) (storage.Stats, error) {
	s, err := m.pick(ctx)
	if err != nil {
		return storage.Stats{}, err
	}
	return s.Stats(ctx)
}

// RequestWatchProgress implements storage.Interface.
func (m *Mux) RequestWatchProgress(ctx context.Context) error {
	s, err := m.pick(ctx)
	if err != nil {
		return err
	}
	return s.RequestWatchProgress(ctx)
}

// GetCurrentResourceVersion implements storage.Interface.
func (m *Mux) GetCurrentResourceVersion(ctx context.Context) (uint64, error) {
	s, err := m.pick(ctx)
	if err != nil {
		return 0, err
	}
	return s.GetCurrentResourceVersion(ctx)
}
