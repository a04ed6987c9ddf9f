// Package app puts the server together: Kubernetes' generic API server, the
// Projects beside it and the faults on top.
package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extensions "k8s.io/apiextensions-apiserver/pkg/apiserver"
	extensionsoptions "k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/union"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	genericfilters "k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/util/notfoundhandler"
	openapiutil "k8s.io/apiserver/pkg/util/openapi"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	clientrest "k8s.io/client-go/rest"
	"k8s.io/component-base/compatibility"
	_ "k8s.io/component-base/metrics/prometheus/restclient" // Metrics of the server's own clients.
	_ "k8s.io/component-base/metrics/prometheus/workqueue"  // And of its queues.

	"github.com/milo-os/milo-perf/reference/internal/access"
	"github.com/milo-os/milo-perf/reference/internal/apis"
	"github.com/milo-os/milo-perf/reference/internal/controller"
	"github.com/milo-os/milo-perf/reference/internal/faults"
	"github.com/milo-os/milo-perf/reference/internal/registry"
	"github.com/milo-os/milo-perf/reference/internal/storage"
	"github.com/milo-os/milo-perf/reference/internal/tenant"
	"github.com/milo-os/milo-perf/reference/internal/types"
)

// resync is how often the server's own caches of roles and priorities are handled again.
const resync = 10 * time.Minute

// run serves until the context ends.
func run(ctx context.Context, opts *Options, set *faults.Set) error {
	config := genericapiserver.NewConfig(apis.Codecs)
	shared, err := apply(opts, config)
	if err != nil {
		return err
	}
	loopback := config.LoopbackClientConfig
	injector := faults.NewInjector(ctx.Done(), set)

	projectRegistry := tenant.NewRegistry()
	projects, err := controller.New(loopback, projectRegistry)
	if err != nil {
		return err
	}
	purger, err := storage.NewPurger(opts.Etcd.StorageConfig.Transport)
	if err != nil {
		return err
	}
	projects.Purge, projects.Remaining, projects.Faults = purger.Purge, purger.Remaining, faults.NewProjects(set)
	gate := &tenant.Gate{
		Registry: projectRegistry, Serializer: apis.Codecs,
		NamespaceDeleted: projects.NamespaceDeleted, ObjectChanged: projects.ObjectChanged,
	}
	// Types of which every Project has its own.
	stores := &storage.Options{RESTOptionsGetter: config.RESTOptionsGetter, Watches: faults.NewWatches(set)}
	config.AdmissionControl = &tenant.Admission{Namespace: stores.Namespace}
	customTypes, err := customTypesConfig(opts, *config, shared)
	if err != nil {
		return err
	}
	config.RESTOptionsGetter = stores

	build := config.BuildHandlerChainFunc
	config.BuildHandlerChainFunc = func(api http.Handler, c *genericapiserver.Config) http.Handler {
		api = gate.Restrict(api)
		if injector.OnRequests() {
			api = withFaults(api, injector, apis.Codecs)
		}
		whole := tenant.WithPaths(build(gate.Resolve(api), c))
		if injector.MayHang() {
			whole = withHangs(whole, injector)
		}
		return whole
	}

	server, custom, err := chain(config, customTypes, shared)
	if err != nil {
		return err
	}
	server.Handler.NonGoRestfulMux.Handle("/reference/faults", showFaults(set))
	projectRegistry.Live = projects.Live
	// The server is ready when this hook is done: types served, Projects known.
	err = server.AddPostStartHook("reference-projects", func(hook genericapiserver.PostStartHookContext) error {
		if err := start(hook, loopback, projects); err != nil {
			return err
		}
		go faults.Crash(hook, set)
		return nil
	})
	if err != nil {
		return err
	}
	prepared := server.PrepareRun()
	// Custom types are described where all others are.
	custom.StaticOpenAPISpec, custom.OpenAPIVersionedService = server.StaticOpenAPISpec, server.OpenAPIVersionedService
	custom.OpenAPIV3VersionedService = server.OpenAPIV3VersionedService
	return prepared.RunWithContext(ctx)
}

// apply changes the configuration as the flags say, and returns the caches that the server fills from itself.
func apply(opts *Options, config *genericapiserver.Config) (informers.SharedInformerFactory, error) {
	if err := opts.Server.ApplyTo(config); err != nil {
		return nil, err
	}
	config.EffectiveVersion = namedVersion{config.EffectiveVersion}
	if err := opts.Serving.ApplyTo(&config.SecureServing, &config.LoopbackClientConfig); err != nil {
		return nil, err
	}
	config.LoopbackClientConfig.ContentType = runtime.ContentTypeProtobuf
	config.LoopbackClientConfig.DisableCompression = true
	client, err := kubernetes.NewForConfig(config.LoopbackClientConfig)
	if err != nil {
		return nil, err
	}
	shared := informers.NewSharedInformerFactoryWithOptions(client, resync, informers.WithTransform(withoutManagers))
	if err := opts.Features.ApplyTo(config, client, shared); err != nil {
		return nil, err
	}
	definitions := openapiutil.GetOpenAPIDefinitionsWithoutDisabledFeatures(apis.Definitions)
	namer := openapi.NewDefinitionNamer(clientscheme.Scheme, extensions.Scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions, namer)
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions, namer)
	config.OpenAPIConfig.Info.Title, config.OpenAPIV3Config.Info.Title = "reference", "reference"
	config.MergedResourceConfig = serverstorage.NewResourceConfig()
	config.MergedResourceConfig.EnableVersions(apis.Scheme.PrioritizedVersionsAllGroups()...)
	config.AggregatedDiscoveryGroupManager = aggregated.NewResourceManager("apis")

	opts.Etcd.StorageConfig.Transport.TracerProvider = config.TracerProvider
	opts.Etcd.StorageConfig.StorageObjectCountTracker = config.StorageObjectCountTracker
	factory := serverstorage.NewDefaultStorageFactory(opts.Etcd.StorageConfig, opts.Etcd.DefaultStorageMediaType, apis.Codecs,
		serverstorage.NewDefaultResourceEncodingConfigForEffectiveVersion(apis.Scheme, config.EffectiveVersion), config.MergedResourceConfig, nil)
	if err := opts.Etcd.ApplyWithStorageFactoryTo(factory, config); err != nil {
		return nil, err
	}
	config.Authorization.Authorizer = union.New(authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup), access.NewRBAC(shared))
	return shared, opts.Authentication.ApplyTo(config)
}

