package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	labelProject = "milo-perf.invalid/project"
	annotation   = "milo-perf.invalid/write"
	initialEnd   = "k8s.io/initial-events-end" // annotation of the bookmark after the initial events

	// timedOut is the reason of a restart that the watch asked for, as clients do; it is no disturbance.
	timedOut = "timeout"
	// beforeStart begins the reason of a restart of a watch that was never in step.
	beforeStart = "start: "
)

// retryDelay is about how long a watch waits after an end that was not planned.
var retryDelay = 250 * time.Millisecond

// watch follows the objects of one kind in one Project, and records what it is told.
//
// It is no informer of client-go, because that hides restarts, and we count them.
type watch struct {
	client   *client
	ledger   *ledger
	names    []string
	project  int
	resource int
	isList   bool // begin by a WatchList instead of a list
	objects  int  // that existed before the watches began
	timeoutS int  // shortest time after which the server is to end it; 0 for the server's own
	random   *rand.Rand
	synced   time.Duration
	begun    time.Duration

	mutex      sync.Mutex
	sights     []sight
	last       uint64
	outOfOrder int
	foreign    int
	bookmarks  int
	replays    bool // the events are the first of a WatchList: objects that exist, seen or not, in any order
	initial    int  // objects shown since the last WatchList began that were not written under load
	restarts   map[string]int
}

// event is one line of a watch.
type event struct {
	Type   string `json:"type"`
	Object struct {
		Code     int      `json:"code"`
		Message  string   `json:"message"`
		Metadata metadata `json:"metadata"`
	} `json:"object"`
}

// watchList asks for the objects that exist as the first events of a watch.
const watchList = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"

// endsInitial reports whether an event says that a WatchList has shown every object that existed.
func (e event) endsInitial() bool {
	return e.Type == "BOOKMARK" && e.Object.Metadata.Annotations[initialEnd] == "true"
}

// write returns the number of the write of an event's object; below 0 if it existed before.
func (e event) write() (int32, bool) {
	number, err := strconv.ParseInt(e.Object.Metadata.Annotations[annotation], 10, 32)
	return int32(number), err == nil
}

// isForeign reports whether an event's object belongs to another Project.
func (e event) isForeign(project string) bool {
	owner, ok := e.Object.Metadata.Labels[labelProject]
	return ok && owner != project
}

// follow watches until the context ends; `ready` is called once, when the watch is in step.
func (w *watch) follow(ctx context.Context, ready func()) {
	once := sync.OnceFunc(func() {
		w.synced = w.ledger.now() - w.begun
		ready()
	})
	w.begun = w.ledger.now()
	from := ""
	for ctx.Err() == nil {
		if from == "" && !w.isList {
			var err error
			if from, err = w.list(ctx); err != nil {
				w.restart(ctx, reasonOf(err))
				continue
			}
			w.mutex.Lock()
			w.last = max(w.last, version(from)) // from here on nothing may be missed
			w.mutex.Unlock()
		}
		reason := w.stream(ctx, from, once)
		if ctx.Err() != nil {
			return
		}
		w.mutex.Lock()
		from = ""
		if reason != "410" && w.last > 0 {
			from = strconv.FormatUint(w.last, 10)
		}
		w.mutex.Unlock()
		w.restart(ctx, reason)
	}
}

// list returns the version from which to watch, from the server's cache.
func (w *watch) list(ctx context.Context) (string, error) {
	var shown struct {
		Metadata metadata `json:"metadata"`
	}
	path := objectsPath(w.names[w.project], w.resource) + "?limit=1"
	if err := w.client.call(ctx, http.MethodGet, path, nil, &shown); err != nil {
		return "", err
	}
	return shown.Metadata.ResourceVersion, nil
}

