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
	tokenHeader = "X-Agent-Token" // the API server removes `Authorization` when it proxies a request
	statusPath  = "/v1/status"
	setupPath   = "/v1/setup"
	maxSetup    = 64 << 20 // bytes of a setup's result
	resume      = `{"data":{"type":"status","id":"default","attributes":{"paused":false}}}`
)

// status is the answer to GET /agent/state, and to probes.
type status struct {
	Running  bool `json:"running"`
	Barriers int  `json:"barriers"` // that the program has reached
	*outcome
}

func handler(config settings, child *child, downloaded chan<- struct{}) http.Handler {
	open := http.NewServeMux()
	// The operator polls until a Pod answers, and then resumes k6. We answer, and resume it later.
	open.HandleFunc("GET "+statusPath, alive(config, child))
	open.HandleFunc("PATCH "+statusPath, alive(config, child))

	ours := http.NewServeMux()
	if config.rest == "" {
		ours.HandleFunc("POST /agent/start", startProgram(child))
	} else {
		ours.HandleFunc("POST /agent/start", proxy(config, http.MethodPatch, statusPath, []byte(resume)))
		setupRoutes(ours, config)
	}
	ours.HandleFunc("POST /agent/barriers/{number}", child.barriers.handle)
	ours.HandleFunc("GET /agent/state", func(w http.ResponseWriter, _ *http.Request) { write(w, currentStatus(child)) })
	ours.HandleFunc("GET /agent/files/{name}", func(w http.ResponseWriter, r *http.Request) {
		serveFile(w, r, config.folder, currentStatus(child))
	})
	ours.HandleFunc("POST /agent/downloaded", func(w http.ResponseWriter, _ *http.Request) {
		state := currentStatus(child)
		if state.Running {
			http.Error(w, "the program still runs", http.StatusConflict)
			return
		}
		write(w, state)
		select {
		case downloaded <- struct{}{}:
		default: // a repeated request
		}
	})
	open.Handle("/agent/", requireToken(config.token, ours))
	return open
}

// setupRoutes adds the endpoints of k6's setup: run it, or set the result of another Pod's.
func setupRoutes(ours *http.ServeMux, config settings) {
	ours.HandleFunc("POST /agent/setup", proxy(config, http.MethodPost, setupPath, nil))
	ours.HandleFunc("PUT /agent/setup", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSetup))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		proxy(config, http.MethodPut, setupPath, body)(w, r)
	})
}

// startProgram starts a program other than k6.
func startProgram(child *child) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		write(w, currentStatus(child))
		select {
		case child.begin <- struct{}{}:
		default: // a repeated request
		}
	}
}

// requireToken refuses requests without the token.
func requireToken(token string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get(tokenHeader)), []byte(token)) != 1 {
			http.Error(w, "unknown token", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func currentStatus(child *child) status {
	select {
	case <-child.ended:
		return status{Barriers: child.barriers.count(), outcome: &child.outcome}
	default:
		return status{Running: true, Barriers: child.barriers.count()}
	}
}

// alive answers a probe with k6's own status, and with 200 once k6 has ended: a Pod whose probe
// fails is killed, and its results are lost.
func alive(config settings, child *child) http.HandlerFunc {
	ask := proxy(config, http.MethodGet, statusPath, nil)
	return func(w http.ResponseWriter, r *http.Request) {
		if state := currentStatus(child); !state.Running || config.rest == "" {
			write(w, state)
			return
		}
		ask(w, r)
	}
}

// proxy sends a request to k6's REST API, and returns its answer.
func proxy(config settings, method, path string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		request, err := http.NewRequestWithContext(
			r.Context(), method, "http://"+config.rest+path, bytes.NewReader(body),
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

// serveFile serves one result file, or a range of it.
func serveFile(w http.ResponseWriter, r *http.Request, folder string, state status) {
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

func write(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(what); err != nil {
		slog.Warn("an answer was cut off", "error", err)
	}
}
