package registry

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	generic "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storageerrors "k8s.io/apiserver/pkg/storage/errors"
)

// namespaces stores namespaces, which end in two steps: a deletion begins their end, and they are gone
// once their contents are and nothing is left in their list of finalizers.
type namespaces struct{ *endpoint }

func startNamespace(object runtime.Object) {
	namespace := object.(*corev1.Namespace)
	namespace.Status.Phase = corev1.NamespaceActive
	namespace.Spec.Finalizers = []corev1.FinalizerName{corev1.FinalizerKubernetes}
}

func prepareNamespace(object runtime.Object) {
	if namespace := object.(*corev1.Namespace); namespace.Name != "" { // Not yet made by generateName.
		metav1.SetMetaDataLabel(&namespace.ObjectMeta, corev1.LabelMetadataName, namespace.Name)
	}
}

func namespaceFields(object runtime.Object) fields.Set {
	namespace := object.(*corev1.Namespace)
	return fields.Set{"status.phase": string(namespace.Status.Phase), "name": namespace.Name}
}

func validateNamespace(object, before runtime.Object) field.ErrorList {
	namespace := object.(*corev1.Namespace)
	old, _ := before.(*corev1.Namespace)
	if old == nil || old.DeletionTimestamp == nil {
		return nil
	}
	for _, finalizer := range namespace.Spec.Finalizers {
		if !slices.Contains(old.Spec.Finalizers, finalizer) {
			return field.ErrorList{field.Forbidden(field.NewPath("spec", "finalizers"), "none can be added during deletion")}
		}
	}
	return nil
}

// namespaceHasEnded reports whether an update was the last thing that a deletion waited for.
func namespaceHasEnded(ctx context.Context, key string, object, before runtime.Object) bool {
	return len(object.(*corev1.Namespace).Spec.Finalizers) == 0 && generic.ShouldDeleteDuringUpdate(ctx, key, object, before)
}

// Delete implements rest.GracefulDeleter.
func (n namespaces) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	object, err := n.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, false, err
	}
	namespace := object.(*corev1.Namespace)
	if namespace.DeletionTimestamp != nil {
		if len(namespace.Spec.Finalizers) > 0 {
			return namespace, false, nil
		}
		return n.Store.Delete(ctx, name, validate, options)
	}
	return n.end(ctx, namespace, validate, options)
}

// end is the first step of a deletion.
func (n namespaces) end(ctx context.Context, namespace *corev1.Namespace, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	key, err := n.KeyFunc(ctx, namespace.Name)
	if err != nil {
		return nil, false, err
	}
	only := storage.Preconditions{UID: &namespace.UID} // Another one of that name is another namespace.
	var dryRun bool
	if options != nil {
		dryRun = len(options.DryRun) > 0
		if wanted := options.Preconditions; wanted != nil {
			only.ResourceVersion = wanted.ResourceVersion
			if wanted.UID != nil {
				only.UID = wanted.UID
			}
		}
	}
	ended := &corev1.Namespace{}
	err = n.Storage.GuaranteedUpdate(ctx, key, ended, false, &only, storage.SimpleUpdate(func(object runtime.Object) (runtime.Object, error) {
		if err := validate(ctx, object); err != nil {
			return nil, err
		}
		current := object.(*corev1.Namespace)
		if current.DeletionTimestamp == nil {
			now := metav1.Now()
			current.DeletionTimestamp = &now
		}
		current.Status.Phase = corev1.NamespaceTerminating
		return current, nil
	}), dryRun, nil)
	resource := n.DefaultQualifiedResource
	err = storageerrors.InterpretGetError(err, resource, namespace.Name)
	return ended, false, storageerrors.InterpretUpdateError(err, resource, namespace.Name)
}
