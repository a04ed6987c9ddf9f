package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// metricsPath is the path of the gateway's own metrics, which no API server serves.
const metricsPath = "/milo-perf/gateway/metrics"

// counts are the numbers of requests by outcome.
type counts struct {
	passed, answered, refused, failed, unanswered atomic.Int64
}

// answer counts a query, by whether Prometheus answered it.
func (c *counts) answer(answered bool) {
	if answered {
		c.answered.Add(1)
	} else {
		c.unanswered.Add(1)
	}
}

// ServeHTTP writes the counts in the text format of Prometheus.
func (c *counts) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	fmt.Fprintln(w, "# HELP milo_perf_gateway_requests_total Requests by what became of them.")
	fmt.Fprintln(w, "# TYPE milo_perf_gateway_requests_total counter")
	for _, one := range []struct {
		outcome string
		count   *atomic.Int64
	}{
		{"passed", &c.passed},         // answered by the API server
		{"failed", &c.failed},         // passed on, and not answered, or not to the end
		{"answered", &c.answered},     // by Prometheus, or by the gateway itself
		{"unanswered", &c.unanswered}, // by Prometheus
		{"refused", &c.refused},
	} {
		fmt.Fprintf(w, "milo_perf_gateway_requests_total{outcome=%q} %d\n", one.outcome, one.count.Load())
	}
}

// say writes a Kubernetes Status of a failure in the gateway.
func say(w http.ResponseWriter, code int, reason, message string) {
	body, err := json.Marshal(map[string]any{
		"kind": "Status", "apiVersion": "v1", "metadata": struct{}{}, "status": "Failure",
		"message": "milo-perf gateway: " + message, "reason": reason, "code": code,
	})
	if err != nil {
		panic(err) // these are strings and a number
	}
	write(w, code, string(body))
}

// write writes a JSON answer.
func write(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	fmt.Fprint(w, body)
}

// quiet limits repeated log messages to one per second.
type quiet struct{ last atomic.Int64 }

// mayLog returns true if nothing was logged in the last second.
func (q *quiet) mayLog() bool {
	now, last := time.Now().Unix(), q.last.Load()
	return now != last && q.last.CompareAndSwap(last, now)
}
