package faults

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/watch"
)

// mostDelayed is how many delayed events a watch holds at most. With more, it reads no further, as a
// watch whose client is slow does.
const mostDelayed = 10_000

// Watched is what a fault needs to know of a watch.
type Watched struct {
	Resource, Project string
	// Open opens a watch of the same objects that does not end with the client's request.
	Open func() (watch.Interface, error)
}

// Watches applies those faults of a Set that act on watches.
type Watches struct {
	lose, foreign spread
	delay         time.Duration
	leak          float64
	ended         total

	mu   sync.Mutex
	open []*stream
	next int // Where the search for a watch of another Project begins.
}

// NewWatches returns the hook of the given faults.
func NewWatches(s *Set) *Watches {
	return &Watches{
		lose:    spread{share: s.Size(LoseEvent), seed: 4},
		foreign: spread{share: s.Size(ForeignEvent), seed: 5},
		delay:   s.duration(DelayEvents),
		leak:    s.Size(LeakWatchers),
	}
}

// OnWatches reports whether any fault acts on watches; if not, no watch is wrapped.
func (w *Watches) OnWatches() bool {
	return w.lose.share > 0 || w.foreign.share > 0 || w.delay > 0 || w.leak > 0
}

// Follow returns a watch with the events of another one, changed as the faults say.
func (w *Watches) Follow(watched Watched, inner watch.Interface) watch.Interface {
	s := &stream{Watched: watched, watches: w, inner: inner, stopped: make(chan struct{})}
	if w.lose.share == 0 && w.foreign.share == 0 && w.delay == 0 {
		return s // Its events stay as they are.
	}
	s.out, s.wake = make(chan watch.Event), make(chan struct{}, 1)
	w.mu.Lock()
	w.open = append(w.open, s)
	w.mu.Unlock()
	go s.pump()
	return s
}

// other returns an open watch of the same resource in another Project, each in turn; nil if there is none.
func (w *Watches) other(s *stream) *stream {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range w.open {
		w.next = (w.next + 1) % len(w.open)
		if found := w.open[w.next]; found.Resource == s.Resource && found.Project != s.Project {
			return found
		}
	}
	return nil
}

func (w *Watches) forget(s *stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for at, one := range w.open {
		if one == s {
			last := len(w.open) - 1
			w.open[at], w.open[last] = w.open[last], nil
			w.open = w.open[:last]
			return
		}
	}
}

// leakWatchers leaves watches behind, by a running total, so that 0.1 is exactly one in every ten
// watches that end. Each is one that nobody stops, and keeps a goroutine until the server ends.
func (w *Watches) leakWatchers(watched Watched) {
	if w.leak == 0 {
		return
	}
	for range w.ended.step(w.leak) {
		go func() {
			if left, err := watched.Open(); err == nil {
				for range left.ResultChan() { //nolint:revive // Read, so that other watches need not wait.
				}
			}
			select {}
		}()
	}
}

// delivery is an event and when it is due.
type delivery struct {
	event watch.Event
	due   time.Time
}

// stream implements watch.Interface.
type stream struct {
	Watched
	watches *Watches
	inner   watch.Interface
	out     chan watch.Event // nil where events stay as they are
	once    sync.Once
	stopped chan struct{}
	wake    chan struct{}

	mu    sync.Mutex
	added []watch.Event // Events of watches of other Projects.
}

// ResultChan implements watch.Interface.
func (s *stream) ResultChan() <-chan watch.Event {
	if s.out == nil {
		return s.inner.ResultChan()
	}
	return s.out
}

// Stop implements watch.Interface.
func (s *stream) Stop() {
	s.once.Do(func() {
		close(s.stopped)
		s.inner.Stop()
		s.watches.forget(s)
		s.watches.leakWatchers(s.Watched)
	})
}

// pump delivers events in order, each when it is due, until the watch ends or is stopped.
func (s *stream) pump() {
	defer close(s.out)
	var waiting []delivery
	timer := time.NewTimer(0)
	defer timer.Stop()
	for events := s.inner.ResultChan(); events != nil || len(waiting) > 0; {
		in, out, first := events, s.out, watch.Event{}
		if len(waiting) >= mostDelayed {
			in = nil
		}
		if len(waiting) == 0 {
			out = nil
		} else if left := time.Until(waiting[0].due); left > 0 {
			out = nil
			timer.Reset(left)
		} else {
			first = waiting[0].event
		}
		select {
		case event, open := <-in:
			if !open {
				events = nil
				waiting = append(waiting, s.takeAdded()...) // Both may be ready: nothing added is lost.
			} else if s.keeps(event) {
				waiting = append(waiting, s.delivery(event))
			}
		case out <- first:
			waiting = waiting[1:]
		case <-s.wake:
			waiting = append(waiting, s.takeAdded()...)
		case <-timer.C:
		case <-s.stopped:
			return
		}
	}
}

func (s *stream) delivery(event watch.Event) delivery {
	return delivery{event, time.Now().Add(s.watches.delay)}
}

// keeps acts on one event before it is delivered, and reports whether it is. Bookmarks and errors are
// no events of objects.
func (s *stream) keeps(event watch.Event) bool {
	switch event.Type {
	case watch.Added, watch.Modified, watch.Deleted:
	default:
		return true
	}
	if s.watches.foreign.share > 0 {
		if other := s.watches.other(s); other != nil && s.watches.foreign.pick() {
			other.add(event)
		}
	}
	return !s.watches.lose.pick()
}

// add lets the watch deliver an event of another one.
func (s *stream) add(event watch.Event) {
	s.mu.Lock()
	s.added = append(s.added, event)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *stream) takeAdded() (added []delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, event := range s.added {
		added = append(added, s.delivery(event))
	}
	s.added = nil
	return added
}
