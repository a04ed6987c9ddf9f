// Package controller makes Projects Ready, removes what is below deleted ones
// and empties deleted namespaces inside them.
package controller

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/milo-os/milo-perf/reference/internal/tenant"
)

// workers is how many Projects or namespaces are worked on at once. They wait
// for I/O nearly all the time.
const workers = 16

// key names a Project, or a namespace in it.
type key struct{ project, namespace string }

// Faults are called at fixed points in the life of a Project.
type Faults interface {
	// Created is called once for each new Project and reports whether it may become Ready.
	Created(project string) (mayBecomeReady bool)
	// ReadyDelay is how much later a Project becomes Ready. No worker waits for it.
	ReadyDelay(project string) time.Duration
	// BeforeReady is called by the worker that makes a Project Ready, which may wait in it.
	BeforeReady(context.Context)
	AfterReady()
	// Deleted is called once for each deleted Project and reports whether it may be purged.
	Deleted() (mayBePurged bool)
	// AwaitsFinalizers is called once for each deleted Project whose objects may have finalizers, and
	// reports whether they are waited for.
	AwaitsFinalizers() bool
	// ResumeDelay is how much later a Project is worked on that existed when the controller started.
	// No worker waits for it.
	ResumeDelay() time.Duration
	// PurgeDelay is how much later a Project is purged. No worker waits for it.
	PurgeDelay() time.Duration
	// BeforePurge is called by the worker that purges a Project, which may wait in it.
	BeforePurge(context.Context)
	// Orphans is how many keys a purge leaves behind besides the one it always leaves.
	Orphans() int
}

// Controller is made by New and runs in the server's process.
type Controller struct {
	Faults Faults
	// Purge removes everything below a Project but orphans.
	Purge func(ctx context.Context, project string, orphans int) error
	// Remaining counts the objects of a Project, without its namespaces.
	Remaining func(ctx context.Context, project string) (int64, error)

	registry *tenant.Registry
	projects dynamic.ResourceInterface
	core     rest.Interface
	informer cache.SharedIndexInformer
	queue    workqueue.TypedRateLimitingInterface[key]
}

// New returns a controller that talks to the server itself through config.
func New(config *rest.Config, registry *tenant.Registry) (*Controller, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // This is the server's own process: priority and fairness is its limit.
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	c := &Controller{
		registry: registry,
		projects: client.Resource(tenant.Resource),
		core:     core.CoreV1().RESTClient(),
		informer: dynamicinformer.NewDynamicSharedInformerFactory(client, 0).ForResource(tenant.Resource).Informer(),
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[key](5*time.Millisecond, 5*time.Second),
			workqueue.TypedRateLimitingQueueConfig[key]{Name: "projects"}),
	}
	_, err = c.informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, isInInitialList bool) {
			if isInInitialList {
				c.resume(obj.(*unstructured.Unstructured))
			}
			c.seen(obj)
		},
		UpdateFunc: func(before, after any) {
			// A reconciliation runs to Ready by itself, so an update matters only
			// if it starts another one: a deletion, or another Project of that name.
			project := after.(*unstructured.Unstructured)
			if project.GetDeletionTimestamp() != nil || project.GetUID() != before.(*unstructured.Unstructured).GetUID() {
				c.seen(after)
			}
		},
		DeleteFunc: func(obj any) {
			if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = last.Obj
			}
			project := obj.(*unstructured.Unstructured)
			registry.Remove(project.GetName(), project.GetUID())
		},
	})
	return c, err
}

// resume makes a Project known that existed when the controller started. Whether its objects have
// finalizers is not known.
func (c *Controller) resume(object *unstructured.Unstructured) {
	project := c.registry.Ensure(object.GetName(), object.GetUID())
	project.ExpectFinalizers()
	project.Resumption.Left(c.Faults.ResumeDelay())
}

// seen makes a Project known and queues it.
func (c *Controller) seen(obj any) {
	object := obj.(*unstructured.Unstructured)
	project := c.registry.Ensure(object.GetName(), object.GetUID())
	if object.GetDeletionTimestamp() != nil {
		project.Terminate()
	}
	c.queue.Add(key{project: object.GetName()})
}

// Live reads a Project past every cache.
func (c *Controller) Live(ctx context.Context, name string) (types.UID, error) {
	project, err := c.projects.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return project.GetUID(), nil
}

// NamespaceDeleted queues a namespace that was asked to go, with no Project if it is the root's.
func (c *Controller) NamespaceDeleted(project, namespace string) {
	c.queue.Add(key{project, namespace})
}

// ObjectChanged queues a Project whose deletion waits for finalizers.
func (c *Controller) ObjectChanged(project string) { c.queue.Add(key{project: project}) }

// Start runs the controller until the context ends. It returns when all
// Projects that exist are known.
func (c *Controller) Start(ctx context.Context) error {
	go c.informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), c.informer.HasSynced) {
		return errors.New("the Projects could not be read")
	}
	if err := c.resumeNamespaces(ctx, ""); err != nil {
		return err
	}
	for range workers {
		go c.work(ctx)
	}
	go func() {
		<-ctx.Done()
		c.queue.ShutDown()
	}()
	return nil
}

func (c *Controller) work(ctx context.Context) {
	for {
		item, done := c.queue.Get()
		if done {
			return
		}
		c.one(ctx, item)
	}
}

func (c *Controller) one(ctx context.Context, item key) {
	defer utilruntime.HandleCrash()
	defer c.queue.Done(item)
	reconcile := c.reconcileProject
	if item.namespace != "" {
		reconcile = c.reconcileNamespace
	}
	err := reconcile(ctx, item)
	switch {
	case err == nil, apierrors.IsNotFound(err):
		c.queue.Forget(item)
	default:
		klog.V(2).InfoS("Will try again", "project", item.project, "namespace", item.namespace, "err", err)
		c.queue.AddRateLimited(item)
	}
}
