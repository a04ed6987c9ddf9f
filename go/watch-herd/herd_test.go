package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/quick"
	"time"
)

// server is a control plane in memory, with one list of events for each path.
type server struct {
	mutex   sync.Mutex
	version int
	objects map[string]map[string]object
	events  map[string][]event
	wake    chan struct{}
	loseOne bool   // lose the third event
	refused string // part of the path of requests that are refused
	foreign bool   // show each event of one Project to the watches of another, too
	endAll  bool   // end every watch once
	hideOne bool   // hide an object from every WatchList
	busy    int    // watches that are refused with 429 before any is accepted
	leak    int    // goroutines that an ended watch leaves
	open    int    // watches, and what ended ones left
	ended   map[string]bool

	organizations map[string]bool
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := "Bearer token"
	if r.URL.Path == "/metrics" || strings.HasPrefix(r.URL.Path, "/debug") {
		token = "Bearer admin"
	}
	if r.Header.Get("Authorization") != token {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	path := r.URL.Path
	switch {
	case path == "/metrics" || strings.HasPrefix(path, "/debug"):
		s.mutex.Lock()
		fmt.Fprintf(w, "# TYPE go_goroutines gauge\ngo_goroutines %d\ngo_gc_heap_live_bytes 1e+06\ngo_memstats_heap_alloc_bytes 9e+06\n", 100+s.open)
		s.mutex.Unlock()
	case strings.HasPrefix(path, projects) && r.Method == "GET":
		fmt.Fprint(w, `{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`)
	case path == organizations:
		var one object
		_ = json.NewDecoder(r.Body).Decode(&one)
		s.mutex.Lock()
		if s.organizations[one.Metadata.Name] {
			w.WriteHeader(http.StatusConflict)
		}
		s.organizations[one.Metadata.Name] = true
		s.mutex.Unlock()
	case strings.HasPrefix(path, milo):
		w.WriteHeader(http.StatusCreated)
	case r.URL.Query().Get("watch") != "":
		s.watch(w, r)
	case r.Method == "GET":
		s.mutex.Lock()
		fmt.Fprintf(w, `{"metadata":{"resourceVersion":"%d"}}`, s.version)
		s.mutex.Unlock()
	case s.refused != "" && strings.Contains(path, s.refused):
		w.WriteHeader(http.StatusForbidden)
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
	seconds, err := strconv.ParseFloat(r.URL.Query().Get("timeoutSeconds"), 64)
	if err != nil {
		seconds = 3600
	}
	timeout := time.After(time.Duration(seconds * float64(time.Second)))
	s.mutex.Lock()
	if s.busy > 0 {
		s.busy--
		s.mutex.Unlock()
		http.Error(w, "later", http.StatusTooManyRequests)
		return
	}
	s.open++
	s.mutex.Unlock()
	defer func() {
		s.mutex.Lock()
		s.open += s.leak - 1
		s.mutex.Unlock()
	}()
	w.WriteHeader(http.StatusOK)
	encoder := json.NewEncoder(w)
	var bookmark event
	bookmark.Type, bookmark.Object.Metadata.ResourceVersion = "BOOKMARK", "0"
	if r.URL.Query().Get("sendInitialEvents") != "" {
		s.mutex.Lock()
		for name, one := range s.objects[r.URL.Path] {
			if strings.HasPrefix(name, "filled") && !(s.hideOne && name == "filled-0") {
				_ = encoder.Encode(map[string]any{"type": "ADDED", "object": one})
			}
		}
		s.mutex.Unlock()
		bookmark.Object.Metadata.Annotations = map[string]string{initialEnd: "true"}
		_ = encoder.Encode(bookmark)
		bookmark.Object.Metadata.Annotations = nil
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
		case <-timeout:
			s.mutex.Lock()
			bookmark.Object.Metadata.ResourceVersion = strconv.Itoa(s.version)
			if at == len(s.events[r.URL.Path]) {
				_ = encoder.Encode(bookmark)
			}
			s.mutex.Unlock()
			return
		case <-r.Context().Done():
			return
		}
	}
}

func init() { settleDelay = 50 * time.Millisecond }

func measured(t *testing.T, s *server, change func(*config)) result {
	t.Helper()
	return parts(t, s, change, 1)[0]
}

// parts returns the results of processes that divide a load.
func parts(t *testing.T, s *server, change func(*config), of int) []result {
	t.Helper()
	s.objects, s.events, s.ended = map[string]map[string]object{}, map[string][]event{}, map[string]bool{}
	s.organizations = map[string]bool{}
	s.wake = make(chan struct{})
	api := httptest.NewUnstartedServer(s)
	api.EnableHTTP2 = true
	api.StartTLS()
	defer api.Close()
	folder := t.TempDir()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})
	arm := armConfig{
		Name: "candidate", URL: api.URL, CAFile: filepath.Join(folder, "ca"), TokenFile: filepath.Join(folder, "token"),
		AdminTokenFile: filepath.Join(folder, "admin"), Metrics: []string{api.URL + "/metrics"},
	}
	files := map[string][]byte{arm.CAFile: authority, arm.TokenFile: []byte("token\n"), arm.AdminTokenFile: []byte("admin\n")}
	for path, content := range files {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := config{
		Arms: []armConfig{arm}, Run: "herd", Seed: 1, Projects: 2, Watches: 20, Objects: 2, ObjectBytes: 10,
		Rate: 100, ListRate: 10, DurationS: 1, SetupS: 20, SyncS: 20, DrainS: 3, RequestS: 5, PageSize: 10,
		SettleS: 5, ListWays: []string{"page", "full", "cached", "watchlist"},
	}
	change(&c)
	content, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	from := filepath.Join(folder, "config")
	if err := os.WriteFile(from, content, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	found := make([]result, of)
	meets := agents(of)
	var group sync.WaitGroup
	for i := range found {
		group.Add(1)
		go func() {
			defer group.Done()
			to := filepath.Join(folder, fmt.Sprintf("result-%d", i))
			if err := run(ctx, from, to, part{i, of}, meets[i]); err != nil {
				t.Error(err)
				cancel() // The others wait for it.
				return
			}
			content, err := os.ReadFile(to)
			if err == nil {
				err = json.Unmarshal(content, &found[i])
			}
			if err != nil {
				t.Error(err)
			}
		}()
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return found
}

// agents returns the barriers of some parts, which are released when all of them have reached one.
func agents(of int) []barrier {
	meets := make([]barrier, of)
	reached, released := make([]io.Reader, of), make([]io.Writer, of)
	for i := range of {
		reader, told := io.Pipe()
		answer, writer := io.Pipe()
		meets[i], reached[i], released[i] = agentBarrier(told, answer), reader, writer
	}
	go func() {
		for {
			for _, one := range reached {
				_, _ = io.ReadFull(one, make([]byte, 1))
			}
			for _, one := range released {
				_, _ = one.Write([]byte{'\n'})
			}
		}
	}()
	return meets
}

func TestPartsDoTogetherWhatOneDoesAlone(t *testing.T) {
	change := func(c *config) { c.Projects, c.Watches, c.WatchList, c.DurationS = 5, 37, true, 0.5 }
	alone := measured(t, &server{}, change).Arms["candidate"]
	var sum account
	lists, usages := map[string]int{}, 0
	for _, one := range parts(t, &server{}, change, 3) {
		found := one.Arms["candidate"]
		if found.Writes == 0 || found.Watches < 7 || found.Watches > 16 || found.Failed != "" {
			t.Fatalf("each part has a share: %+v", found)
		}
		sum.Expected += found.Expected
		sum.Delivered += found.Delivered
		sum.Lost += found.Lost + found.Duplicated + found.OutOfOrder + found.Foreign + len(found.Refused)
		sum.Writes += found.Writes
		sum.Watches += found.Watches
		sum.Lag = append(sum.Lag, found.Lag...)
		for way, times := range found.Lists {
			lists[way] += len(times)
		}
		if len(found.Usage) > 0 {
			usages++
			if open := found.Usage["open"].Goroutines - found.Usage["before"].Goroutines; open != 37 {
				t.Fatalf("it is read while the watches of all are open: %g", open)
			}
		}
	}
	if sum.Expected != alone.Expected || sum.Delivered != alone.Delivered || sum.Lost != 0 || usages != 1 ||
		sum.Writes != alone.Writes || sum.Watches != alone.Watches || len(sum.Lag) != len(alone.Lag) {
		t.Fatalf("together: %+v, alone: %+v, usage read %d times", sum, alone, usages)
	}
	for way, times := range alone.Lists {
		if lists[way] != len(times) {
			t.Fatalf("%v lists, alone %d of %s", lists, len(times), way)
		}
	}
}

func TestAnEventOfAProjectOfAnotherPartIsForeign(t *testing.T) {
	found := parts(t, &server{foreign: true}, func(*config) {}, 2)
	first, second := found[0].Arms["candidate"], found[1].Arms["candidate"]
	if first.Foreign != 0 || second.Foreign == 0 || first.Lost+second.Lost != 0 {
		t.Fatalf("the watches of the second part saw events of the first: %+v, %+v", first, second)
	}
}

func TestEachProjectBelongsToOnePart(t *testing.T) {
	one := func(project uint16, of uint8) bool {
		owners := 0
		for number := range int(of) + 1 {
			if (part{number, int(of) + 1}).has(int(project)) {
				owners++
			}
		}
		return owners == 1
	}
	if err := quick.Check(one, nil); err != nil {
		t.Fatal(err)
	}
}

func TestEachWayOfListingReachesEachProjectAndResource(t *testing.T) {
	for _, projects := range []int{1, 4, 10, 50} {
		ways := []string{"page", "full", "cached", "watchlist"}
		h := &herd{config: config{ListWays: ways}, names: make([]string, projects)}
		seen := map[listTarget]bool{}
		for number := range len(ways) * projects * len(resources) {
			seen[h.listTarget(number)] = true
		}
		if want := len(ways) * projects * len(resources); len(seen) != want {
			t.Errorf("%d Projects: %d of %d combinations are listed", projects, len(seen), want)
		}
	}
}

func TestPartsAreRead(t *testing.T) {
	if one, err := parsePart("2/4"); err != nil || one != (part{1, 4}) {
		t.Fatal(one, err)
	}
	for _, text := range []string{"", "0/4", "5/4", "-1/4", "1", "1/", "1/4/5", "1/4 ", "a/b"} {
		if one, err := parsePart(text); err == nil {
			t.Errorf("%q: %v", text, one)
		}
	}
}

func TestAnAgentThatEndsEndsTheLoad(t *testing.T) {
	if err := agentBarrier(io.Discard, strings.NewReader(""))(t.Context()); err == nil {
		t.Fatal("it went on without the others")
	}
}

func TestAHerdSeesEverything(t *testing.T) {
	for _, watchList := range []bool{false, true} {
		one := measured(t, &server{}, func(c *config) { c.WatchList = watchList }).Arms["candidate"]
		if one.Failed != "" || one.Writes != 100 || len(one.Refused) != 0 {
			t.Fatalf("every write succeeds: %+v", one)
		}
		initial := 2 * len(one.Lists["watchlist"]) // each of 2 objects is shown
		if watchList {
			initial += 2 * 20
		}
		if one.Expected != 500+initial || one.Delivered != 500 || one.Lost+one.Duplicated+one.OutOfOrder+one.Foreign != 0 {
			t.Fatalf("5 watches see each of 100 writes: %+v", one)
		}
		if len(one.Lists["page"]) != 3 || len(one.Lists["full"]) != 3 || len(one.Lists["cached"]) != 2 || len(one.Lists["watchlist"]) != 2 {
			t.Fatalf("10 lists by turns: %v", one.Lists)
		}
	}
}

func TestAnObjectThatAWatchListHidesIsLost(t *testing.T) {
	one := measured(t, &server{hideOne: true}, func(c *config) { c.WatchList = true }).Arms["candidate"]
	if one.Lost != 20+2 {
		t.Fatalf("20 watches and 2 lists did not show one object: %+v", one)
	}
}

func TestAWatchThatTimesOutGoesOnAtOnce(t *testing.T) {
	usual := retryDelay
	retryDelay = time.Hour // a watch that waits loses what follows
	defer func() { retryDelay = usual }()
	one := measured(t, &server{}, func(c *config) { c.WatchS, c.DurationS = 1, 2.5 }).Arms["candidate"]
	if one.Restarts[timedOut] < 10 || len(one.Restarts) != 1 || one.Bookmarks == 0 || one.Lost+one.Duplicated+one.OutOfOrder != 0 {
		t.Fatalf("watches timed out and lost nothing: %+v", one)
	}
}

func TestAWatchThatIsRefusedAtItsStartBeginsLater(t *testing.T) {
	one := measured(t, &server{busy: 7}, func(*config) {}).Arms["candidate"]
	if one.Restarts["start: 429"] != 7 || len(one.Restarts) != 1 || one.Delivered != 500 {
		t.Fatalf("7 watches began later: %+v", one)
	}
}

func TestWhatWatchesUseAndLeaveIsMeasured(t *testing.T) {
	for leak, want := range map[int]float64{0: 100, 3: 166} {
		one := measured(t, &server{leak: leak}, func(*config) {}).Arms["candidate"]
		if one.Usage["before"].Goroutines != 100 || one.Usage["open"].Goroutines != 120 || one.Usage["open"].Heap != 1e6 {
			t.Fatalf("20 watches have a goroutine each: %+v %s", one.Usage, one.UsageError)
		}
		if one.Usage["ended"].Goroutines != want { // of 20 watches and of 2 WatchLists
			t.Fatalf("a watch that ended leaves %d: %+v", leak, one.Usage)
		}
	}
}

func TestUsageThatCannotBeReadIsMissing(t *testing.T) {
	one := measured(t, &server{}, func(c *config) { c.Arms[0].Metrics[0] += "/nowhere" }).Arms["candidate"]
	if one.UsageError == "" || len(one.Usage) != 0 || one.Failed != "" || one.Delivered != 500 {
		t.Fatalf("the load goes on: %+v", one)
	}
}

func TestAnObjectThatATryLeftIsCreated(t *testing.T) {
	for first, want := range map[int]bool{http.StatusGatewayTimeout: true, http.StatusConflict: false} {
		codes := []int{first, http.StatusConflict}
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(codes[0])
			codes = codes[1:]
		}))
		c := client{arm: armConfig{URL: api.URL}, http: api.Client(), exhausted: func(error) {}}
		if err := c.callPatiently(t.Context(), "POST", "/", struct{}{}, nil); (err == nil) != want {
			t.Errorf("first answered with %d: %v", first, err)
		}
		api.Close()
	}
}