// stream reads one watch until it ends, and returns why it did.
func (w *watch) stream(ctx context.Context, from string, synced func()) string {
	query := "?watch=1&allowWatchBookmarks=true"
	w.replays, w.initial = from == "", 0
	if from == "" {
		query += watchList
	} else {
		query += "&resourceVersion=" + from
	}
	timeout := time.Duration(0)
	if w.timeoutS > 0 { // between once and twice that long, as client-go asks
		seconds := w.timeoutS + w.random.IntN(w.timeoutS+1)
		query += "&timeoutSeconds=" + strconv.Itoa(seconds)
		timeout = time.Duration(seconds) * time.Second
	}
	began := time.Now()
	path := objectsPath(w.names[w.project], w.resource) + query
	answer, err := w.client.open(ctx, http.MethodGet, path, nil)
	if err != nil {
		return reasonOf(err)
	}
	defer answer.Body.Close()
	if from != "" {
		synced()
	}
	decoder := json.NewDecoder(answer.Body)
	for {
		var one event
		if err := decoder.Decode(&one); err != nil {
			if timeout > 0 && errors.Is(err, io.EOF) && time.Since(began) > timeout-time.Second {
				return timedOut
			}
			return "ended"
		}
		at := w.ledger.now()
		if one.Type == "ERROR" {
			return strconv.Itoa(one.Object.Code)
		}
		if w.record(one, at); one.endsInitial() {
			w.ledger.began(w.objects, w.initial)
			w.replays = false
			synced()
		}
	}
}

// record keeps what an event says. The lock of the ledger is never taken while this watch is locked: settle
// takes them in the other order.
func (w *watch) record(one event, at time.Duration) {
	written, isOurs := one.write()
	if one.Type == "DELETED" && isOurs && written >= 0 {
		written, isOurs = w.ledger.deletion(one.Object.Metadata.Name)
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	now := version(one.Object.Metadata.ResourceVersion)
	switch {
	case one.Type == "BOOKMARK":
		w.bookmarks++
		w.last = max(w.last, now)
	case one.isForeign(w.names[w.project]):
		w.foreign++
	case !isOurs:
	case written < 0: // not written under load: only a WatchList shows it
		w.initial++
	default:
		if now < w.last && !w.replays {
			w.outOfOrder++
		}
		w.last = max(w.last, now)
		w.sights = append(w.sights, sight{written, at, w.replays})
	}
}

// restart counts a restart, and waits unless it was planned. What happens before the watch is in step
// is counted apart: a server may refuse many watches that begin at once.
func (w *watch) restart(ctx context.Context, reason string) {
	if ctx.Err() != nil {
		return
	}
	if w.synced == 0 {
		reason = beforeStart + reason
	}
	w.mutex.Lock()
	w.restarts[reason]++
	w.mutex.Unlock()
	if reason != timedOut {
		// Watches that are refused together must not come back together.
		sleep(ctx, retryDelay/2+time.Duration(w.random.Int64N(int64(retryDelay))))
	}
}

// listByWatch reads the objects of one kind in one Project by a WatchList.
func (h *herd) listByWatch(ctx context.Context, project, resource int) error {
	path := objectsPath(h.names[project], resource) + "?watch=1&allowWatchBookmarks=true" + watchList
	answer, err := h.client.open(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	shown, foreign := 0, 0
	for decoder := json.NewDecoder(answer.Body); ; {
		var one event
		if err := decoder.Decode(&one); err != nil {
			return err
		}
		switch number, ok := one.write(); {
		case one.Type == "ERROR":
			return &statusError{one.Object.Code, one.Object.Message}
		case one.endsInitial():
			h.ledger.began(h.config.Objects, shown)
			h.ledger.sawForeign(foreign)
			return nil
		case one.isForeign(h.names[project]):
			foreign++
		case ok && number < 0:
			shown++
		}
	}
}

// reasonOf names an error in a word that can be counted.
func reasonOf(err error) string {
	var status *statusError
	if errors.As(err, &status) {
		return fmt.Sprint(status.code)
	}
	return "connection"
}
