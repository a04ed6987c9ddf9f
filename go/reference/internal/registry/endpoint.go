package registry

import (
	"context"
	"maps"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// endpoint serves one type.
type endpoint struct {
	*genericregistry.Store
	short []string
}

// ShortNames implements rest.ShortNamesProvider.
func (e *endpoint) ShortNames() []string { return e.short }

// Storage returns what serves every type, by the group and version and then by the path of each endpoint.
func Storage(options generic.RESTOptionsGetter) (map[schema.GroupVersion]map[string]rest.Storage, error) {
	all := map[schema.GroupVersion]map[string]rest.Storage{}
	for _, r := range table {
		store, err := newStore(r, options)
		if err != nil {
			return nil, err
		}
		if all[r.GroupVersion] == nil {
			all[r.GroupVersion] = map[string]rest.Storage{}
		}
		served := all[r.GroupVersion]
		main := &endpoint{Store: store}
		if r.short != "" {
			main.short = []string{r.short}
		}
		served[r.plural] = main
		if r.plural == "namespaces" {
			store.ShouldDeleteDuringUpdate = namespaceHasEnded
			served[r.plural] = namespaces{main}
		}
		for p := range r.keep {
			if p != whole {
				served[r.plural+"/"+string(p)] = newSubresource(store, r, p)
			}
		}
	}
	return all, nil
}

func newStore(r resource, options generic.RESTOptionsGetter) (*genericregistry.Store, error) {
	qualified := schema.GroupResource{Group: r.Group, Resource: r.plural}
	rules := newStrategy(r, whole)
	store := &genericregistry.Store{
		NewFunc:                   r.make,
		NewListFunc:               r.makeList,
		DefaultQualifiedResource:  qualified,
		SingularQualifiedResource: schema.GroupResource{Group: r.Group, Resource: r.singular},
		CreateStrategy:            rules,
		UpdateStrategy:            rules,
		DeleteStrategy:            rules,
		ResetFieldsStrategy:       rules,
		TableConvertor:            rest.NewDefaultTableConvertor(qualified),
	}
	return store, store.CompleteWithOptions(&generic.StoreOptions{
		RESTOptions: options,
		AttrFunc:    r.attributes,
		// A watch of one object by its name need not look at the changes of all others.
		TriggerFunc: map[string]storage.IndexerFunc{"metadata.name": func(object runtime.Object) string {
			accessor, err := meta.Accessor(object)
			if err != nil {
				return ""
			}
			return accessor.GetName()
		}},
	})
}

// attributes are what selectors of labels and fields see of an object.
func (r resource) attributes(object runtime.Object) (labels.Set, fields.Set, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil, nil, err
	}
	visible := fields.Set{"metadata.name": accessor.GetName()}
	if r.namespaced {
		visible["metadata.namespace"] = accessor.GetNamespace()
	}
	if r.fields != nil {
		maps.Copy(visible, r.fields(object))
	}
	return accessor.GetLabels(), visible, nil
}

// subresource serves one part of a type.
type subresource struct{ store *genericregistry.Store }

func newSubresource(store *genericregistry.Store, r resource, p part) *subresource {
	own, rules := *store, newStrategy(r, p)
	own.UpdateStrategy, own.ResetFieldsStrategy = rules, rules
	return &subresource{&own}
}

// New implements rest.Storage.
func (s *subresource) New() runtime.Object { return s.store.New() }

// Destroy implements rest.Storage. The storage is that of the whole type, which ends it.
func (s *subresource) Destroy() {}

// Get implements rest.Getter, which a patch needs.
func (s *subresource) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return s.store.Get(ctx, name, options)
}

// Update implements rest.Updater.
func (s *subresource) Update(ctx context.Context, name string, object rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	return s.store.Update(ctx, name, object, create, update, false, options)
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (s *subresource) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.store.GetResetFields()
}

// ConvertToTable implements rest.TableConvertor.
func (s *subresource) ConvertToTable(ctx context.Context, object, options runtime.Object) (*metav1.Table, error) {
	return s.store.ConvertToTable(ctx, object, options)
}
