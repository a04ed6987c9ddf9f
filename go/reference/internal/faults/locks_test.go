package faults

import (
	"context"
	"sync"
	"testing"
	"time"
)

func request(verb string) Request { return Request{Objects: true, Verb: verb} }

func TestRequestsWaitForALock(t *testing.T) {
	page := Request{Objects: true, Verb: "list", Limited: true}
	for _, c := range []struct {
		fault  string
		others []Request
		one    Request
		waits  bool
	}{
		{"shared-lock", []Request{request("create")}, request("get"), true},
		{"shared-lock", []Request{request("delete")}, request("get"), true},
		{"shared-lock", []Request{page}, request("get"), true},
		{"shared-lock", []Request{request("get")}, request("get"), false},
		{"shared-lock", []Request{request("create")}, request("watch"), false},
		{"shared-lock", []Request{request("watch")}, request("get"), false},
		{"shared-lock", []Request{{Verb: "create"}}, request("get"), false},
		{"blocking-list", []Request{request("list")}, request("get"), true},
		{"blocking-list", []Request{request("list")}, request("create"), true},
		{"blocking-list", []Request{request("list")}, page, true},
		{"blocking-list", []Request{page}, request("get"), false},
		{"blocking-list", []Request{request("create")}, request("get"), false},
		{"blocking-list", []Request{request("list")}, request("watch"), false},
	} {
		i := NewInjector(nil, with(t, c.fault+"=1h"))
		others, leave := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for _, other := range c.others {
			group.Go(func() { i.Request(others, other) })
		}
		longest := time.Minute
		if c.waits {
			longest = 10 * time.Millisecond
			for len(i.sharedLock.free)+len(i.blockingList.free) == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), longest)
		i.Request(ctx, c.one)
		if waited := ctx.Err() != nil; waited != c.waits {
			t.Errorf("%s: %s during %v: waited %v, want %v", c.fault, c.one.Verb, c.others, waited, c.waits)
		}
		cancel()
		leave()
		group.Wait()
	}
}

func TestHoldersOfALockWaitForEachOther(t *testing.T) {
	i := NewInjector(nil, with(t, "shared-lock=30ms"))
	began := time.Now()
	var group sync.WaitGroup
	for _, verb := range []string{"create", "update", "delete"} {
		group.Go(func() { i.Request(t.Context(), request(verb)) })
	}
	group.Wait()
	if took := time.Since(began); took < 90*time.Millisecond {
		t.Errorf("three writers took %v, want at least 90ms", took)
	}
}

func TestALockIsGivenBackByAClientThatLeaves(t *testing.T) {
	i := NewInjector(nil, with(t, "shared-lock=1h"))
	client, leave := context.WithCancel(t.Context())
	held := make(chan Answer)
	for range 2 { // One holds the lock, and one waits for it.
		go func() { held <- i.Request(client, request("create")) }()
	}
	leave()
	<-held
	<-held
	i.Request(t.Context(), request("get"))
}
