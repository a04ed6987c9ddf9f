package faults

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// told is a watch of a client, and the storage that tells it of events.
type told struct {
	watch.Interface
	storage *watch.FakeWatcher
}

func follow(w *Watches, project, resource string) told {
	inner := watch.NewFakeWithChanSize(10_000, false)
	open := func() (watch.Interface, error) { return nil, errors.New("closed") }
	return told{w.Follow(Watched{Resource: resource, Project: project, Open: open}, inner), inner}
}

// write tells the watch of some objects.
func (o told) write(from, to int) {
	for n := from; n < to; n++ {
		o.storage.Add(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(n)}})
	}
}

// end ends the watch in the storage and returns the names that the client saw.
func (o told) end() (names []string) {
	o.storage.Action(watch.Bookmark, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "bookmark"}})
	o.storage.Stop()
	for event := range o.ResultChan() {
		names = append(names, event.Object.(*corev1.Secret).Name)
	}
	return names
}

func TestNoFaultWrapsNoWatch(t *testing.T) {
	for _, fault := range Table {
		acts := slices.Contains([]string{LoseEvent, ForeignEvent, DelayEvents, LeakWatchers}, fault.Name)
		if got := NewWatches(with(t, fault.Name+"="+fault.Example)).OnWatches(); got != acts {
			t.Errorf("%s: acts on watches: %v, want %v", fault.Name, got, acts)
		}
	}
}

func TestAnExactShareOfEventsIsLost(t *testing.T) {
	for size, want := range map[string]int{"0.1%": 4, "12.5%": 500, "100%": 4000} {
		w := NewWatches(with(t, "lose-event="+size))
		seen := 0
		for range 4 { // The share is one of all watches together.
			one := follow(w, "p", "secrets")
			one.write(0, 1000)
			names := one.end()
			if names[len(names)-1] != "bookmark" {
				t.Errorf("%s: a bookmark is no event of an object, and was lost: %v", size, names)
			}
			seen += len(names) - 1
		}
		if lost := 4000 - seen; lost != want {
			t.Errorf("%s: %d of 4000 events were lost, want %d", size, lost, want)
		}
	}
}

func TestAnExactShareOfEventsIsSeenInAnotherProject(t *testing.T) {
	w := NewWatches(with(t, "foreign-event=1%"))
	own, other := follow(w, "p", "secrets"), follow(w, "q", "secrets")
	bystanders := []told{follow(w, "p", "secrets"), follow(w, "q", "configmaps")}
	own.write(0, 1000)
	if names := own.end(); len(names) != 1001 {
		t.Errorf("the owner saw %d events, want all 1000 and a bookmark", len(names))
	}
	if names := other.end(); len(names) != 11 {
		t.Errorf("the other Project saw %d events, want 10 and a bookmark", len(names))
	}
	for _, one := range bystanders {
		if names := one.end(); len(names) != 1 {
			t.Errorf("a watch of the same Project, or of another type, saw %v", names)
		}
	}
}

func TestAnEventAddedBeforeTheEndIsDelivered(t *testing.T) {
	for range 200 { // The end and the added event are both ready, and select chooses by chance.
		w := NewWatches(with(t, "foreign-event=100%"))
		inner := watch.NewFakeWithChanSize(1, false)
		s := &stream{watches: w, inner: inner, out: make(chan watch.Event), wake: make(chan struct{}, 1)}
		s.add(watch.Event{Type: watch.Added, Object: &corev1.Secret{}})
		inner.Stop()
		go s.pump()
		if _, open := <-s.out; !open {
			t.Fatal("the watch ended without it")
		}
	}
}

func TestAnEventWithNoOtherProjectIsForeignToNobody(t *testing.T) {
	w := NewWatches(with(t, "foreign-event=100%"))
	own, ended := follow(w, "p", "secrets"), follow(w, "q", "secrets")
	ended.Stop()
	own.write(0, 100)
	if names := own.end(); len(names) != 101 {
		t.Errorf("saw %d events, want 100 and a bookmark", len(names))
	}
}

func TestEventsAreDelayedTogetherAndStayInOrder(t *testing.T) {
	const delay, events = 50 * time.Millisecond, 100
	one := follow(NewWatches(with(t, "delay-events=50ms")), "p", "secrets")
	began := time.Now()
	one.write(0, events)
	names := one.end()
	if took := time.Since(began); took < delay || took > events*delay/2 {
		t.Errorf("all events took %v, want about %v", took, delay)
	}
	for n := range events {
		if names[n] != fmt.Sprint(n) {
			t.Fatalf("event %d is %s", n, names[n])
		}
	}
}

func TestAWatchThatIsStoppedDeliversNoMore(t *testing.T) {
	one := follow(NewWatches(with(t, "delay-events=1h")), "p", "secrets")
	one.write(0, 5)
	one.Stop()
	one.Stop()
	if event, open := <-one.ResultChan(); open {
		t.Errorf("delivered %v", event)
	}
	if !one.storage.IsStopped() {
		t.Error("the watch of the storage goes on")
	}
}

func TestWatchesAreLeftOpen(t *testing.T) {
	for size, want := range map[string]int{"0.1": 2, "1": 20, "3": 60} {
		w := NewWatches(with(t, "leak-watchers="+size))
		opened := make(chan *watch.FakeWatcher, 100)
		open := func() (watch.Interface, error) {
			left := watch.NewFake()
			opened <- left
			return left, nil
		}
		before := runtime.NumGoroutine()
		for range 20 {
			inner := watch.NewFakeWithChanSize(1, false)
			one := w.Follow(Watched{Resource: "secrets", Project: "p", Open: open}, inner)
			inner.Add(&corev1.Secret{})
			if event := <-one.ResultChan(); event.Type != watch.Added || runtime.NumGoroutine() > before+want {
				t.Fatalf("%s: a watch that does not end is changed: %v", size, event)
			}
			one.Stop()
		}
		for range want {
			left := <-opened
			left.Add(&corev1.Secret{}) // Somebody reads, so that other watches need not wait.
			if left.IsStopped() {
				t.Errorf("%s: a watch that was left open is stopped", size)
			}
			left.Stop()
		}
		for range 100 { // The goroutines of the watches that ended need a moment.
			if runtime.NumGoroutine() == before+want {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if leaked := runtime.NumGoroutine() - before; leaked != want || len(opened) != 0 {
			t.Errorf("%s: %d goroutines for 20 watches, want %d", size, leaked, want)
		}
	}
}
