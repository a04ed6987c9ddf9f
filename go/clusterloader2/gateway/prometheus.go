package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

const (
	// held is how long an answer about targets waits until all of them are up:
	// ClusterLoader2 looks again only after half a minute.
	held  = 10 * time.Second
	again = 200 * time.Millisecond
)

// prometheus is a client of the external Prometheus.
type prometheus struct {
	base     *url.URL
	patience time.Duration
	client   *http.Client
	log      *slog.Logger
}

func newPrometheus(base *url.URL, patience time.Duration, log *slog.Logger) *prometheus {
	own := &http.Transport{DialContext: http.DefaultTransport.(*http.Transport).DialContext}
	return &prometheus{base, patience, &http.Client{Transport: own}, log}
}

// ask writes the answer of Prometheus, whatever it is, and returns true if there
// was one. Only the query is sent to Prometheus: the token of the request is for
// the API server.
func (p *prometheus) ask(w http.ResponseWriter, r *http.Request, what string) bool {
	ctx, cancel := context.WithTimeout(r.Context(), p.patience)
	defer cancel()
	status, body, err := p.get(ctx, what, r.URL.RawQuery)
	if what == "targets" {
		end := time.Now().Add(min(held, p.patience/2))
		for ctx.Err() == nil && waits(status, body, err) && time.Now().Before(end) {
			time.Sleep(again)
			status, body, err = p.get(ctx, what, r.URL.RawQuery)
		}
	}
	switch {
	case err == nil:
		write(w, status, string(body))
		return true
	case r.Context().Err() != nil: // the client is gone
	case ctx.Err() != nil:
		p.log.Warn("Prometheus is slow", "asked", what, "waited", p.patience)
		say(w, http.StatusGatewayTimeout, "Timeout",
			fmt.Sprintf("Prometheus at %s did not answer within %s", p.base.Host, p.patience))
	default:
		p.log.Warn("Prometheus does not answer", "asked", what, "error", err)
		say(w, http.StatusBadGateway, "", fmt.Sprintf("Prometheus at %s does not answer: %v", p.base.Host, err))
	}
	return false
}

// get returns a complete JSON answer; one that breaks off is an error.
func (p *prometheus) get(ctx context.Context, what, query string) (int, []byte, error) {
	target := p.base.JoinPath("api/v1", what)
	target.RawQuery = query
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return 0, nil, err
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, nil, err
	}
	if !json.Valid(body) {
		return 0, nil, fmt.Errorf("its answer (%s, %d bytes) is not JSON", answer.Status, len(body))
	}
	return answer.StatusCode, body, nil
}

// waits returns true if Prometheus, or one of its targets, is not up yet.
func waits(status int, body []byte, err error) bool {
	if err != nil || status != http.StatusOK {
		return err != nil
	}
	var said struct {
		Data struct {
			ActiveTargets []struct {
				Health string `json:"health"`
			} `json:"activeTargets"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &said) != nil {
		return false // what it is instead is for the client to see
	}
	for _, one := range said.Data.ActiveTargets {
		if one.Health != "up" {
			return true
		}
	}
	return len(said.Data.ActiveTargets) == 0
}
