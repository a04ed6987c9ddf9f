package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// server is a control plane in memory, with one list of events for each path.
type server struct {
	mutex   sync.Mutex
	version int
	objects map[string]map[string]object
	events  map[string][]event
	wake    chan struct{}
	loseOne bool // lose the third event
	foreign bool // show each event of one Project to the watches of another, too
	endAll  bool // end every watch once
	ended   map[string]bool
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer token" {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, projects) && r.Method == "GET":
		fmt.Fprint(w, `{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`)
	case strings.HasPrefix(path, milo):
		w.WriteHeader(http.StatusCreated)
	case r.URL.Query().Get("watch") != "":
		s.watch(w, r)
	case r.Method == "GET":
		s.mutex.Lock()
		fmt.Fprintf(w, `{"metadata":{"resourceVersion":"%d"}}`, s.version)
		s.mutex.Unlock()
	default:
		s.write(w, r)
	}
}

func (s *server) write(w http.ResponseWriter, r *http.Request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	collection, name, kind := r.URL.Path, "", map[string]string{"POST": "ADDED", "PUT": "MODIFIED", "DELETE": "DELETED"}[r.Method]
	var one object
	if r.Method == "POST" {
		if err := json.NewDecoder(r.Body).Decode(&one); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		name = one.Metadata.Name
	} else {
		collection, name = filepath.Split(r.URL.Path)
		collection = strings.TrimSuffix(collection, "/")
		if r.Method == "PUT" {
			_ = json.NewDecoder(r.Body).Decode(&one)
		} else {
			one = s.objects[collection][name]
		}
	}
	s.version++
	one.Metadata.ResourceVersion = strconv.Itoa(s.version)
	if s.objects[collection] == nil {
		s.objects[collection] = map[string]object{}
	}
	s.objects[collection][name] = one
	var told event
	told.Type, told.Object.Metadata = kind, one.Metadata
	is := len(s.events[collection])
	if !(s.loseOne && is == 2 && strings.Contains(collection, "-0/") && strings.HasSuffix(collection, "secrets")) {
		s.events[collection] = append(s.events[collection], told)
	} else {
		s.loseOne = false
	}
	if s.foreign && strings.Contains(collection, "-0/") {
		other := strings.Replace(collection, "-0/", "-1/", 1)
		s.events[other] = append(s.events[other], told)
	}
	close(s.wake)
	s.wake = make(chan struct{})
}

func (s *server) watch(w http.ResponseWriter, r *http.Request) {
	from, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	w.WriteHeader(http.StatusOK)
	encoder := json.NewEncoder(w)
	if r.URL.Query().Get("sendInitialEvents") != "" {
		var bookmark event
		bookmark.Type, bookmark.Object.Metadata.ResourceVersion = "BOOKMARK", "0"
		_ = encoder.Encode(bookmark)
	}
	w.(http.Flusher).Flush()
	for at := 0; ; {
		s.mutex.Lock()
		events, wake := s.events[r.URL.Path], s.wake
		for ; at < len(events); at++ {
			if version(events[at].Object.Metadata.ResourceVersion) > uint64(from) {
				_ = encoder.Encode(events[at])
			}
		}
		key := r.URL.Path + r.RemoteAddr
		end := s.endAll && at > 1 && !s.ended[key]
		s.ended[key] = s.ended[key] || end
		s.mutex.Unlock()
		w.(http.Flusher).Flush()
		if end {
			return
		}
		select {
		case <-wake:
		case <-r.Context().Done():
			return
		}
	}
}

func measured(t *testing.T, s *server, change func(*config)) result {
	t.Helper()
	s.objects, s.events, s.ended = map[string]map[string]object{}, map[string][]event{}, map[string]bool{}
	s.wake = make(chan struct{})
	api := httptest.NewUnstartedServer(s)
	api.EnableHTTP2 = true
	api.StartTLS()
	defer api.Close()
	folder := t.TempDir()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})
	arm := armConfig{
		Name: "candidate", URL: api.URL, CAFile: filepath.Join(folder, "ca"), TokenFile: filepath.Join(folder, "token"),
	}
	for path, content := range map[string][]byte{arm.CAFile: authority, arm.TokenFile: []byte("token\n")} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := config{
		Arms: []armConfig{arm}, Run: "herd", Seed: 1, Projects: 2, Watches: 20, Objects: 2, ObjectBytes: 10,
		Rate: 100, ListRate: 10, DurationS: 1, SetupS: 20, SyncS: 20, DrainS: 3, RequestS: 5, PageSize: 10,
	}
	change(&c)
	content, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	from, to := filepath.Join(folder, "config"), filepath.Join(folder, "result")
	if err := os.WriteFile(from, content, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, from, to); err != nil {
		t.Fatal(err)
	}
	var found result
	if content, err = os.ReadFile(to); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAHerdSeesEverything(t *testing.T) {
	for _, watchList := range []bool{false, true} {
		one := measured(t, &server{}, func(c *config) { c.WatchList = watchList }).Arms["candidate"]
		if one.Failed != "" || one.Writes != 100 || len(one.Refused) != 0 {
			t.Fatalf("every write succeeds: %+v", one)
		}
		if one.Expected != 500 || one.Delivered != 500 || one.Lost+one.Duplicated+one.OutOfOrder+one.Foreign != 0 {
			t.Fatalf("5 watches see each of 100 writes: %+v", one)
		}
		if len(one.Lists["page"])+len(one.Lists["full"])+len(one.Lists["cached"]) != 10 {
			t.Fatalf("10 lists: %v", one.Lists)
		}
	}
}

func TestALostEventIsLostInEveryWatch(t *testing.T) {
	one := measured(t, &server{loseOne: true}, func(c *config) { c.DrainS = 0.3 }).Arms["candidate"]
	if one.Lost != 5 {
		t.Fatalf("5 watches lost one event: %+v", one)
	}
}

func TestAnEventOfAnotherProjectIsForeign(t *testing.T) {
	one := measured(t, &server{foreign: true}, func(*config) {}).Arms["candidate"]
	if one.Foreign == 0 || one.Lost != 0 {
		t.Fatalf("watches of a Project saw events of another: %+v", one)
	}
}

func TestAWatchThatEndsGoesOnWithoutLoss(t *testing.T) {
	one := measured(t, &server{endAll: true}, func(*config) {}).Arms["candidate"]
	if one.Restarts["ended"] == 0 || one.Lost != 0 || one.Duplicated != 0 {
		t.Fatalf("watches ended and lost nothing: %+v", one)
	}
}

func TestABuildThatDoesNotAnswerHasFailed(t *testing.T) {
	one := measured(t, &server{}, func(c *config) { c.Arms[0].URL += "/nowhere"; c.SetupS = 1 }).Arms["candidate"]
	if one.Failed == "" || one.Writes != 0 {
		t.Fatalf("its Projects cannot be created: %+v", one)
	}
}
