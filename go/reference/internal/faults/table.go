// Package faults makes the server worse on purpose.
//
// A benchmark gate is only worth what it catches, so this server can be made
// slower, heavier or leakier by a known amount. Every fault is off by default
// and has a size. With no fault given none of this package is on any request's
// path.
package faults

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Names of the faults, as given to --fault.
const (
	SlowCreate            = "slow-create"
	SlowList              = "slow-list"
	SlowTail              = "slow-tail"
	CPU                   = "cpu"
	LeakMemory            = "leak-memory"
	LeakGoroutines        = "leak-goroutines"
	LeakProjectGoroutines = "leak-project-goroutines"
	LeakFiles             = "leak-files"
	Orphans               = "orphans"
	Errors                = "errors"
	Hang                  = "hang"
	SlowReady             = "slow-ready"
	NeverReady            = "never-ready"
	ProjectLock           = "project-lock"
	DeletionLock          = "deletion-lock"
	SlowGC                = "slow-gc"
	StuckGC               = "stuck-gc"
	SkipFinalizers        = "skip-finalizers"
	SlowResume            = "slow-resume"
	CrashAfter            = "crash-after"
	SharedLock            = "shared-lock"
	BlockingList          = "blocking-list"
	LoseEvent             = "lose-event"
	ForeignEvent          = "foreign-event"
	DelayEvents           = "delay-events"
	LeakWatchers          = "leak-watchers"
)

// Fault is one row of the table of faults.
type Fault struct {
	Name    string
	Unit    Unit
	Example string
	Effect  string
}

// Table lists every fault. Help, error messages and parsing all come from it:
// a new fault is one row here and one hook where it acts.
var Table = []Fault{
	{SlowCreate, Duration, "20ms", "delay each POST of a Secret or ConfigMap in a Project by an external client"},
	{SlowList, Duration, "20ms", "delay each LIST (not WATCH) of Secrets or ConfigMaps in a Project by an external client"},
	{SlowTail, ShareDuration, "5%:20ms", "delay this share of external requests (not WATCH) of Secrets or ConfigMaps in a Project by this much"},
	{CPU, Duration, "200us", "burn this much CPU time per external request, except health, metrics, debug and watches"},
	{LeakMemory, Bytes, "4KiB", "keep this many resident bytes per external request of Secrets or ConfigMaps in a Project"},
	{LeakGoroutines, Rate, "0.1", "leak this many goroutines per external write of Secrets or ConfigMaps in a Project"},
	{LeakProjectGoroutines, Rate, "1", "leak this many goroutines per Project when it becomes Ready"},
	{LeakFiles, Rate, "1", "leave this many files open per Project created, whether it becomes Ready or not"},
	{Orphans, Count, "1", "leave this many extra keys in etcd below the prefix of each deleted Project"},
	{Errors, Share, "0.5%", "answer this share of external requests of Secrets or ConfigMaps in a Project with 500"},
	{Hang, Share, "1%", "never answer this share of external requests (not WATCH) of Secrets or ConfigMaps in a Project"},
	{SlowReady, Duration, "200ms", "delay the moment at which a Project becomes Ready, but never the Project " + FirstProject},
	{NeverReady, Share, "10%", "let this share of Projects never become Ready, but never the Project " + FirstProject},
	{ProjectLock, Duration, "20ms", "hold one lock for this long when a Project becomes Ready, so that Projects wait for each other"},
	{DeletionLock, Duration, "100ms", "hold one lock for this long when a deleted Project is purged; a Project waits for it to become Ready"},
	{SlowGC, Duration, "100ms", "delay the purge of each deleted Project, so that it is gone this much later"},
	{StuckGC, Share, "50%", "let this share of deleted Projects stay in deletion for ever"},
	{SkipFinalizers, Share, "50%", "purge this share of deleted Projects with finalizers without waiting for these"},
	{SlowResume, Duration, "200ms", "delay deletions after a restart: by this long for the first Project that existed, twice as long for the second, and so on"},
	{CrashAfter, Duration, "20s", "crash the process with a panic this long after it became ready"},
	{SharedLock, Duration, "5ms", "hold one lock for this long in each external write and LIST of Secrets or ConfigMaps in any Project; all their requests (not WATCH) wait for it"},
	{BlockingList, Duration, "50ms", "let all external requests (not WATCH) of Secrets or ConfigMaps wait for this long during each LIST of them without a limit, in any Project"},
	{LoseEvent, Share, "0.1%", "never deliver this share of the events of watches of Secrets or ConfigMaps in Projects"},
	{ForeignEvent, Share, "0.1%", "deliver this share of the events of watches of Secrets or ConfigMaps to a watch of another Project, too"},
	{DelayEvents, Duration, "20ms", "deliver each event of a watch of Secrets or ConfigMaps in a Project this much later"},
	{LeakWatchers, Rate, "1", "leave this many watches open for each watch of Secrets or ConfigMaps in a Project that ends"},
}

// Set holds the faults that are switched on. The zero value has none.
// It implements pflag.Value, so that it can be a repeatable flag.
type Set struct {
	sizes map[string]Size
}

// Set parses one NAME=SIZE and adds it.
func (s *Set) Set(text string) error {
	name, size, found := strings.Cut(text, "=")
	if !found {
		return fmt.Errorf("want NAME=SIZE; %s", known())
	}
	for _, fault := range Table {
		if fault.Name != name {
			continue
		}
		if _, twice := s.sizes[name]; twice {
			return fmt.Errorf("fault %q is given twice", name)
		}
		parsed, err := fault.Unit.Parse(size)
		if err != nil {
			return fmt.Errorf("size of fault %q: %w, for example %s=%s; %s", name, err, name, fault.Example, known())
		}
		if s.sizes == nil {
			s.sizes = map[string]Size{}
		}
		s.sizes[name] = parsed
		return nil
	}
	return fmt.Errorf("unknown fault %q; %s", name, known())
}

// Type names the flag's value in --help.
func (s *Set) Type() string { return "NAME=SIZE" }

// String shows the faults as they were given, in the order of the table.
func (s *Set) String() string {
	var shown []string
	for _, fault := range Table {
		if size, on := s.sizes[fault.Name]; on {
			shown = append(shown, fault.Name+"="+size.Text)
		}
	}
	return strings.Join(shown, ",")
}

// Canonical returns every fault that is on with its size in one fixed form.
func (s *Set) Canonical() map[string]string {
	sizes := map[string]string{}
	for name, size := range s.sizes {
		sizes[name] = size.Text
	}
	return sizes
}

// Size returns the size of a fault in base units (seconds, bytes, 1), zero when it is off.
func (s *Set) Size(name string) float64 { return s.sizes[name].Value }

func (s *Set) duration(name string) time.Duration {
	return time.Duration(s.Size(name) * float64(time.Second))
}

// share returns the share of a fault of which the size is SHARE:DURATION.
func (s *Set) share(name string) float64 { return s.sizes[name].Share }

// Usage writes the table for --help.
func Usage(w io.Writer) {
	for _, fault := range Table {
		fmt.Fprintf(w, "  %-24s %-15s %s (e.g. %s)\n", fault.Name, fault.Unit.Name, fault.Effect, fault.Example)
	}
}

func known() string {
	names := make([]string, len(Table))
	for i, fault := range Table {
		names[i] = fault.Name
	}
	return "known faults: " + strings.Join(names, ", ")
}
