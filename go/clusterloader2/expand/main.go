// Expand prints a ClusterLoader2 config as ClusterLoader2 runs it: templates
// executed, modules flattened, and every object template executed once. It prints
// the file and line of each part. Mistakes that ClusterLoader2 would find in the
// middle of a run, or never, are errors here.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

const (
	exitFaulty = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(arguments []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("expand", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: expand [-overrides FILE] CONFIG")
		flags.PrintDefaults()
	}
	overrides := flags.String("overrides", "", "`file` of parameters, as --testoverrides of ClusterLoader2")
	if err := flags.Parse(arguments); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return exitUsage
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return exitUsage
	}
	expanded, err := expand(flags.Arg(0), *overrides)
	if err != nil {
		fmt.Fprintln(stderr, err) // FILE:LINE: what is wrong, a line for each fault
		return exitFaulty
	}
	encoder := json.NewEncoder(stdout)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(expanded); err != nil {
		fmt.Fprintln(stderr, err)
		return exitFaulty
	}
	return 0
}