func TestNoMoreConnectionsIsNoFaultOfABuild(t *testing.T) {
	var said error
	refused := errors.New("dial")
	c := client{exhausted: func(err error) { said = err }, http: &http.Client{Transport: failing{refused}}}
	request := httptest.NewRequest("GET", "https://127.0.0.1/", nil)
	request.RequestURI = ""
	if _, err := c.do(request); !errors.Is(err, refused) || said != nil {
		t.Fatalf("a build may refuse: %v, %v", err, said)
	}
	c.http.Transport = failing{syscall.EMFILE}
	if _, err := c.do(request); err == nil || !errors.Is(said, syscall.EMFILE) {
		t.Fatalf("the limit of this machine is told: %v, %v", err, said)
	}
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestALostEventIsLostInEveryWatch(t *testing.T) {
	one := measured(t, &server{loseOne: true}, func(c *config) { c.DrainS = 2 }).Arms["candidate"]
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

func TestAProjectThatCannotBeFilledIsNamed(t *testing.T) {
	full := func(c *config) { c.Projects, c.Watches = 3*filledAtOnce, 6*filledAtOnce }
	one := measured(t, &server{refused: "herd-11/"}, full).Arms["candidate"]
	if !strings.Contains(one.Failed, "herd-11 cannot be filled: ") || one.Writes != 0 {
		t.Fatalf("one of its Projects refuses objects: %+v", one)
	}
	if one := measured(t, &server{}, full).Arms["candidate"]; one.Failed != "" || one.Lost != 0 {
		t.Fatalf("more Projects than are filled at once: %+v", one)
	}
}

// After a 410, a WatchList shows what exists again.
func TestObjectsThatAWatchListShowsAgainAreNoDuplicates(t *testing.T) {
	again := func(seed uint64, missed uint8) bool {
		const objects = 300
		l := newLedger()
		w := &watch{ledger: l, names: []string{"one"}, restarts: map[string]int{}}
		show := func(number int) {
			var one event
			one.Type = "ADDED"
			one.Object.Metadata.ResourceVersion = strconv.Itoa(number + 1)
			one.Object.Metadata.Annotations = map[string]string{annotation: strconv.Itoa(number)}
			w.record(one, l.now())
		}
		for number := range objects {
			l.accept(int32(number), write{}, 0)
			if number >= int(missed) {
				show(number)
			}
		}
		w.replays = true
		for _, number := range rand.New(rand.NewPCG(seed, 0)).Perm(objects) {
			show(number)
		}
		w.replays = false
		shown := l.settle([]*watch{w})
		show(objects - 1)
		show(0)
		twice := l.settle([]*watch{w})
		return shown.Lost+shown.Duplicated+shown.OutOfOrder == 0 && shown.Delivered == objects &&
			twice.Duplicated == 2 && twice.OutOfOrder == 1
	}
	if err := quick.Check(again, nil); err != nil {
		t.Fatal(err)
	}
}
