package storage

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	storageerrors "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"

	"github.com/milo-os/milo-perf/reference/internal/faults"
	"github.com/milo-os/milo-perf/reference/internal/tenant"
)

// Prefix is the key below which a Project's objects are stored, whatever
// --etcd-prefix says.
func Prefix(project string) string { return "/projects/" + project }

var namespaces = corev1.Resource("namespaces")

// Options wraps the server's storage options: the types that Projects have get a Mux.
type Options struct {
	generic.RESTOptionsGetter
	// Watches acts on watches of Secrets and ConfigMaps in Projects.
	Watches    *faults.Watches
	namespaces *Mux
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (o *Options) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := o.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err == nil && resource.Group == "" && tenant.Types.Has(resource.Resource) {
		options.Decorator = o.decorate(options.Decorator)
	}
	return options, err
}

func (o *Options) decorate(one generic.StorageDecorator) generic.StorageDecorator {
	return func(
		config *storagebackend.ConfigForResource, resourcePrefix string, keyFunc func(runtime.Object) (string, error),
		newFunc, newListFunc func() runtime.Object, getAttrs storage.AttrFunc, triggers storage.IndexerFuncs, indexers *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		root, destroy, err := one(config, resourcePrefix, keyFunc, newFunc, newListFunc, getAttrs, triggers, indexers)
		if err != nil {
			return nil, nil, err
		}
		mux := &Mux{resource: config.GroupResource, Interface: root}
		mux.open = func(project string) (storage.Interface, func(), error) {
			own := *config
			own.Prefix = Prefix(project)
			childCreations.WithLabelValues(config.GroupResource.Group, config.GroupResource.Resource).Inc()
			return one(&own, resourcePrefix, keyFunc, newFunc, newListFunc, getAttrs, triggers, indexers)
		}
		if config.GroupResource == namespaces {
			o.namespaces = mux
		} else if o.Watches.OnWatches() {
			mux.watches = o.Watches
		}
		return mux, destroy, nil
	}
}

// Namespace reads a namespace of the Project in the context, from the watch
// cache or live.
func (o *Options) Namespace(ctx context.Context, name string, live bool) (*corev1.Namespace, error) {
	options := storage.GetOptions{ResourceVersion: "0"}
	if live {
		options.ResourceVersion = ""
	}
	namespace := &corev1.Namespace{}
	err := o.namespaces.Get(ctx, "/namespaces/"+name, options, namespace)
	return namespace, storageerrors.InterpretGetError(err, namespaces, name)
}
