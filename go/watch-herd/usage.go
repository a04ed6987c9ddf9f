package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	goroutinesMetric = "go_goroutines"
	// heapMetric is what the last collection found in use. Allocated memory would include the profile
	// that forces it, which grows with the age of a process.
	heapMetric   = "go_gc_heap_live_bytes"
	allocMetric  = "go_memstats_heap_alloc_bytes" // of programs without heapMetric
	collections  = 2                              // a sync.Pool releases its objects only in the second one
	settledReads = 3
)

var settleDelay = 500 * time.Millisecond

// usage is what the API servers of one arm use, over all replicas.
type usage struct {
	Goroutines float64 `json:"goroutines"`
	Heap       float64 `json:"heap"` // bytes in use, after garbage collections
}

// measure returns the present usage; it forces garbage collections.
func (c *client) measure(ctx context.Context) (usage, error) {
	var sum usage
	for _, url := range c.arm.Metrics {
		for range collections {
			answer, err := c.ask(ctx, strings.TrimSuffix(url, "/metrics")+"/debug/pprof/heap?gc=1")
			if err != nil {
				return usage{}, err
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
		one, err := c.scrape(ctx, url)
		if err != nil {
			return usage{}, err
		}
		sum.Goroutines += one.Goroutines
		sum.Heap += one.Heap
	}
	return sum, nil
}

// settle waits until the servers have ended the goroutines of requests and watches that ended: until
// their number falls no further, or the time is over. Connections that are idle are closed for that.
func (c *client) settle(ctx context.Context) error {
	least, same := 0.0, 0
	for first := true; same < settledReads; first = false {
		sum := 0.0
		c.http.CloseIdleConnections() // Those of watches are idle some time after these ended.
		for _, url := range c.arm.Metrics {
			one, err := c.scrape(ctx, url)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
			sum += one.Goroutines
		}
		if same++; first || sum < least {
			least, same = sum, 0
		}
		if !sleep(ctx, settleDelay) {
			return nil
		}
	}
	return nil
}

// scrape reads the Prometheus text of one server.
func (c *client) scrape(ctx context.Context, url string) (usage, error) {
	answer, err := c.ask(ctx, url)
	if err != nil {
		return usage{}, err
	}
	defer answer.Body.Close()
	found := map[string]float64{}
	lines := bufio.NewScanner(io.LimitReader(answer.Body, maxBody))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if name == goroutinesMetric || name == heapMetric || name == allocMetric {
			if found[name], err = strconv.ParseFloat(value, 64); err != nil {
				return usage{}, fmt.Errorf("%s: %w", url, err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return usage{}, fmt.Errorf("%s: %w", url, err)
	}
	goroutines, hasGoroutines := found[goroutinesMetric]
	heap, hasHeap := found[heapMetric]
	if !hasHeap {
		heap, hasHeap = found[allocMetric]
	}
	if !hasGoroutines || !hasHeap {
		return usage{}, fmt.Errorf("%s: no %s or no %s", url, goroutinesMetric, heapMetric)
	}
	return usage{goroutines, heap}, nil
}

// ask sends a GET as an administrator; plain HTTP gets no token.
func (c *client) ask(ctx context.Context, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(url, "https:") {
		request.Header.Set("Authorization", "Bearer "+c.admin)
	}
	return c.do(request)
}
