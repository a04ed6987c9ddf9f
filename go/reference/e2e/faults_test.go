package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// faultCase says what a fault must do, and that it does only that. The bounds
// are far from both sides, because the machine may be busy.
type faultCase struct {
	size string
	// effect measures what the fault changes: at least the bound with it, below it without.
	effect func(*server) float64
	bound  float64
	// most, where it is set, is what the effect stays below: the size is no more than it says.
	most float64
	// aside measures the same on what the fault must leave alone: below the bound.
	aside func(*server) float64
}

var faultCases = map[string]faultCase{
	"slow-create": {"400ms", creates, 0.4, 0, func(s *server) float64 {
		return max(lists(s), gets(s), namespacesMade(s), updates(s), rootCreates(s))
	}},
	"slow-list":               {"400ms", lists, 0.4, 0, func(s *server) float64 { return max(creates(s), gets(s), watchStarts(s)) }},
	"slow-ready":              {"1500ms", readies, 1.5, 0, func(s *server) float64 { return max(creates(s), gets(s)) }},
	"cpu":                     {"20ms", func(s *server) float64 { return cpuOf(s, 60, "/api/v1/namespaces") }, 1.2, 0, func(s *server) float64 { return cpuOf(s, 60, "/readyz") }},
	"leak-memory":             {"1MiB", func(s *server) float64 { return memoryOf(s, "secrets") }, 64 << 20, 0, func(s *server) float64 { return memoryOf(s, "namespaces") }},
	"leak-goroutines":         {"5", func(s *server) float64 { return goroutinesOf(s, creates) }, 100, 0, func(s *server) float64 { return goroutinesOf(s, gets) }},
	"leak-project-goroutines": {"100", func(s *server) float64 { return goroutinesOf(s, lives) }, 350, 450, func(s *server) float64 { return goroutinesOf(s, creates) }},
	"leak-files":              {"50", func(s *server) float64 { return filesOf(s, lives) }, 180, 240, func(s *server) float64 { return filesOf(s, creates) }},
	"orphans":                 {"3", orphansOf, 4, 5, nil},
	"errors":                  {"50%", func(s *server) float64 { return failuresOf(s, "namespaces/default/configmaps") }, 49, 52, func(s *server) float64 { return failuresOf(s, "namespaces") }},
	"never-ready":             {"50%", stuckOf, 5, 6, nil},
	"project-lock":            {"1s", readyTogether, together, 0, func(s *server) float64 { return max(readies(s), creates(s)) }},
	"slow-tail":               {"50%:400ms", slowOf, 20, 21, func(s *server) float64 { return max(namespacesMade(s), watchStarts(s)) }},
	"stuck-gc":                {"50%", stuckInDeletion, 5, 6, nil},
	"deletion-lock":           {"1s", readyDuringDeletions, 1, 0, func(s *server) float64 { return max(readies(s), creates(s)) }},
	"skip-finalizers":         {"50%", goneWithFinalizers, 5, 6, nil},
	"slow-resume":             {"1s", removedAfterRestart, 2, 0, func(s *server) float64 { return max(readies(s), removals(s), creates(s)) }},
	"lose-event":              {"50%", lostEvents, writes / 2, writes/2 + 1, nil},
	"foreign-event":           {"50%", foreignEvents, writes / 2, writes/2 + 1, nil},
	"delay-events":            {"400ms", eventDelay, 0.4, 0, func(s *server) float64 { return max(creates(s), lists(s), watchStarts(s)) }},
	"leak-watchers":           {"5", func(s *server) float64 { return goroutinesOf(s, watchEnds) }, 100, 0, func(s *server) float64 { return goroutinesOf(s, creates) }},
	"slow-gc":                 {"1500ms", removals, 1.5, 0, func(s *server) float64 { return max(readies(s), creates(s)) }},
}

