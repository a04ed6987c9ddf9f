package faults

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"
)

// with returns a Set of the given faults.
func with(t *testing.T, given ...string) *Set {
	t.Helper()
	set := &Set{}
	for _, fault := range given {
		if err := set.Set(fault); err != nil {
			t.Fatal(err)
		}
	}
	return set
}

func TestSizes(t *testing.T) {
	for fault, canonical := range map[string]string{
		"slow-create=20ms": "20ms", "slow-list=0.02s": "20ms", "cpu=200us": "200us", "cpu=0.2ms": "200us", "slow-ready=90s": "1m30s",
		"leak-memory=4KiB": "4KiB", "leak-memory=4096": "4KiB", "leak-memory=1.5KiB": "1536B", "leak-memory=0": "0B",
		"leak-goroutines=0.10": "0.1", "leak-goroutines=2": "2", "orphans=01": "1",
		"leak-project-goroutines=3": "3", "leak-files=2.0": "2", "never-ready=0.1": "10%", "project-lock=20000us": "20ms", "slow-gc=1500ms": "1.5s",
		"errors=0.5%": "0.5%", "errors=0.005": "0.5%", "errors=0.7%": "0.7%", "errors=1": "100%",
	} {
		set := &Set{}
		if err := set.Set(fault); err != nil {
			t.Errorf("%s: %v", fault, err)
			continue
		}
		for name, got := range set.Canonical() {
			if got != canonical {
				t.Errorf("%s: got %s, want %s", fault, got, canonical)
			}
			again := &Set{}
			if err := again.Set(name + "=" + got); err != nil || again.Size(name) != set.Size(name) {
				t.Errorf("%s does not survive its canonical form %s: %v", fault, got, err)
			}
		}
	}
	for _, fault := range []string{"", "x", "cpu", "cpu=", "cpu=1", "cpu=-1s", "errors=2", "errors=NaN", "orphans=1.5", "orphans=-1", "leak-memory=0.5", "leak-goroutines=Inf", "leak-files=0.5", "leak-project-goroutines=1.5", "never-ready=101%", "project-lock=20", "slow-gc=-1s"} {
		if err := (&Set{}).Set(fault); err == nil {
			t.Errorf("%q was accepted", fault)
		}
	}
}

func TestTwice(t *testing.T) {
	set := &Set{}
	if err := set.Set("cpu=1ms"); err != nil {
		t.Fatal(err)
	}
	if err := set.Set("cpu=2ms"); err == nil {
		t.Error("the same fault was accepted twice")
	}
}

func TestNoFaultsNoHook(t *testing.T) {
	if NewInjector(&Set{}).OnRequests() {
		t.Error("a server without faults would run the hook")
	}
	onProjects := []string{LeakProjectGoroutines, LeakFiles, Orphans, SlowReady, NeverReady, ProjectLock, SlowGC}
	for _, fault := range Table {
		set := with(t, fault.Name+"="+fault.Example)
		if got, want := NewInjector(set).OnRequests(), !slices.Contains(onProjects, fault.Name); got != want {
			t.Errorf("%s: hook on requests %v, want %v", fault.Name, got, want)
		}
	}
}

func TestFractionOfGoroutines(t *testing.T) {
	i := &Injector{leakGoroutines: 0.1}
	before := runtime.NumGoroutine()
	for range 100 {
		i.Request(context.Background(), Request{Objects: true, Verb: "create"})
		i.Request(context.Background(), Request{Objects: true, Verb: "get"})
		i.Request(context.Background(), Request{Verb: "create"})
	}
	if leaked := runtime.NumGoroutine() - before; leaked < 9 || leaked > 11 {
		t.Errorf("leaked %d, want 10", leaked)
	}
}

func TestBurnIsCPUTime(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadTime()
	burn(20 * time.Millisecond)
	if used := threadTime() - before; used < 20*time.Millisecond || used > 200*time.Millisecond {
		t.Errorf("burnt %v, want 20ms", used)
	}
}
