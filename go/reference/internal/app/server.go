// Package app puts the server together: Kubernetes' generic control plane, the
// Projects beside it and the faults on top.
package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/version"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/compatibility"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/controlplane/apiserver/options"
	generic "k8s.io/kubernetes/pkg/controlplane/apiserver/samples/generic/server"

	"github.com/milo-os/milo-perf/reference/internal/controller"
	"github.com/milo-os/milo-perf/reference/internal/faults"
	"github.com/milo-os/milo-perf/reference/internal/storage"
	"github.com/milo-os/milo-perf/reference/internal/tenant"
	"github.com/milo-os/milo-perf/reference/internal/types"
)

// run serves until the context ends.
func run(ctx context.Context, opts options.CompletedOptions, set *faults.Set) error {
	config, err := generic.NewConfig(opts)
	if err != nil {
		return err
	}
	loopback := config.ControlPlane.Generic.LoopbackClientConfig
	injector := faults.NewInjector(ctx.Done(), set)

	registry := tenant.NewRegistry()
	projects, err := controller.New(loopback, registry)
	if err != nil {
		return err
	}
	purger, err := storage.NewPurger(opts.Etcd.StorageConfig.Transport)
	if err != nil {
		return err
	}
	projects.Purge, projects.Remaining, projects.Faults = purger.Purge, purger.Remaining, faults.NewProjects(set)
	gate := &tenant.Gate{
		Registry: registry, Serializer: legacyscheme.Codecs,
		NamespaceDeleted: projects.NamespaceDeleted, ObjectChanged: projects.ObjectChanged,
	}

	// Types of which every Project has its own.
	stores := &storage.Options{RESTOptionsGetter: config.ControlPlane.Generic.RESTOptionsGetter}
	config.ControlPlane.Generic.RESTOptionsGetter = stores
	config.ControlPlane.Generic.AdmissionControl = &tenant.Admission{
		Root: config.ControlPlane.Generic.AdmissionControl, Namespace: stores.Namespace,
	}
	// There is one server, so a new type need not wait for the caches of others.
	config.APIExtensions.ExtraConfig.MasterCount = 1

	config.Aggregator.GenericConfig.EffectiveVersion = namedVersion{config.Aggregator.GenericConfig.EffectiveVersion}

	// The aggregator is the outermost of the servers: only its chain is run.
	build := config.Aggregator.GenericConfig.BuildHandlerChainFunc
	config.Aggregator.GenericConfig.BuildHandlerChainFunc = func(api http.Handler, c *genericapiserver.Config) http.Handler {
		api = gate.Restrict(api)
		if injector.OnRequests() {
			api = withFaults(api, injector, legacyscheme.Codecs)
		}
		whole := tenant.WithPaths(build(gate.Resolve(api), c))
		if injector.MayHang() {
			whole = withHangs(whole, injector)
		}
		return whole
	}

	completed, err := config.Complete()
	if err != nil {
		return err
	}
	chain, err := generic.CreateServerChain(completed)
	if err != nil {
		return err
	}
	chain.GenericAPIServer.Handler.NonGoRestfulMux.Handle("/reference/faults", showFaults(set))
	registry.Live = projects.Live
	// The server is ready when this hook is done: types served, Projects known.
	err = chain.GenericAPIServer.AddPostStartHook("reference-projects", func(hook genericapiserver.PostStartHookContext) error {
		if err := start(hook, loopback, projects); err != nil {
			return err
		}
		go faults.Crash(hook, set)
		return nil
	})
	if err != nil {
		return err
	}
	prepared, err := chain.PrepareRun()
	if err != nil {
		return err
	}
	return prepared.Run(ctx)
}

func start(ctx context.Context, loopback *rest.Config, projects *controller.Controller) error {
	if err := types.Install(ctx, loopback); err != nil {
		return fmt.Errorf("install types: %w", err)
	}
	return projects.Start(ctx)
}

// showFaults lets a measuring tool check what it measures.
func showFaults(set *faults.Set) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			http.Error(w, "only GET is supported", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"faults": set.Canonical()})
	})
}

// namedVersion gives /version a version that clients can read. Built as a
// library, Kubernetes does not know its own.
type namedVersion struct{ compatibility.EffectiveVersion }

// Info implements compatibility.EffectiveVersion.
func (v namedVersion) Info() *version.Info {
	info := v.EffectiveVersion.Info()
	info.GitVersion, info.GitCommit, info.GitTreeState, info.BuildDate = kubernetes+"+reference", "", "", ""
	return info
}