// fewest is how often an operation is tried: the fastest try counts, which
// shows a delay that is always there and hides one that is not.
const fewest = 5

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, test := range faultCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, name+"="+test.size)
			s.project("load")
			want := fmt.Sprintf(`{"faults":{%q:%q}}`, name, canonical(name, test.size))
			if text := strings.TrimSpace(s.want(200, "GET", "/reference/faults", nil).text); text != want {
				t.Errorf("faults shown: %s, want %s", text, want)
			}
			if got := test.effect(s); got < test.bound {
				t.Errorf("effect with %s=%s: %v, want at least %v", name, test.size, got, test.bound)
			} else if test.most > 0 && got >= test.most {
				t.Errorf("effect with %s=%s: %v, want below %v", name, test.size, got, test.most)
			}
			if test.aside == nil {
				return
			}
			if got := test.aside(s); got >= test.bound {
				t.Errorf("%s=%s changes what it should not: %v, want below %v", name, test.size, got, test.bound)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.project("load")
		for name, test := range faultCases {
			if got := test.effect(s); got >= test.bound {
				t.Errorf("effect of %s without it: %v, want below %v", name, got, test.bound)
			}
		}
	})
}

func canonical(name, size string) string {
	if name == "slow-ready" || name == "slow-gc" {
		return "1.5s"
	}
	return size
}

// TestUsage needs no server: a wrong fault is refused before anything starts.
func TestUsage(t *testing.T) {
	t.Parallel()
	program, _ := tools(t)
	for _, fault := range []string{"nope=1", "cpu", "cpu=fast", "cpu=-1ms", "errors=150%", "orphans=0.5", "leak-memory=1.5B", "slow-list=NaN", "lose-event=2", "never-ready=2"} {
		out, err := exec.Command(program, "--fault", fault).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "known faults: slow-create") {
			t.Errorf("--fault %s: %v: %s", fault, err, out)
		}
	}
	if out, err := exec.Command(program, "--version").CombinedOutput(); err != nil || len(out) == 0 {
		t.Errorf("--version: %v: %s", err, out)
	}
}

// fastest is the shortest time of several requests, in seconds.
func fastest(s *server, code int, method, path string, body func(name string) any) float64 {
	shortest := time.Hour
	for i := range fewest {
		var content any
		if body != nil {
			content = body(fmt.Sprintf("n%d-%d", time.Now().UnixNano(), i))
		}
		shortest = min(shortest, s.want(code, method, path, content).took)
	}
	return shortest.Seconds()
}

func creates(s *server) float64 {
	make := func(kind string) float64 {
		return fastest(s, 201, "POST", at("load", "namespaces/default/"+strings.ToLower(kind)+"s"), func(name string) any { return object(kind, name) })
	}
	return min(make("Secret"), make("ConfigMap"))
}

func rootCreates(s *server) float64 {
	return fastest(s, 201, "POST", "/api/v1/namespaces/default/secrets", func(name string) any { return object("Secret", name) })
}

func namespacesMade(s *server) float64 {
	return fastest(s, 201, "POST", at("load", "namespaces"), func(name string) any { return object("Namespace", name) })
}

func updates(s *server) float64 {
	s.do("POST", at("load", "namespaces/default/secrets"), object("Secret", "updated"))
	return fastest(s, 200, "PUT", at("load", "namespaces/default/secrets/updated"), func(string) any { return object("Secret", "updated") })
}

func gets(s *server) float64 {
	s.do("POST", at("load", "namespaces/default/secrets"), object("Secret", "got"))
	return fastest(s, 200, "GET", at("load", "namespaces/default/secrets/got"), nil)
}

func lists(s *server) float64 {
	return min(fastest(s, 200, "GET", at("load", "secrets"), nil), fastest(s, 200, "GET", at("load", "namespaces/default/configmaps?limit=5"), nil))
}

