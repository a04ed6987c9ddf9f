package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	token  = "known-to-both"
	points = "metric_name,timestamp\nhttp_reqs,1\n"
)

// TestMain is also k6, when the agent under test starts this program.
func TestMain(m *testing.M) {
	if folder := os.Getenv("FAKE_K6"); folder != "" {
		os.Exit(fakeK6(folder, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// fakeK6 waits for its setup's data and for the start, and writes both with its arguments.
func fakeK6(folder string, args []string) int {
	if slices.Contains(args, "refused") {
		fmt.Println("no such flag")
		return 104
	}
	if slices.Contains(args, "barriers") {
		return passBarriers(os.NewFile(3, "barriers"))
	}
	address := ""
	for _, arg := range args {
		if after, found := strings.CutPrefix(arg, "--address="); found {
			address = after
		}
	}
	go func() { _ = http.ListenAndServe(address, fakeREST(folder, args)) }()
	interrupted := make(chan os.Signal, 1)
	notify(interrupted)
	select {
	case <-resumed:
		time.Sleep(50 * time.Millisecond) // its answer
		return 0
	case <-interrupted:
		return 105
	}
}

// passBarriers waits at two barriers, as a program does whose load several Pods divide.
func passBarriers(reached *os.File) int {
	for range 2 {
		if _, err := reached.Write([]byte{'\n'}); err != nil {
			return 3
		}
		if _, err := io.ReadFull(os.Stdin, make([]byte, 1)); err != nil {
			return 4
		}
		fmt.Println("passed")
	}
	return 0
}

var resumed = make(chan struct{})

func fakeREST(folder string, args []string) http.Handler {
	data := []byte(`"none"`)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"paused":true}`) })
	mux.HandleFunc("POST /v1/setup", func(w http.ResponseWriter, _ *http.Request) {
		data = []byte(`{"made":1}`)
		_, _ = w.Write(data)
	})
	mux.HandleFunc("PUT /v1/setup", func(w http.ResponseWriter, r *http.Request) {
		data, _ = io.ReadAll(r.Body)
		_, _ = w.Write(data)
	})
	mux.HandleFunc("PATCH /v1/status", func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		said, _ := json.Marshal(map[string]any{"args": args, "data": json.RawMessage(data), "patch": string(body)})
		_ = os.WriteFile(filepath.Join(folder, "said.json"), said, 0o600)
		_ = os.WriteFile(filepath.Join(folder, "points.csv"), []byte(points), 0o600)
		close(resumed)
	})
	return mux
}

func notify(c chan<- os.Signal) { signal.Notify(c, syscall.SIGINT) }

// agentOf runs an agent, and returns a client function, a channel with its exit code, and its folder.
func agentOf(t *testing.T, args []string, more map[string]string) (func(method, path, known string, body []byte) (int, []byte), <-chan int, string) {
	t.Helper()
	folder := t.TempDir()
	t.Setenv("FAKE_K6", folder)
	tokenFile := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address := free(t)
	env := map[string]string{
		"AGENT_PROGRAM": os.Args[0], "AGENT_FOLDER": folder, "AGENT_TOKEN_FILE": tokenFile,
		"AGENT_LISTEN": address, "AGENT_REST": free(t), "AGENT_LOG": "k6.log", "AGENT_ARGS": `[["--out=csv=x","script.js"]]`,
		"AGENT_PODS": "1", "AGENT_KEEP": "1m",
	}
	for name, value := range more {
		env[name] = value
	}
	code := make(chan int, 1)
	go func() { code <- run(args, func(name string) string { return env[name] }) }()
	ask := func(method, path, known string, body []byte) (int, []byte) {
		request, err := http.NewRequestWithContext(context.Background(), method, "http://"+address+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set(tokenHeader, known)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, []byte(err.Error())
		}
		defer func() { _ = answer.Body.Close() }()
		content, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, content
	}
	return ask, code, folder
}

func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatal("never " + what)
}

// interrupt sends SIGTERM to the agent in this process, as the kubelet does to a deleted Pod.
func interrupt(t *testing.T, code <-chan int) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := <-code; got != exitFailed {
		t.Errorf("exited with %d", got)
	}
}
