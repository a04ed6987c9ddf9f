package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// writes is how many objects are made to see what their watches are told.
const writes = 20

// watching is a watch of the Secrets of one Project, which gives the name of the object of each event.
type watching struct {
	names chan string
	stop  context.CancelFunc
}

// watchSecrets begins a watch from now on.
func watchSecrets(s *server, project string) watching {
	s.t.Helper()
	var list struct {
		Metadata struct{ ResourceVersion string }
	}
	path := at(project, "secrets")
	check(s.t, json.Unmarshal([]byte(s.want(200, "GET", path, nil).text), &list))
	ctx, stop := context.WithCancel(s.t.Context())
	request, err := http.NewRequestWithContext(ctx, "GET", s.url+path+"?watch=1&resourceVersion="+list.Metadata.ResourceVersion, nil)
	check(s.t, err)
	request.Header.Set("Authorization", "Bearer "+adminToken)
	response, err := s.http.Do(request)
	check(s.t, err)
	if response.StatusCode != 200 {
		s.t.Fatalf("watch of %s: %d", project, response.StatusCode)
	}
	names := make(chan string, 1000)
	go func() {
		defer close(names)
		defer response.Body.Close()
		for decoder := json.NewDecoder(response.Body); ; {
			var event struct {
				Object struct{ Metadata struct{ Name string } }
			}
			if decoder.Decode(&event) != nil {
				return
			}
			names <- event.Object.Metadata.Name
		}
	}()
	return watching{names, stop}
}

// seen is how many events come until half a second passes without one.
func (w watching) seen() (count int) {
	for {
		select {
		case <-w.names:
			count++
		case <-time.After(500 * time.Millisecond):
			return count
		}
	}
}

// makeSecrets makes objects in the Project "load".
func makeSecrets(s *server) {
	for _, name := range unused(writes) {
		s.want(201, "POST", at("load", "namespaces/default/secrets"), object("Secret", name))
	}
}

// lostEvents is how many of twenty events a watch is not told of.
func lostEvents(s *server) float64 {
	watch := watchSecrets(s, "load")
	defer watch.stop()
	makeSecrets(s)
	return float64(writes - watch.seen())
}

// foreignEvents is how many of twenty events a watch of another Project is told of.
func foreignEvents(s *server) float64 {
	other := unused(1)[0]
	s.project(other)
	own, foreign := watchSecrets(s, "load"), watchSecrets(s, other)
	defer own.stop()
	defer foreign.stop()
	makeSecrets(s)
	if count := own.seen(); count > writes {
		s.t.Errorf("the owner was told of %d events, and there were %d", count, writes)
	}
	return float64(foreign.seen())
}

// eventDelay is how long after a write began a watch is told of it.
func eventDelay(s *server) float64 {
	watch := watchSecrets(s, "load")
	defer watch.stop()
	shortest := time.Hour
	for i := range fewest {
		began := time.Now()
		s.want(201, "POST", at("load", "namespaces/default/secrets"), object("Secret", fmt.Sprintf("d%d-%d", began.UnixNano(), i)))
		select {
		case <-watch.names:
			shortest = min(shortest, time.Since(began))
		case <-time.After(2 * time.Second): // Another fault may lose it.
		}
	}
	return shortest.Seconds()
}

// watchEnds opens watches and ends them.
func watchEnds(s *server) float64 {
	for range 5 {
		watchSecrets(s, "load").stop()
	}
	return 0
}
