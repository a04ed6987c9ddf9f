package registry

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/milo-os/milo-perf/reference/internal/apis"
)

// strategy says how objects of one type are created and changed through one endpoint.
type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	resource resource
	part     part
}

func newStrategy(r resource, p part) strategy {
	return strategy{apis.Scheme, names.SimpleNameGenerator, r, p}
}

// NamespaceScoped implements rest.RESTCreateStrategy.
func (s strategy) NamespaceScoped() bool { return s.resource.namespaced }

// PrepareForCreate implements rest.RESTCreateStrategy.
func (s strategy) PrepareForCreate(_ context.Context, object runtime.Object) {
	if keep := s.resource.keep[whole]; keep != nil {
		keep(object, s.resource.make()) // Nobody may set a status here.
	}
	if s.resource.start != nil {
		s.resource.start(object)
	}
	s.prepare(object)
}

// PrepareForUpdate implements rest.RESTUpdateStrategy.
func (s strategy) PrepareForUpdate(_ context.Context, object, before runtime.Object) {
	if keep := s.resource.keep[s.part]; keep != nil {
		keep(object, before)
	}
	s.prepare(object)
}

func (s strategy) prepare(object runtime.Object) {
	if s.resource.prepare != nil {
		s.resource.prepare(object)
	}
}

// Validate implements rest.RESTCreateStrategy.
func (s strategy) Validate(_ context.Context, object runtime.Object) field.ErrorList {
	return append(validateName(object), s.validate(object, nil)...)
}

// ValidateUpdate implements rest.RESTUpdateStrategy.
func (s strategy) ValidateUpdate(_ context.Context, object, before runtime.Object) field.ErrorList {
	return append(validateMetadata(object, before), s.validate(object, before)...)
}

func (s strategy) validate(object, before runtime.Object) field.ErrorList {
	if s.resource.validate == nil {
		return nil
	}
	return s.resource.validate(object, before)
}

// Canonicalize implements rest.RESTCreateStrategy.
func (s strategy) Canonicalize(object runtime.Object) { s.prepare(object) } // The name is known only now.

// WarningsOnCreate implements rest.RESTCreateStrategy.
func (strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }

// WarningsOnUpdate implements rest.RESTUpdateStrategy.
func (strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// AllowCreateOnUpdate implements rest.RESTUpdateStrategy.
func (strategy) AllowCreateOnUpdate() bool { return false }

// AllowUnconditionalUpdate implements rest.RESTUpdateStrategy.
func (strategy) AllowUnconditionalUpdate() bool { return true }

// GetResetFields names the fields that an endpoint leaves alone, so that nobody owns them by it.
func (s strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	if s.resource.keep == nil {
		return nil
	}
	left := "status"
	if s.part == status {
		left = "spec"
	}
	version := fieldpath.APIVersion(s.resource.GroupVersion.String())
	return map[fieldpath.APIVersion]*fieldpath.Set{version: fieldpath.NewSet(fieldpath.MakePathOrDie(left))}
}
