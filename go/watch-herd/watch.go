package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	labelProject = "milo-perf.invalid/project"
	annotation   = "milo-perf.invalid/write"
	retryDelay   = 250 * time.Millisecond
)

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
	synced   time.Duration
	begun    time.Duration

	mutex      sync.Mutex
	sights     []sight
	last       uint64
	outOfOrder int
	foreign    int
	bookmarks  int
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
				w.restart(ctx, "list: "+reasonOf(err))
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
	if from == "" {
		query += "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
	} else {
		query += "&resourceVersion=" + from
	}
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
			return "ended"
		}
		at := w.ledger.now()
		if one.Type == "ERROR" {
			return strconv.Itoa(one.Object.Code)
		}
		if one.Type == "BOOKMARK" {
			synced()
		}
		w.record(one, at)
	}
}

func (w *watch) record(one event, at time.Duration) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	now := version(one.Object.Metadata.ResourceVersion)
	if one.Type == "BOOKMARK" {
		w.bookmarks++
		w.last = max(w.last, now)
		return
	}
	if owner, ok := one.Object.Metadata.Labels[labelProject]; ok && owner != w.names[w.project] {
		w.foreign++
		return
	}
	number, err := strconv.ParseInt(one.Object.Metadata.Annotations[annotation], 10, 32)
	if err != nil || number < 0 {
		return // not written under load; a WatchList begins with such objects, in any order
	}
	written := int32(number)
	if one.Type == "DELETED" {
		deletion, ok := w.ledger.deletion(one.Object.Metadata.Name)
		if !ok {
			return
		}
		written = deletion
	}
	if now < w.last {
		w.outOfOrder++
	}
	w.last = max(w.last, now)
	w.sights = append(w.sights, sight{written, at})
}

func (w *watch) restart(ctx context.Context, reason string) {
	if ctx.Err() != nil {
		return
	}
	w.mutex.Lock()
	w.restarts[reason]++
	w.mutex.Unlock()
	sleep(ctx, retryDelay)
}

// reasonOf names an error in a word that can be counted.
func reasonOf(err error) string {
	var status *statusError
	if errors.As(err, &status) {
		return fmt.Sprint(status.code)
	}
	return "connection"
}
