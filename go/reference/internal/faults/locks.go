package faults

import (
	"context"
	"time"
)

// heldLock is a lock that some requests hold for a fixed time, and for which
// all others wait. A waiting request gives up when its client goes away or the
// server stops, which a sync.Mutex cannot do.
type heldLock struct {
	hold time.Duration
	free chan struct{}
}

func newHeldLock(hold time.Duration) *heldLock {
	return &heldLock{hold: hold, free: make(chan struct{}, 1)}
}

// on reports whether the lock has a size.
func (l *heldLock) on() bool { return l.hold > 0 }

// pass waits for the lock, and holds it for its time if told to.
func (l *heldLock) pass(ctx context.Context, stop <-chan struct{}, hold bool) {
	if !l.on() {
		return
	}
	select {
	case l.free <- struct{}{}:
	case <-ctx.Done():
		return
	case <-stop:
		return
	}
	defer func() { <-l.free }()
	if !hold {
		return
	}
	timer := time.NewTimer(l.hold)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-stop:
	}
}

// waitForLocks makes a request of objects wait for those of other Projects.
func (i *Injector) waitForLocks(ctx context.Context, r Request) {
	switch r.Verb {
	case "watch":
	case "list":
		i.sharedLock.pass(ctx, i.stop, true)
		i.blockingList.pass(ctx, i.stop, !r.Limited)
	case "create", "update", "patch", "delete", "deletecollection":
		i.sharedLock.pass(ctx, i.stop, true)
		i.blockingList.pass(ctx, i.stop, false)
	default:
		i.sharedLock.pass(ctx, i.stop, false)
		i.blockingList.pass(ctx, i.stop, false)
	}
}
