package controller

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// contents are the types of objects that a namespace of a Project can hold, and access those that one of the
// root can hold beside them.
var (
	contents = []string{"secrets", "configmaps"}
	access   = []string{"roles", "rolebindings"}
)

// reconcileNamespace empties a namespace that is being deleted and lets it go.
func (c *Controller) reconcileNamespace(ctx context.Context, item key) error {
	err := c.endNamespace(ctx, item)
	if apierrors.IsForbidden(err) {
		return nil // The Project is being deleted, and the namespace with it.
	}
	return err
}

func (c *Controller) endNamespace(ctx context.Context, item key) error {
	namespace := &corev1.Namespace{}
	path := inside(item.project, "namespaces", item.namespace)
	if err := c.core.Get().AbsPath(path...).Do(ctx).Into(namespace); err != nil {
		return err
	}
	if namespace.DeletionTimestamp == nil || len(namespace.Spec.Finalizers) == 0 {
		return nil
	}
	for _, resource := range contents {
		if err := c.empty(ctx, append(slices.Clone(path), resource)); err != nil {
			return err
		}
	}
	if item.project == "" {
		for _, resource := range access {
			if err := c.empty(ctx, []string{"/apis/rbac.authorization.k8s.io/v1/namespaces", item.namespace, resource}); err != nil {
				return err
			}
		}
	}
	namespace.Spec.Finalizers = slices.DeleteFunc(namespace.Spec.Finalizers,
		func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
	return c.core.Put().AbsPath(append(path, "finalize")...).Body(namespace).Do(ctx).Error()
}

// empty deletes all objects of one type and reports whether some are left,
// which wait for finalizers of their own.
func (c *Controller) empty(ctx context.Context, path []string) error {
	for attempt := 0; ; attempt++ {
		left := &metav1.PartialObjectMetadataList{}
		err := c.core.Get().AbsPath(path...).Param("limit", "1").
			SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").Do(ctx).Into(left)
		switch {
		case err != nil:
			return err
		case len(left.Items) == 0:
			return nil
		case attempt > 0:
			return errors.New("objects are left that have finalizers")
		}
		if err := c.core.Delete().AbsPath(path...).Do(ctx).Error(); err != nil {
			return err
		}
	}
}

// resumeNamespaces queues the namespaces of a Project or of the root whose deletion an earlier run of the
// server did not finish.
func (c *Controller) resumeNamespaces(ctx context.Context, project string) error {
	namespaces := &corev1.NamespaceList{}
	// With a limit the answer comes from etcd while the watch cache is not ready.
	if err := c.core.Get().AbsPath(inside(project, "namespaces")...).Param("limit", "10000").Do(ctx).Into(namespaces); err != nil {
		return err
	}
	for _, namespace := range namespaces.Items {
		if namespace.DeletionTimestamp != nil {
			c.queue.Add(key{project, namespace.Name})
		}
	}
	return nil
}