// withoutManagers leaves out what no cache of the server needs.
func withoutManagers(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
	}
	return object, nil
}

// customTypesConfig is the configuration of the server behind this one, which serves custom resources.
func customTypesConfig(opts *Options, config genericapiserver.Config, shared informers.SharedInformerFactory) (*extensions.Config, error) {
	config.PostStartHooks = map[string]genericapiserver.PostStartHookConfigEntry{}
	config.RESTOptionsGetter = nil
	config.SkipOpenAPIInstallation = true
	config.MergedResourceConfig = extensions.DefaultAPIResourceConfigSource()
	etcd := *opts.Etcd
	etcd.StorageConfig.Codec = extensions.Codecs.LegacyCodec(apiextensionsv1.SchemeGroupVersion)
	etcd.StorageConfig.EncodeVersioner = runtime.NewMultiGroupVersioner(apiextensionsv1.SchemeGroupVersion,
		schema.GroupKind{Group: apiextensionsv1.GroupName})
	etcd.SkipHealthEndpoints = true // They are there.
	if err := etcd.ApplyTo(&config); err != nil {
		return nil, err
	}
	return &extensions.Config{
		GenericConfig: &genericapiserver.RecommendedConfig{Config: config, SharedInformerFactory: shared},
		ExtraConfig: extensions.ExtraConfig{
			CRDRESTOptionsGetter: extensionsoptions.NewCRDRESTOptionsGetter(etcd, config.ResourceTransformers, config.StorageObjectCountTracker),
			MasterCount:          1, // There is one server, so a new type need not wait for the caches of others.
			ServiceResolver:      noServices{},
			AuthResolverWrapper:  webhook.NewDefaultAuthenticationInfoResolverWrapper(nil, nil, config.LoopbackClientConfig, config.TracerProvider),
		},
	}, nil
}

// noServices stands in for the Services of a cluster, which webhooks of custom types could name.
type noServices struct{}

// ResolveEndpoint implements webhook.ServiceResolver.
func (noServices) ResolveEndpoint(string, string, int32) (*url.URL, error) {
	return nil, errors.New("this server has no Services")
}

// chain makes the server of our own types, and behind it the one of custom resources.
func chain(config *genericapiserver.Config, customTypes *extensions.Config, shared informers.SharedInformerFactory) (server, custom *genericapiserver.GenericAPIServer, err error) {
	last := notfoundhandler.New(config.Serializer, genericfilters.NoMuxAndDiscoveryIncompleteKey)
	definitions, err := customTypes.Complete().New(genericapiserver.NewEmptyDelegateWithCustomHandler(last))
	if err != nil {
		return nil, nil, fmt.Errorf("make the server of custom resources: %w", err)
	}
	custom = definitions.GenericAPIServer
	if server, err = config.Complete(shared).New("reference", custom); err != nil {
		return nil, nil, err
	}
	stored, err := registry.Storage(config.RESTOptionsGetter)
	if err != nil {
		return nil, nil, err
	}
	for version, resources := range stored {
		group := genericapiserver.NewDefaultAPIGroupInfo(version.Group, apis.Scheme, runtime.NewParameterCodec(apis.Scheme), apis.Codecs)
		group.VersionedResourcesStorageMap = map[string]map[string]rest.Storage{version.Version: resources}
		install := server.InstallAPIGroup
		if version == corev1.SchemeGroupVersion {
			install = func(group *genericapiserver.APIGroupInfo) error {
				return server.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, group)
			}
		}
		if err := install(&group); err != nil {
			return nil, nil, err
		}
	}
	for _, version := range []schema.GroupVersion{apiextensionsv1.SchemeGroupVersion, tenant.Resource.GroupVersion()} {
		// Clients that do not know aggregated discovery find these groups in the list of all.
		named := metav1.GroupVersionForDiscovery{GroupVersion: version.String(), Version: version.Version}
		server.DiscoveryGroupManager.AddGroup(metav1.APIGroup{
			Name: version.Group, Versions: []metav1.GroupVersionForDiscovery{named}, PreferredVersion: named,
		})
	}
	return server, custom, nil
}

func start(ctx context.Context, loopback *clientrest.Config, projects *controller.Controller) error {
	if err := makeFirst(ctx, loopback); err != nil {
		return fmt.Errorf("make the first objects: %w", err)
	}
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
	info.GitVersion, info.GitCommit, info.GitTreeState, info.BuildDate = kubernetesVersion+"+reference", "", "", ""
	return info
}
