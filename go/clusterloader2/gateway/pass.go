package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"
)

// dialTimeout is the timeout of a connection to the API server, TLS included.
const dialTimeout = 10 * time.Second

// forwarded are headers that ReverseProxy drops, because it does not trust the
// sender. Here the sender is the API server's own client.
var forwarded = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}

// added are headers that Go's server adds to an answer without them.
var added = []string{"Content-Type", "Date"}

// pass sends requests to the API server unchanged, and its answers back.
//
// Each client connection has its own connections to the API server, because their
// number is part of the load.
type pass struct {
	proxy   httputil.ReverseProxy
	plain   *http.Transport // is copied for each connection of a client
	leaving *http.Transport // for requests that leave HTTP, such as exec
	mine    sync.Map        // from a net.Conn to its *http.Transport
	host    string
	counts  counts
	log     *slog.Logger
	said    quiet
}

// transportKey is the key of a connection's transport in the context of a request.
type transportKey struct{}

func newPass(opts *options, log *slog.Logger) *pass {
	p := &pass{host: opts.upstream.Host, log: log}
	p.plain, p.leaving = transport(opts), transport(opts)
	p.leaving.Protocols = new(http.Protocols)
	p.leaving.Protocols.SetHTTP1(true)
	p.proxy = httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(opts.upstream)
			r.Out.URL.RawQuery = r.In.URL.RawQuery // also what Go cannot parse
			for _, name := range forwarded {
				if values, ok := r.In.Header[name]; ok {
					r.Out.Header[name] = values
				}
			}
		},
		Transport:     p,
		FlushInterval: -1,
		BufferPool:    buffers{},
		ModifyResponse: func(*http.Response) error {
			p.counts.passed.Add(1)
			return nil
		},
		ErrorHandler: p.failed,
		ErrorLog:     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return p
}

func transport(opts *options) *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout: dialTimeout,
		TLSClientConfig:     &tls.Config{RootCAs: opts.authorities, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		DisableCompression:  true, // the client asks for it or does not
		MaxIdleConnsPerHost: 1000,
		IdleConnTimeout:     90 * time.Second,
		// So that a connection to a machine that is gone is noticed, as client-go does.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
}

// ServeHTTP passes one request, and counts answers that break off.
func (p *pass) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		broken := recover()
		if broken == nil {
			return
		}
		if r.Context().Err() == nil { // so it was not the client who went away
			p.counts.failed.Add(1)
			p.warn(r, errors.New("the answer broke off"))
		}
		panic(broken) // which ends the answer to the client too
	}()
	for _, name := range added {
		w.Header()[name] = nil
	}
	p.proxy.ServeHTTP(w, r)
}

// RoundTrip sends a request on the connection for the client's connection.
func (p *pass) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "" {
		return p.leaving.RoundTrip(r)
	}
	if own, ok := r.Context().Value(transportKey{}).(*http.Transport); ok {
		return own.RoundTrip(r)
	}
	return p.plain.RoundTrip(r)
}

// opened gives a client connection its own transport.
func (p *pass) opened(ctx context.Context, connection net.Conn) context.Context {
	own := p.plain.Clone()
	p.mine.Store(connection, own)
	return context.WithValue(ctx, transportKey{}, own)
}

// changed closes the transport of a client connection once that is closed.
func (p *pass) changed(connection net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	if own, ok := p.mine.LoadAndDelete(connection); ok {
		own.(*http.Transport).CloseIdleConnections()
	}
}

// failed answers if the API server does not.
func (p *pass) failed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the client is gone
	}
	p.counts.failed.Add(1)
	p.warn(r, err)
	say(w, http.StatusBadGateway, "", fmt.Sprintf("the API server at %s does not answer: %v", p.host, err))
}

func (p *pass) warn(r *http.Request, err error) {
	if p.said.mayLog() {
		p.log.Warn("the API server does not answer", "method", r.Method, "path", r.URL.Path, "error", err)
	}
}

// buffers are reused, because there are many answers.
type buffers struct{}

var free = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// Get implements httputil.BufferPool.
func (buffers) Get() []byte { return free.Get().(*[32 << 10]byte)[:] }

// Put implements httputil.BufferPool.
func (buffers) Put(buffer []byte) { free.Put((*[32 << 10]byte)(buffer)) }
