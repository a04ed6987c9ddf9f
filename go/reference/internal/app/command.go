package app

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"

	"github.com/milo-os/milo-perf/reference/internal/faults"
)

// kubernetesVersion is the version of Kubernetes that this server is built on.
const kubernetesVersion = "v1.34.4"

// Exit codes of the program.
const (
	exitCrash = 1
	exitUsage = 2
)

type usageError struct{ error }

// Main runs the program and returns its exit code.
func Main() int {
	logs.InitLogs()
	defer logs.FlushLogs()
	command := newCommand()
	err := command.Execute()
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", command.Name(), err)
	if errors.As(err, &usageError{}) {
		return exitUsage
	}
	return exitCrash
}

func newCommand() *cobra.Command {
	opts := newOptions()
	set := &faults.Set{}
	showVersion := false
	command := &cobra.Command{
		Use:           "reference",
		Short:         "A small control plane in the shape of Milo, with faults that can be switched on",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unexpected argument %q", args[0])}
			}
			return nil
		},
		RunE: func(command *cobra.Command, _ []string) error {
			if showVersion {
				_, err := fmt.Fprintf(command.OutOrStdout(), "reference (Kubernetes %s)\n", kubernetesVersion)
				return err
			}
			return serve(opts, set)
		},
	}
	var sections cliflag.NamedFlagSets
	opts.AddFlags(&sections)
	own := sections.FlagSet("reference")
	own.Var(set, "fault", "Make the server worse on purpose. May be given several times. See the table below.")
	own.BoolVar(&showVersion, "version", false, "Print the version and exit.")
	globalflag.AddGlobalFlags(sections.FlagSet("global"), command.Name(), logs.SkipLoggingConfigurationFlags())
	for _, section := range sections.FlagSets {
		command.Flags().AddFlagSet(section)
	}
	command.SetGlobalNormalizationFunc(cliflag.WordSepNormalizeFunc)
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	command.SetHelpFunc(func(command *cobra.Command, _ []string) { help(command.OutOrStdout(), command.Short, sections) })
	return command
}

func help(w io.Writer, short string, sections cliflag.NamedFlagSets) {
	fmt.Fprintf(w, "%s.\n\nFaults (--fault NAME=SIZE), all off by default:\n", short)
	faults.Usage(w)
	fmt.Fprintln(w)
	cliflag.PrintSections(w, sections, 0)
}

func serve(opts *Options, set *faults.Set) error {
	if err := logsapi.ValidateAndApply(opts.Logs, utilfeature.DefaultFeatureGate); err != nil {
		return usageError{err}
	}
	// The server's own clients need not warn it about its own API.
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	ctx := genericapiserver.SetupSignalContext()
	if err := opts.complete(); err != nil {
		return err
	}
	utilfeature.DefaultMutableFeatureGate.AddMetrics()
	return run(ctx, opts, set)
}

func init() { utilruntime.Must(logsapi.AddFeatureGates(utilfeature.DefaultMutableFeatureGate)) }
