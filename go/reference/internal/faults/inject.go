package faults

import (
	"context"
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
	// Limited is true for a list of one page.
	Limited bool
}

// Answer says what becomes of a request.
type Answer int

const (
	// Serve is for a request that is handled as usual.
	Serve Answer = iota
	// Fail is for one that is answered with an error instead.
	Fail
	// Never is for one that is not answered.
	Never
)

// Injector applies those faults of a Set that act on requests.
type Injector struct {
	slowCreate, slowList, slowTail, cpu time.Duration
	leakBytes                           int
	leakGoroutines                      float64
	tail, errors, hang                  spread
	sharedLock, blockingList            *heldLock

	stop   <-chan struct{} // Closed when the server stops: no request waits for a fault then.
	mu     sync.Mutex
	leaked [][]byte
	writes total
}

// NewInjector returns the hook of the given faults, for a server that stops when stop is closed.
func NewInjector(stop <-chan struct{}, s *Set) *Injector {
	return &Injector{
		stop:           stop,
		slowCreate:     s.duration(SlowCreate),
		slowList:       s.duration(SlowList),
		cpu:            s.duration(CPU),
		leakBytes:      int(s.Size(LeakMemory)),
		leakGoroutines: s.Size(LeakGoroutines),
		slowTail:       s.duration(SlowTail),
		tail:           spread{share: s.share(SlowTail), seed: 1},
		errors:         spread{share: s.Size(Errors), seed: 2},
		hang:           spread{share: s.Size(Hang), seed: 3},
		sharedLock:     newHeldLock(s.duration(SharedLock)),
		blockingList:   newHeldLock(s.duration(BlockingList)),
	}
}

// OnRequests reports whether any fault acts on requests; if not, the hook is left out of the chain.
func (i *Injector) OnRequests() bool {
	return i.slowCreate+i.slowList+i.slowTail+i.cpu > 0 || i.leakBytes > 0 || i.leakGoroutines > 0 || i.errors.share > 0 || i.MayHang() || i.sharedLock.on() || i.blockingList.on()
}

// MayHang reports whether some requests are never answered.
func (i *Injector) MayHang() bool { return i.hang.share > 0 }

// Wait blocks until a client has gone away or the server stops.
func (i *Injector) Wait(client context.Context) {
	select {
	case <-client.Done():
	case <-i.stop:
	}
}

// Request acts on one external request before it is handled.
func (i *Injector) Request(ctx context.Context, r Request) Answer {
	if i.cpu > 0 && !r.Exempt && r.Verb != "watch" {
		burn(i.cpu)
	}
	if !r.Objects {
		return Serve
	}
	if i.leakBytes > 0 {
		i.leakMemory()
	}
	if r.Verb != "watch" {
		if i.hang.pick() {
			return Never
		}
		if i.tail.pick() {
			i.sleep(ctx, i.slowTail)
		}
	}
	i.waitForLocks(ctx, r)
	switch r.Verb {
	case "create":
		i.sleep(ctx, i.slowCreate)
		i.leakGoroutine()
	case "update", "patch", "delete", "deletecollection":
		i.leakGoroutine()
	case "list":
		i.sleep(ctx, i.slowList)
	}
	if i.errors.pick() {
		return Fail
	}
	return Serve
}

// sleep delays a request, unless its client goes away or the server stops.
func (i *Injector) sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	i.Wait(ctx)
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
