package faults

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Request is what a fault needs to know of a request.
type Request struct {
	// Objects is true for Secrets and ConfigMaps in a Project.
	Objects bool
	// Verb is Kubernetes' verb: create, list, watch, …
	Verb string
	// Exempt is true for health, metrics and debugging.
	Exempt bool
}

// Injector applies those faults of a Set that act on requests.
type Injector struct {
	slowCreate, slowList, cpu time.Duration
	leakBytes                 int
	leakGoroutines, errors    float64

	mu     sync.Mutex
	leaked [][]byte
	writes total
}

// NewInjector returns the hook of the given faults.
func NewInjector(s *Set) *Injector {
	return &Injector{
		slowCreate:     s.duration(SlowCreate),
		slowList:       s.duration(SlowList),
		cpu:            s.duration(CPU),
		leakBytes:      int(s.Size(LeakMemory)),
		leakGoroutines: s.Size(LeakGoroutines),
		errors:         s.Size(Errors),
	}
}

// OnRequests reports whether any fault acts on requests; if not, the hook is left out of the chain.
func (i *Injector) OnRequests() bool {
	return i.slowCreate+i.slowList+i.cpu > 0 || i.leakBytes > 0 || i.leakGoroutines > 0 || i.errors > 0
}

// Request acts on one external request before it is handled. It returns true
// if the request must be answered with an error instead.
func (i *Injector) Request(ctx context.Context, r Request) (fail bool) {
	if i.cpu > 0 && !r.Exempt && r.Verb != "watch" {
		burn(i.cpu)
	}
	if !r.Objects {
		return false
	}
	if i.leakBytes > 0 {
		i.leakMemory()
	}
	switch r.Verb {
	case "create":
		Sleep(ctx, i.slowCreate)
		i.leakGoroutine()
	case "update", "patch", "delete", "deletecollection":
		i.leakGoroutine()
	case "list":
		Sleep(ctx, i.slowList)
	}
	return i.errors > 0 && rand.Float64() < i.errors
}

// leakMemory keeps bytes for ever. They are written to, because memory that
// was never touched is not resident.
func (i *Injector) leakMemory() {
	kept := make([]byte, i.leakBytes)
	for at := range kept {
		kept[at] = byte(at)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.leaked = append(i.leaked, kept)
}

// leakGoroutine leaks by a running total, so that 0.1 is exactly one in every ten writes.
func (i *Injector) leakGoroutine() {
	if i.leakGoroutines > 0 {
		leakGoroutines(i.writes.step(i.leakGoroutines))
	}
}

func leakGoroutines(count int) {
	for range count {
		go func() { select {} }()
	}
}

// Sleep waits without holding anything, and no longer than the request lives.
func Sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
