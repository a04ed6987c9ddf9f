package faults

import (
	"context"
	"runtime"
	"slices"
	"strings"
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
		"leak-goroutines=0.10": "0.1", "leak-goroutines=2": "2", "orphans=01": "1", "lose-event=0.001": "0.1%", "foreign-event=1e-3": "0.1%", "delay-events=0.02s": "20ms", "leak-watchers=0.10": "0.1",
		"leak-project-goroutines=3": "3", "leak-files=2.0": "2", "leak-project-goroutines=0.1": "0.1", "leak-files=0.50": "0.5", "never-ready=0.1": "10%", "project-lock=20000us": "20ms", "slow-gc=1500ms": "1.5s",
		"errors=0.5%": "0.5%", "errors=0.005": "0.5%", "errors=0.7%": "0.7%", "errors=1": "100%",
		"hang=0.010": "1%", "stuck-gc=50%": "50%", "slow-gc=120s": "2m0s", "crash-after=20s": "20s", "slow-create=5s": "5s",
		"slow-tail=5%:20ms": "5%:20ms", "slow-tail=0.05:0.02s": "5%:20ms", "slow-tail=100%:0s": "100%:0s",
		"deletion-lock=0.1s": "100ms", "skip-finalizers=0.5": "50%", "slow-resume=200ms": "200ms",
		"shared-lock=0.005s": "5ms", "blocking-list=50ms": "50ms",
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
			if err := again.Set(name + "=" + got); err != nil || again.Size(name) != set.Size(name) || again.share(name) != set.share(name) {
				t.Errorf("%s does not survive its canonical form %s: %v", fault, got, err)
			}
		}
	}
	for _, fault := range []string{"", "x", "cpu", "cpu=", "cpu=1", "cpu=-1s", "errors=2", "errors=NaN", "orphans=1.5", "orphans=-1", "leak-memory=0.5", "leak-goroutines=Inf", "leak-files=-0.5", "leak-project-goroutines=2000000", "lose-event=2", "foreign-event=1s", "delay-events=20", "leak-watchers=-1", "never-ready=101%", "project-lock=20", "slow-gc=-1s",
		"hang=1s", "stuck-gc=2", "crash-after=20", "slow-tail=5%", "slow-tail=20ms", "slow-tail=20ms:5%", "slow-tail=:20ms", "slow-tail=5%:", "slow-tail=101%:20ms", "slow-tail=5%:20", "slow-tail=5%:20ms:1s"} {
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
	if NewInjector(nil, &Set{}).OnRequests() {
		t.Error("a server without faults would run the hook")
	}
	notOnRequests := []string{LeakProjectGoroutines, LeakFiles, Orphans, SlowReady, NeverReady, ProjectLock, DeletionLock, SlowGC, StuckGC, SkipFinalizers, SlowResume, CrashAfter, LoseEvent, ForeignEvent, DelayEvents, LeakWatchers}
	for _, fault := range Table {
		injector := NewInjector(nil, with(t, fault.Name+"="+fault.Example))
		if got, want := injector.OnRequests(), !slices.Contains(notOnRequests, fault.Name); got != want {
			t.Errorf("%s: hook on requests %v, want %v", fault.Name, got, want)
		}
		if got, want := injector.MayHang(), fault.Name == Hang; got != want {
			t.Errorf("%s: requests may hang: %v, want %v", fault.Name, got, want)
		}
	}
}

