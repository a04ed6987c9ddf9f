package main

import (
	"math"
	"sync"
	"time"
)

// sight is one event that a watch delivered.
type sight struct {
	write   int32 // number of the write
	at      time.Duration
	replays bool // shown because the object exists: no duplicate where it was seen before
}

// write is one change of an object that the server has accepted.
type write struct {
	project  int
	resource int
	answered time.Duration
}

// ledger accounts for the writes and the events of one arm; times are since its beginning.
type ledger struct {
	begun time.Time

	mutex   sync.Mutex
	writes  map[int32]write
	deletes map[string]int32 // write that deletes an object, by its name
	refused map[string]int   // refused writes by reason
	taken   []float64        // seconds of each write
	lists   map[string][]float64
	initial initial // events with which a WatchList begins
	foreign int     // events of other Projects in a WatchList that is only a list
}

// initial counts the objects that existed when a WatchList began, and those that it did not show.
type initial struct{ expected, missing int }

func newLedger() *ledger {
	return &ledger{
		begun:   time.Now(),
		writes:  map[int32]write{},
		deletes: map[string]int32{},
		refused: map[string]int{},
		lists:   map[string][]float64{},
	}
}

func (l *ledger) now() time.Duration { return time.Since(l.begun) }

// announce says which write deletes an object, before it is sent: its event may come first.
func (l *ledger) announce(name string, number int32) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.deletes[name] = number
}

func (l *ledger) deletion(name string) (int32, bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	number, ok := l.deletes[name]
	return number, ok
}

func (l *ledger) accept(number int32, one write, took time.Duration) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.writes[number] = one
	l.taken = append(l.taken, took.Seconds())
}

func (l *ledger) refuse(reason string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.refused[reason]++
}

func (l *ledger) listed(kind string, took time.Duration) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.lists[kind] = append(l.lists[kind], took.Seconds())
}

// began records a WatchList, which must begin with every object that existed.
func (l *ledger) began(expected, shown int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.initial.expected += expected
	l.initial.missing += max(0, expected-shown)
}

func (l *ledger) sawForeign(count int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.foreign += count
}

// account is what became of the events of one arm.
type account struct {
	Expected   int                  `json:"expected"`
	Delivered  int                  `json:"delivered"`
	Lost       int                  `json:"lost"`
	Duplicated int                  `json:"duplicated"`
	OutOfOrder int                  `json:"out_of_order"`
	Foreign    int                  `json:"foreign"`
	Bookmarks  int                  `json:"bookmarks"`
	Restarts   map[string]int       `json:"restarts"`
	Lag        []float64            `json:"lag_s"` // of each event, in no order
	Writes     int                  `json:"writes"`
	Refused    map[string]int       `json:"refused"`
	Write      []float64            `json:"write_s"` // of each write, in no order
	Lists      map[string][]float64 `json:"list_s"`
	Synced     float64              `json:"synced_s"`
	Watches    int                  `json:"watches"`
	Late       int                  `json:"late"`
	// Usage is before the watches, while all are open, and after they ended.
	Usage      map[string]usage `json:"usage"`
	UsageError string           `json:"usage_error,omitempty"`
	Failed     string           `json:"failed,omitempty"`
}

// settle compares what was written with what each watch has seen.
func (l *ledger) settle(watches []*watch) account {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	result := account{
		Restarts: map[string]int{},
		Writes:   len(l.writes),
		Refused:  l.refused,
		Lag:      []float64{},
		Write:    append([]float64{}, l.taken...),
		Lists:    l.lists,
		Watches:  len(watches),
		Foreign:  l.foreign,
		Expected: l.initial.expected,
		Lost:     l.initial.missing,
	}
	of := map[[2]int]int{} // writes by Project and resource
	for _, one := range l.writes {
		of[[2]int{one.project, one.resource}]++
	}
	for _, w := range watches {
		w.mutex.Lock()
		seen := make(map[int32]bool, len(w.sights))
		for _, one := range w.sights {
			written, ok := l.writes[one.write]
			if !ok {
				continue // of a write that was refused after it took effect
			}
			if seen[one.write] {
				if !one.replays {
					result.Duplicated++
				}
				continue
			}
			seen[one.write] = true
			result.Lag = append(result.Lag, (one.at - written.answered).Seconds())
		}
		expected := of[[2]int{w.project, w.resource}]
		result.Expected += expected
		result.Delivered += len(seen)
		result.Lost += expected - len(seen)
		result.OutOfOrder += w.outOfOrder
		result.Foreign += w.foreign
		result.Bookmarks += w.bookmarks
		result.Synced = math.Max(result.Synced, w.synced.Seconds())
		for reason, count := range w.restarts {
			result.Restarts[reason] += count
		}
		w.mutex.Unlock()
	}
	return result
}

// delivered tells whether every watch has seen every write.
func (l *ledger) delivered(watches []*watch) bool {
	lost := l.settle(watches).Lost
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return lost == l.initial.missing
}
