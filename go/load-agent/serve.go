package main

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
)

const (
	tokenHeader = "X-Keeper-Token" // an API server takes `Authorization` out of what it passes on
	statusPath  = "/v1/status"
	setupPath   = "/v1/setup"
	largest     = 64 << 20 // bytes of what a setup returns
	resume      = `{"data":{"type":"status","id":"default","attributes":{"paused":false}}}`
)

// status is what is said before and after k6 ends.
type status struct {
	Running bool `json:"running"`
	*outcome
}

func handler(given settings, child *child, taken chan<- struct{}) http.Handler {
	open := http.NewServeMux()
	// The operator asks until a Pod answers, and then tells it to go on: it goes on when we do.
	open.HandleFunc("GET "+statusPath, alive(given, child))
	open.HandleFunc("PATCH "+statusPath, alive(given, child))

	ours := http.NewServeMux()
	if given.rest == "" {
		ours.HandleFunc("POST /keeper/start", begin(child))
	} else {
		ours.HandleFunc("POST /keeper/start", pass(given, http.MethodPatch, statusPath, []byte(resume)))
		paused(ours, given)
	}
	ours.HandleFunc("GET /keeper/state", func(w http.ResponseWriter, _ *http.Request) { say(w, now(child)) })
	ours.HandleFunc("GET /keeper/files/{name}", func(w http.ResponseWriter, r *http.Request) {
		give(w, r, given.folder, now(child))
	})
	ours.HandleFunc("POST /keeper/taken", func(w http.ResponseWriter, _ *http.Request) {
		state := now(child)
		if state.Running {
			http.Error(w, "the program still runs", http.StatusConflict)
			return
		}
		say(w, state)
		select {
		case taken <- struct{}{}:
		default: // it was said before
		}
	})
	open.Handle("/keeper/", known(given.token, ours))
	return open
}

// paused answers what is asked of a k6 before it starts.
func paused(ours *http.ServeMux, given settings) {
	ours.HandleFunc("POST /keeper/setup", pass(given, http.MethodPost, setupPath, nil))
	ours.HandleFunc("PUT /keeper/setup", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largest))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		pass(given, http.MethodPut, setupPath, body)(w, r)
	})
}

// begin lets a program begin that was not started at once.
func begin(child *child) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		say(w, now(child))
		select {
		case child.begin <- struct{}{}:
		default: // it was said before
		}
	}
}

// known lets only those pass who know the token.
func known(token string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get(tokenHeader)), []byte(token)) != 1 {
			http.Error(w, "unknown token", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func now(child *child) status {
	select {
	case <-child.ended:
		return status{outcome: &child.outcome}
	default:
		return status{Running: true}
	}
}

// alive answers a probe: with k6's own status, and still well once k6 has ended, because a Pod
// that does not answer is killed with all that it keeps.
func alive(given settings, child *child) http.HandlerFunc {
	asks := pass(given, http.MethodGet, statusPath, nil)
	return func(w http.ResponseWriter, r *http.Request) {
		if state := now(child); !state.Running || given.rest == "" {
			say(w, state)
			return
		}
		asks(w, r)
	}
}

// pass asks k6's REST API, and answers with what it said.
func pass(given settings, method, path string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		request, err := http.NewRequestWithContext(
			r.Context(), method, "http://"+given.rest+path, bytes.NewReader(body),
		)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		request.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			http.Error(w, "k6 does not answer: "+err.Error(), http.StatusBadGateway)
			return
		}
		defer func() { _ = answer.Body.Close() }()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(answer.StatusCode)
		if _, err := io.Copy(w, answer.Body); err != nil {
			slog.Warn("an answer was cut off", "path", path, "error", err)
		}
	}
}

// give serves one file that is kept; a part of it where that is asked for.
func give(w http.ResponseWriter, r *http.Request, folder string, state status) {
	if state.Running {
		http.Error(w, "the program still runs", http.StatusConflict)
		return
	}
	for _, one := range state.Files {
		if one.Name != r.PathValue("name") {
			continue
		}
		file, err := os.Open(filepath.Join(folder, one.Name))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer func() { _ = file.Close() }()
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("ETag", `"`+one.SHA256+`"`)
		info, err := file.Stat()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		http.ServeContent(w, r, one.Name, info.ModTime(), file)
		return
	}
	http.Error(w, "there is no such file", http.StatusNotFound)
}

func say(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(what); err != nil {
		slog.Warn("an answer was cut off", "error", err)
	}
}
