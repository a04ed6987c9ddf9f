package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

func TestAKilledAPIServerIsA502AndItsSuccessorIsUsed(t *testing.T) {
	first, where := child(t, asUpstream, "127.0.0.1:0")
	stand := gatewayOf(t, "http://"+where, "")
	_, body := get(t, stand.Client(), stand.URL+"/one")
	equal(t, "before", body, "GET /one")
	must(t, first.Process.Kill())
	first.Wait()
	for range 20 {
		answer, body := get(t, stand.Client(), stand.URL+"/two")
		equal(t, "status", answer.StatusCode, http.StatusBadGateway)
		contains(t, body, `"kind":"Status"`)
		contains(t, body, "milo-perf gateway: the API server at "+where+" does not answer")
	}
	child(t, asUpstream, where)
	_, body = get(t, stand.Client(), stand.URL+"/three")
	equal(t, "after", body, "GET /three")
	equal(t, "failed", stand.metrics(t)["failed"], "20")
	equal(t, "passed", stand.metrics(t)["passed"], "2")
	if lines := strings.Count(stand.log.String(), "does not answer"); lines > 5 {
		t.Errorf("%d lines of log", lines)
	}
}

func TestAnAnswerThatBreaksOffIsNotACompleteOne(t *testing.T) {
	upstream := upstreamOf(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "half")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	stand := gatewayOf(t, upstream.URL, "")
	for _, client := range []*http.Client{stand.Client(), oldClient(stand.Server)} {
		answer, err := client.Get(stand.URL)
		must(t, err)
		if body, err := io.ReadAll(answer.Body); err == nil {
			t.Errorf("%q looks complete", body)
		}
	}
	until(t, "both are counted", func() bool { return stand.metrics(t)["failed"] == "2" })
}

func TestAClientThatGoesAwayIsNoFailureAndEndsItsRequest(t *testing.T) {
	came, ended := make(chan struct{}), make(chan struct{})
	upstream := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/watch" {
			http.NewResponseController(w).Flush()
		}
		came <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
	})
	stand := gatewayOf(t, upstream.URL, "")
	for _, path := range []string{"/watch", "/slow"} {
		ctx, cancel := context.WithCancel(t.Context())
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, stand.URL+path, nil)
		must(t, err)
		go func() {
			if answer, err := stand.Client().Do(request); err == nil {
				io.Copy(io.Discard, answer.Body)
			}
		}()
		<-came
		cancel()
		<-ended
	}
	equal(t, "failed", stand.metrics(t)["failed"], "0")
}

func TestAnAPIServerOfAnotherAuthorityIsNotTrusted(t *testing.T) {
	upstream := upstreamOf(t, func(http.ResponseWriter, *http.Request) {})
	stand := gatewayOf(t, upstream.URL, "")
	stand.pass.plain.TLSClientConfig.RootCAs = x509.NewCertPool()
	answer, body := get(t, stand.Client(), stand.URL)
	equal(t, "status", answer.StatusCode, http.StatusBadGateway)
	contains(t, body, "certificate")
}

func TestTheProgramSaysWhereItListensAndEndsOnSIGTERMWithAWatchOpen(t *testing.T) {
	upstream := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	program, client := started(t, upstream)
	answer, err := client.Get(program.url + "/watch")
	must(t, err)
	must(t, program.Process.Signal(syscall.SIGTERM))
	io.Copy(io.Discard, answer.Body)
	must(t, program.Wait())
}
