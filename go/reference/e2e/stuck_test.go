package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// unanswered sends a request and reports after a while whether it is still without an answer. What
// comes after that, if anything, is sent to the channel.
func unanswered(s *server, ctx context.Context, method, path string, body any) (still bool, end <-chan error) {
	s.t.Helper()
	text, err := json.Marshal(body)
	check(s.t, err)
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(text))
	check(s.t, err)
	request.Header.Set("Authorization", "Bearer "+adminToken)
	request.Header.Set("Content-Type", "application/json")
	ended := make(chan error, 1)
	go func() {
		response, err := s.http.Do(request)
		if err == nil {
			_ = response.Body.Close()
			err = errors.New(response.Status)
		}
		ended <- err
	}()
	select {
	case err := <-ended:
		s.t.Errorf("%s %s ended early: %v", method, path, err)
		return false, nil
	case <-time.After(time.Second):
		return true, ended
	}
}

// TestHang leaves requests without an answer, and nothing else, longer than Kubernetes' own timeout.
func TestHang(t *testing.T) {
	t.Parallel()
	s := start(t, "hang=100%")
	s.project("load")
	secrets := at("load", "namespaces/default/secrets")
	client, leave := context.WithCancel(t.Context())
	_, left := unanswered(s, client, "POST", secrets, object("Secret", "s"))
	_, listed := unanswered(s, t.Context(), "GET", secrets, nil)
	_, got := unanswered(s, t.Context(), "GET", secrets+"/s", nil)
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("of a client that left: %v", err)
	}
	s.want(200, "GET", at("load", "namespaces"), nil)
	s.want(201, "POST", "/api/v1/namespaces/default/secrets", object("Secret", "s"))
	s.remove("load")
	quick := &server{t, s.url, &http.Client{Transport: s.http.Transport, Timeout: 5 * time.Second}, s.etcd, s.process}
	for _, path := range []string{"/readyz", "/livez", "/healthz", "/metrics", "/debug/pprof/goroutine?debug=1", "/reference/faults"} {
		quick.want(200, "GET", path, nil)
	}
	if err := stopped(s); err != nil {
		t.Error(err)
	}
	for _, end := range []<-chan error{listed, got} {
		if err := <-end; strings.Contains(err.Error(), "200") || strings.Contains(err.Error(), "504") {
			t.Errorf("the request was answered: %v", err)
		}
	}
}

// TestShutdownDoesNotWaitForFaults is for requests and Projects that are delayed when the server is told to stop.
func TestShutdownDoesNotWaitForFaults(t *testing.T) {
	t.Parallel()
	s := start(t, "slow-create=50s", "slow-list=50s", "slow-tail=100%:50s", "slow-gc=1h", "project-lock=3s")
	s.project("load")
	s.project("other")
	secrets := at("load", "namespaces/default/secrets")
	unanswered(s, t.Context(), "POST", secrets, object("Secret", "s"))
	unanswered(s, t.Context(), "GET", secrets, nil)
	unanswered(s, t.Context(), "GET", secrets+"/s", nil)
	s.want(200, "DELETE", group+"/projects/other", nil)
	s.begin("late")
	if err := stopped(s); err != nil {
		t.Error(err)
	}
}

// stopped tells a server to stop, and returns how it failed to, if it did.
func stopped(s *server) error {
	began := time.Now()
	check(s.t, s.command.Process.Signal(syscall.SIGTERM))
	select {
	case <-s.ended:
		s.t.Logf("stopped after %v", time.Since(began))
	case <-time.After(patience):
		return errors.New("the server was still running long after it was told to stop")
	}
	if code := s.command.ProcessState.ExitCode(); code != 0 {
		return errors.New(s.command.ProcessState.String())
	}
	return nil
}

// TestCrash is for what a crash looks like from outside: the code and the last lines of a panic.
func TestCrash(t *testing.T) {
	t.Parallel()
	s := start(t, "crash-after=3s")
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Fatal("it did not crash")
	}
	said := s.log.String()
	if code := s.command.ProcessState.ExitCode(); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	lines := strings.Split(strings.TrimSpace(said), "\n")
	if last := strings.Join(lines[max(0, len(lines)-12):], "\n"); !strings.Contains(last, "panic: fault crash-after: ") || !strings.Contains(last, "faults.Crash(") {
		t.Errorf("last lines:\n%s", last)
	}
}