func TestFractionOfGoroutines(t *testing.T) {
	i := NewInjector(nil, with(t, "leak-goroutines=0.1"))
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

// objects are requests of objects, one of each verb that a client repeats.
var objects = []string{"create", "get", "update", "delete", "list"}

func TestAShareOfRequestsIsExact(t *testing.T) {
	for size, want := range map[string]int{"0%": 0, "0.7%": 7, "1%": 10, "12.5%": 125, "33%": 330, "60%": 600, "100%": 1000} {
		for name, answer := range map[string]Answer{"hang": Never, "errors": Fail} {
			i := NewInjector(nil, with(t, name+"="+size))
			got := 0
			for n := range 1000 {
				if i.Request(t.Context(), Request{Objects: true, Verb: objects[n%len(objects)]}) == answer {
					got++
				}
			}
			if got != want {
				t.Errorf("%s=%s: %d of 1000 requests, want %d", name, size, got, want)
			}
		}
	}
}

func TestAShareOfRequestsFavoursNoOperation(t *testing.T) {
	i := NewInjector(nil, with(t, "hang=5%")) // One in 20: a multiple of the five verbs.
	hit := map[string]int{}
	for n := range 20_000 {
		if verb := objects[n%len(objects)]; i.Request(t.Context(), Request{Objects: true, Verb: verb}) == Never {
			hit[verb]++
		}
	}
	for _, verb := range objects {
		if hit[verb] < 150 || hit[verb] > 250 {
			t.Errorf("%s was hit %d times, want about 200: %v", verb, hit[verb], hit)
		}
	}
}

func TestEachStartPicksTheSameRequests(t *testing.T) {
	picked := func() (events []int) {
		i := NewInjector(nil, with(t, "errors=10%"))
		for n := range 500 {
			if i.Request(t.Context(), Request{Objects: true, Verb: "get"}) == Fail {
				events = append(events, n)
			}
		}
		return events
	}
	if first, second := picked(), picked(); !slices.Equal(first, second) {
		t.Errorf("picked %v, and then %v", first, second)
	}
}

func TestWhatWatchesTheServerIsSpared(t *testing.T) {
	for _, fault := range []string{"hang=100%", "slow-tail=100%:1h"} {
		i := NewInjector(nil, with(t, fault))
		for _, spared := range []Request{{Verb: "get"}, {Verb: "get", Exempt: true}, {Verb: "create"}, {Objects: true, Verb: "watch"}} {
			if i.Request(t.Context(), spared) != Serve {
				t.Errorf("%s: %+v was not served", fault, spared)
			}
		}
	}
}

func TestAShareOfRequestsIsSlow(t *testing.T) {
	i := NewInjector(nil, with(t, "slow-tail=10%:20ms"))
	slow := 0
	for range 50 {
		began := time.Now()
		i.Request(t.Context(), Request{Objects: true, Verb: "get"})
		if time.Since(began) >= 20*time.Millisecond {
			slow++
		}
	}
	if slow < 5 || slow > 25 {
		t.Errorf("%d of 50 requests were slow, want 5 and what a busy machine adds", slow)
	}
}

func TestNobodyWaitsForAFaultAtTheEnd(t *testing.T) {
	for _, fault := range []string{"slow-create=1h", "slow-tail=100%:1h", "shared-lock=1h"} {
		stop := make(chan struct{})
		i := NewInjector(stop, with(t, fault))
		client, leave := context.WithCancel(t.Context())
		ended := make(chan Answer)
		for _, ctx := range []context.Context{client, t.Context()} {
			go func() { ended <- i.Request(ctx, Request{Objects: true, Verb: "create"}) }()
		}
		select {
		case <-ended:
			t.Fatalf("%s: a request was not delayed", fault)
		case <-time.After(20 * time.Millisecond):
		}
		leave()
		<-ended
		close(stop)
		<-ended
		i.Wait(t.Context())
	}
}

func TestCrash(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	why := make(chan any)
	crash := func(fault string) {
		defer func() { why <- recover() }()
		Crash(ctx, with(t, fault))
	}
	began := time.Now()
	go crash("crash-after=20ms")
	if text, _ := (<-why).(string); !strings.Contains(text, "crash-after") || time.Since(began) < 20*time.Millisecond {
		t.Errorf("after %v: %q", time.Since(began), text)
	}
	go crash("crash-after=0s")
	if text := <-why; text != nil {
		t.Errorf("without the fault: %v", text)
	}
	go crash("crash-after=1h")
	stop()
	if text := <-why; text != nil {
		t.Errorf("of a server that stopped before: %v", text)
	}
}