func watchStarts(s *server) float64 {
	shortest := time.Hour
	for range fewest {
		request, err := http.NewRequestWithContext(s.t.Context(), "GET", s.url+at("load", "secrets?watch=1&timeoutSeconds=1"), nil)
		check(s.t, err)
		request.Header.Set("Authorization", "Bearer "+adminToken)
		began := time.Now()
		response, err := s.http.Do(request)
		check(s.t, err)
		shortest = min(shortest, time.Since(began))
		_ = response.Body.Close()
	}
	return shortest.Seconds()
}

func readies(s *server) float64 {
	shortest := time.Hour
	for i := range 2 {
		shortest = min(shortest, s.project(fmt.Sprint("ready-", i)))
	}
	return shortest.Seconds()
}

func cpuOf(s *server, requests int, path string) float64 {
	before := s.metric("process_cpu_seconds_total")
	for range requests {
		s.want(200, "GET", path, nil)
	}
	return s.metric("process_cpu_seconds_total") - before
}

// memoryOf is by how much the live memory and the resident memory grow: the smaller of both.
func memoryOf(s *server, resource string) float64 {
	measure := func() (heap, resident float64) {
		s.want(200, "GET", "/debug/pprof/heap?gc=1", nil)
		return s.metric("go_memstats_heap_alloc_bytes"), s.metric("process_resident_memory_bytes")
	}
	s.want(200, "GET", at("load", resource), nil)
	heap, resident := measure()
	for range 128 {
		s.want(200, "GET", at("load", resource), nil)
	}
	heapAfter, residentAfter := measure()
	return min(heapAfter-heap, residentAfter-resident)
}

// goroutinesOf is by how much the number of goroutines grows for good.
func goroutinesOf(s *server, load func(*server) float64) float64 {
	return grown(s, "go_goroutines", load)
}

// grown is by how much a metric grows for good under four loads.
func grown(s *server, metric string, load func(*server) float64) float64 {
	load(s) // storages are made on first touch
	before := least(s, metric)
	for range 4 {
		load(s)
	}
	return least(s, metric) - before
}

// least is the least that is seen of a metric in a second: what ends takes a moment to end.
func least(s *server, metric string) float64 {
	seen := s.metric(metric)
	for range 10 {
		time.Sleep(100 * time.Millisecond)
		seen = min(seen, s.metric(metric))
	}
	return seen
}

// orphansOf is how many keys a Project leaves, whether it had objects or not.
func orphansOf(s *server) float64 {
	s.project("empty")
	s.project("full")
	for i := range 10 {
		s.want(201, "POST", at("full", "namespaces/default/secrets"), object("Secret", fmt.Sprint("s", i)))
	}
	s.remove("empty")
	s.remove("full")
	empty, full := len(s.keys("/projects/empty/")), len(s.keys("/projects/full/"))
	if empty != full {
		s.t.Errorf("keys left: %d of an empty Project, %d of a full one", empty, full)
	}
	// What was left behind can be read by a Project of the same name.
	s.project("empty")
	s.want(200, "GET", at("empty", "configmaps"), nil)
	return float64(empty)
}

// slowOf is how many of 40 requests, of all kinds, take longer than the fault says.
func slowOf(s *server) float64 {
	slow := 0
	count := func(a answer) {
		if a.took >= 400*time.Millisecond {
			slow++
		}
	}
	for range 10 {
		name := unused(1)[0]
		path := at("load", "namespaces/default/secrets")
		count(s.want(201, "POST", path, object("Secret", name)))
		count(s.want(200, "GET", path+"/"+name, nil))
		count(s.want(200, "GET", path, nil))
		count(s.want(200, "DELETE", path+"/"+name, nil))
	}
	return float64(slow)
}

// failuresOf is how many of 100 requests are answered with 500.
func failuresOf(s *server, path string) float64 {
	failures := 0
	for range 100 {
		switch a := s.do("GET", at("load", path), nil); {
		case a.code == 500 && strings.Contains(a.text, `"kind":"Status"`):
			failures++
		case a.code != 200:
			s.t.Errorf("%d %s", a.code, a.text)
		}
	}
	return float64(failures)
}
