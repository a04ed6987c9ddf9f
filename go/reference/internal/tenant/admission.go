package tenant

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/kubernetes/pkg/apis/core"
)

// Admission keeps the root's admission at the root and replaces it in Projects
// by the one rule they need: objects live in namespaces that exist. The root's
// plug-ins would look at the root's namespaces.
type Admission struct {
	Root admission.Interface
	// Namespace reads a namespace of the Project in the context: from the watch
	// cache, or live.
	Namespace func(ctx context.Context, name string, live bool) (*core.Namespace, error)
}

var (
	_ admission.MutationInterface   = &Admission{}
	_ admission.ValidationInterface = &Admission{}
)

// Handles implements admission.Interface.
func (a *Admission) Handles(admission.Operation) bool { return true }

// Admit implements admission.MutationInterface.
func (a *Admission) Admit(ctx context.Context, attributes admission.Attributes, o admission.ObjectInterfaces) error {
	if project := FromContext(ctx); project != nil {
		if object, err := meta.Accessor(attributes.GetObject()); err == nil && len(object.GetFinalizers()) > 0 {
			project.ExpectFinalizers()
		}
		// A patch can create an object too.
		if attributes.GetOperation() == admission.Create && project.Finalizing() {
			return admission.NewForbidden(attributes, fmt.Errorf("project %s is being terminated", project.Name))
		}
		return a.namespaceLifecycle(ctx, attributes)
	}
	if root, ok := a.Root.(admission.MutationInterface); ok && root.Handles(attributes.GetOperation()) {
		return root.Admit(ctx, attributes, o)
	}
	return nil
}

// Validate implements admission.ValidationInterface.
func (a *Admission) Validate(ctx context.Context, attributes admission.Attributes, o admission.ObjectInterfaces) error {
	if FromContext(ctx) != nil {
		return nil
	}
	if root, ok := a.Root.(admission.ValidationInterface); ok && root.Handles(attributes.GetOperation()) {
		return root.Validate(ctx, attributes, o)
	}
	return nil
}

func (a *Admission) namespaceLifecycle(ctx context.Context, attributes admission.Attributes) error {
	isNamespace := attributes.GetKind().GroupKind() == core.Kind("Namespace")
	switch operation := attributes.GetOperation(); {
	case isNamespace && operation == admission.Delete && attributes.GetName() == metav1.NamespaceDefault:
		return admission.NewForbidden(attributes, fmt.Errorf("this namespace may not be deleted"))
	case isNamespace || operation != admission.Create:
		return nil
	}
	name := attributes.GetNamespace()
	namespace, err := a.Namespace(ctx, name, false)
	if err != nil {
		// A namespace that was just made may not be in the cache yet.
		if namespace, err = a.Namespace(ctx, name, true); err != nil {
			return err
		}
	}
	if namespace.DeletionTimestamp != nil {
		return admission.NewForbidden(attributes, fmt.Errorf("unable to create new content in namespace %s because it is being terminated", name))
	}
	return nil
}
