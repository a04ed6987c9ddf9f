package controller

import (
	"context"
	"errors"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/milo-os/milo-perf/reference/internal/tenant"
)

const (
	finalizer = "resourcemanager.miloapis.com/project-controller"
	// drain is how long one attempt of a purge waits for writes that had begun.
	drain = time.Second
)

// reconcileProject runs a Project to Ready, or to its end.
func (c *Controller) reconcileProject(ctx context.Context, item key) error {
	obj, exists, err := c.informer.GetStore().GetByKey(item.project)
	if err != nil || !exists {
		return err
	}
	object := obj.(*unstructured.Unstructured).DeepCopy()
	project := c.registry.Known(item.project, object.GetUID())
	switch {
	case project == nil:
		return nil // Deleted since; its last event has been handled.
	case object.GetDeletionTimestamp() != nil:
		return c.end(ctx, object, project)
	case ready(object):
		return c.resumeNamespaces(ctx, item.project)
	default:
		return c.begin(ctx, object, project)
	}
}

func (c *Controller) begin(ctx context.Context, object *unstructured.Unstructured, project *tenant.Project) error {
	if !project.Creation.Decided() {
		var err error
		if object, err = c.prepare(ctx, object); err != nil {
			return err
		}
	}
	if !project.Creation.Decide(func() bool { return c.Faults.Created(project.Name) }) {
		return nil // What has been made can be used, and is deleted as usual.
	}
	if left := project.Creation.Left(c.Faults.ReadyDelay(project.Name)); left > 0 {
		c.queue.AddAfter(key{project: project.Name}, left)
		return nil
	}
	c.Faults.BeforeReady(ctx)
	condition := map[string]any{
		"type": "Ready", "status": "True", "reason": "Ready",
		"message":            "The control plane of this Project is ready",
		"lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
		"observedGeneration": object.GetGeneration(),
	}
	if err := unstructured.SetNestedSlice(object.Object, []any{condition}, "status", "conditions"); err != nil {
		return err
	}
	if _, err := c.projects.UpdateStatus(ctx, object, metav1.UpdateOptions{}); err != nil {
		return err
	}
	c.Faults.AfterReady()
	return nil
}

// prepare makes what a Project needs before it can be used.
func (c *Controller) prepare(ctx context.Context, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	var err error
	if !slices.Contains(object.GetFinalizers(), finalizer) {
		object.SetFinalizers(append(object.GetFinalizers(), finalizer))
		if object, err = c.projects.Update(ctx, object, metav1.UpdateOptions{}); err != nil {
			return nil, err
		}
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceDefault}}
	err = c.core.Post().AbsPath(inside(object.GetName(), "namespaces")...).Body(namespace).Do(ctx).Error()
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, err
	}
	return object, nil
}

// end removes everything below a Project. Nobody writes there any more: new
// writes are refused, and those that had begun are waited for. Objects that may
// have finalizers are deleted first, and waited for.
func (c *Controller) end(ctx context.Context, object *unstructured.Unstructured, project *tenant.Project) error {
	if !slices.Contains(object.GetFinalizers(), finalizer) {
		return nil
	}
	if left := project.Resumption.Left(0); left > 0 {
		c.queue.AddAfter(key{project: project.Name}, left)
		return nil
	}
	select {
	case <-project.Terminate():
	case <-time.After(drain):
		return errors.New("writes are still under way")
	case <-ctx.Done():
		return ctx.Err()
	}
	// A second attempt must not purge again: it would count orphans twice.
	if !project.Closed() {
		if !project.Deletion.Decide(c.Faults.Deleted) {
			return nil // It stays in deletion, and can be read.
		}
		if project.MayHaveFinalizers() && project.Finalization.Decide(c.Faults.AwaitsFinalizers) {
			if remaining, err := c.finalize(ctx, project); err != nil || remaining > 0 {
				return err // ObjectChanged queues the Project again.
			}
		}
		if left := project.Deletion.Left(c.Faults.PurgeDelay()); left > 0 {
			c.queue.AddAfter(key{project: project.Name}, left)
			return nil
		}
		c.Faults.BeforePurge(ctx)
		if err := c.Purge(ctx, project.Name, c.Faults.Orphans()); err != nil {
			return err
		}
		project.Close()
	}
	object.SetFinalizers(slices.DeleteFunc(object.GetFinalizers(), func(f string) bool { return f == finalizer }))
	_, err := c.projects.Update(ctx, object, metav1.UpdateOptions{})
	return err
}

// finalize deletes every object of a Project and returns how many remain, because they have finalizers.
func (c *Controller) finalize(ctx context.Context, project *tenant.Project) (remaining int64, err error) {
	project.AllowFinalizing()
	if !project.Emptied {
		namespaces := &corev1.NamespaceList{}
		path := inside(project.Name, "namespaces")
		if err := c.core.Get().AbsPath(path...).Param("limit", "10000").Do(ctx).Into(namespaces); err != nil {
			return 0, err
		}
		for _, namespace := range namespaces.Items {
			for _, resource := range contents {
				all := append(slices.Clone(path), namespace.Name, resource)
				if err := c.core.Delete().AbsPath(all...).Do(ctx).Error(); err != nil {
					return 0, err
				}
			}
		}
		project.Emptied = true
	}
	return c.Remaining(ctx, project.Name)
}

func ready(object *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(c any) bool {
		condition, _ := c.(map[string]any)
		return condition["type"] == "Ready" && condition["status"] == "True"
	})
}

// inside is the path of something in a Project's control plane, or at the root.
func inside(project string, path ...string) []string {
	if project == "" {
		return append([]string{"/api/v1"}, path...)
	}
	return append([]string{"/projects", project, "control-plane/api/v1"}, path...)
}
