package app

import (
	"errors"
	"fmt"
	"net"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"

	"github.com/milo-os/milo-perf/reference/internal/access"
)

// Options are the flags of Kubernetes' API server that this one has.
type Options struct {
	Server         *options.ServerRunOptions
	Serving        *options.SecureServingOptionsWithLoopback
	Etcd           *options.EtcdOptions
	Features       *options.FeatureOptions
	Authentication *access.Authentication
	Logs           *logs.Options

	authorization string
	accountIssuer string
	accountKeys   []string
}

func newOptions() *Options {
	serving := options.NewSecureServingOptions()
	serving.BindPort, serving.Required = 6443, true
	// Without certificates the server makes its own, in memory: it never writes
	// into the working directory.
	serving.ServerCert.CertDirectory, serving.ServerCert.PairName = "", "apiserver"
	etcd := options.NewEtcdOptions(storagebackend.NewDefaultConfig("/registry", nil))
	etcd.DefaultStorageMediaType = runtime.ContentTypeProtobuf
	return &Options{
		Server:         options.NewServerRunOptions(),
		Serving:        serving.WithLoopback(),
		Etcd:           etcd,
		Features:       options.NewFeatureOptions(),
		Authentication: &access.Authentication{},
		Logs:           logs.NewOptions(),
	}
}

// AddFlags adds the flags in sections, as --help shows them.
func (o *Options) AddFlags(sections *cliflag.NamedFlagSets) {
	o.Server.AddUniversalFlags(sections.FlagSet("generic"))
	o.Serving.AddFlags(sections.FlagSet("secure serving"))
	o.Etcd.AddFlags(sections.FlagSet("etcd"))
	o.Features.AddFlags(sections.FlagSet("features"))
	logsapi.AddFlags(o.Logs, sections.FlagSet("logs"))
	access := sections.FlagSet("access")
	o.Authentication.AddFlags(access)
	access.StringVar(&o.authorization, "authorization-mode", "RBAC", "How requests are authorized; only RBAC.")
	// Milo needs these two, and both are started with the same flags.
	access.StringVar(&o.accountIssuer, "service-account-issuer", "", "Accepted and not used: this server has no service accounts.")
	access.StringSliceVar(&o.accountKeys, "service-account-key-file", nil, "Accepted and not used: this server has no service accounts.")
}

// complete fills in what was not given, and checks all.
func (o *Options) complete() error {
	if err := o.Server.Complete(); err != nil {
		return err
	}
	if err := o.Server.DefaultAdvertiseAddress(o.Serving.SecureServingOptions); err != nil {
		return err
	}
	address := o.Server.AdvertiseAddress.String()
	if err := o.Serving.MaybeDefaultWithSelfSignedCerts(address, nil, []net.IP{}); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	if o.Server.ExternalHost == "" {
		o.Server.ExternalHost = address
	}
	// A watch can go on after a list that took as long as a request may.
	history := o.Server.RequestTimeout + 15*time.Second
	o.Etcd.StorageConfig.EventsHistoryWindow = max(o.Etcd.StorageConfig.EventsHistoryWindow, history)
	var errs []error
	for _, validate := range []func() []error{o.Server.Validate, o.Serving.Validate, o.Etcd.Validate, o.Features.Validate} {
		errs = append(errs, validate()...)
	}
	if o.authorization != "RBAC" {
		errs = append(errs, errors.New("--authorization-mode: this server has only RBAC"))
	}
	if len(errs) > 0 {
		return usageError{utilerrors.NewAggregate(errs)}
	}
	return nil
}
