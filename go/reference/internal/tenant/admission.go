package tenant

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
)

// Admission has the one rule that Projects and the root need: objects live in
// namespaces that exist. Types without namespaces pass.
type Admission struct {
	// Namespace reads a namespace of the Project in the context, or of the root: from the watch
	// cache, or live.
	Namespace func(ctx context.Context, name string, live bool) (*corev1.Namespace, error)
}

var _ admission.MutationInterface = &Admission{}

// Handles implements admission.Interface.
func (a *Admission) Handles(admission.Operation) bool { return true }

// Admit implements admission.MutationInterface.
func (a *Admission) Admit(ctx context.Context, attributes admission.Attributes, _ admission.ObjectInterfaces) error {
	if project := FromContext(ctx); project != nil {
		if object, err := meta.Accessor(attributes.GetObject()); err == nil && len(object.GetFinalizers()) > 0 {
			project.ExpectFinalizers()
		}
		// A patch can create an object too.
		if attributes.GetOperation() == admission.Create && project.Finalizing() {
			return admission.NewForbidden(attributes, fmt.Errorf("project %s is being terminated", project.Name))
		}
	}
	return a.namespaceLifecycle(ctx, attributes)
}

func (a *Admission) namespaceLifecycle(ctx context.Context, attributes admission.Attributes) error {
	isNamespace := attributes.GetKind().GroupKind() == corev1.SchemeGroupVersion.WithKind("Namespace").GroupKind()
	switch operation := attributes.GetOperation(); {
	case isNamespace && operation == admission.Delete && attributes.GetName() == metav1.NamespaceDefault:
		return admission.NewForbidden(attributes, fmt.Errorf("this namespace may not be deleted"))
	case isNamespace || operation != admission.Create || attributes.GetNamespace() == "":
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
