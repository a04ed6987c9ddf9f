package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// seen is a request as an API server saw it.
type seen struct {
	line   string
	header http.Header
	body   string
}

func TestARequestArrivesAsItWasSent(t *testing.T) {
	requests := make(chan seen, 2)
	upstream := upstreamOf(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		line := fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Proto, " ", r.ContentLength, " ", r.Trailer)
		requests <- seen{line, r.Header, string(body)}
	})
	stand := gatewayOf(t, upstream.URL, "")
	for _, uri := range []string{
		"/", "/api/v1/pods?", "/a//b/../c", "/a%2Fb/c%20d", "/api?x=1;y=%zz&x=2+3",
		"/projects/p/control-plane/api", "/api/v1/namespaces/monitoring/pods/a/log?follow=true",
		"/apis/a.b/v1/namespaces/monitoring/things/one", "/milo-perf/gateway/metrics/",
	} {
		for _, method := range []string{"GET", "POST", "PATCH", "DELETE", "OPTIONS", "HEAD"} {
			header := http.Header{
				"Authorization":     {"Bearer secret"},
				"Accept":            {"application/vnd.kubernetes.protobuf", "*/*"},
				"X-Forwarded-For":   {"1.2.3.4"},
				"X-Forwarded-Proto": {"ftp"},
				"Forwarded":         {"for=1.2.3.4"},
				"Impersonate-User":  {"somebody"},
				"User-Agent":        {""},
			}
			body := map[bool]string{true: "k8s\x00\x00\xff"}[method == "POST" || method == "PATCH"]
			send(t, upstream.Client(), method, upstream.URL+uri, body, header)
			direct := <-requests
			send(t, stand.Client(), method, stand.URL+uri, body, header)
			through := <-requests
			if !reflect.DeepEqual(direct, through) {
				t.Errorf("direct:  %q\nthrough: %q", direct, through)
			}
			contains(t, through.line, "HTTP/2.0")
		}
	}
}

func TestAnAnswerArrivesAsItWasSent(t *testing.T) {
	upstream := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bare":
			w.Header()["Date"], w.Header()["Content-Type"] = nil, nil
			fmt.Fprint(w, "<html>")
		case "/trailers":
			w.Header().Set("Trailer", "Checksum")
			fmt.Fprint(w, "body")
			w.Header().Set("Checksum", "1")
		case "/large":
			for range 100 {
				w.Write([]byte(strings.Repeat("x\x00", 20_000)))
			}
		case "/twice":
			w.Header()["Warning"] = []string{"299 - a", "299 - b"}
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(http.StatusTooManyRequests)
			w.Write([]byte{0x1f, 0x8b, 1})
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/moved":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}
	})
	stand := gatewayOf(t, upstream.URL, "")
	paths := []string{"/bare", "/large", "/twice", "/none", "/moved", "/trailers"}
	for client, paths := range map[*http.Client][]string{
		stand.Client():          paths,
		oldClient(stand.Server): paths[:5], // HTTP/1.1 has no trailers after a known length
	} {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for _, path := range paths {
			for _, method := range []string{"GET", "HEAD"} {
				own := upstream.Client()
				own.CheckRedirect = client.CheckRedirect
				direct, expected := send(t, own, method, upstream.URL+path, "", nil)
				through, body := send(t, client, method, stand.URL+path, "", nil)
				equal(t, path+" body", body, expected)
				equal(t, path+" status", through.Status, direct.Status)
				if path != "/none" { // HTTP/2 ends a 204 in its headers or, by chance, after them: 0 or -1
					equal(t, method+path+through.Proto+" length", through.ContentLength, direct.ContentLength)
				}
				delete(direct.Header, "Date")
				delete(through.Header, "Date")
				if !maps.EqualFunc(through.Header, direct.Header, slicesEqual) {
					t.Errorf("%s %s: headers %v, want %v", method, path, through.Header, direct.Header)
				}
				if !maps.EqualFunc(through.Trailer, direct.Trailer, slicesEqual) {
					t.Errorf("%s %s: trailers %v, want %v", method, path, through.Trailer, direct.Trailer)
				}
			}
		}
	}
}

func slicesEqual(a, b []string) bool { return reflect.DeepEqual(a, b) }

func TestBothSidesSpeakHTTP2AndAClientOfHTTP1IsServedToo(t *testing.T) {
	upstream := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })
	stand := gatewayOf(t, upstream.URL, "")
	answer, there := get(t, stand.Client(), stand.URL)
	equal(t, "to the client", answer.Proto, "HTTP/2.0")
	equal(t, "to the API server", there, "HTTP/2.0")
	answer, there = get(t, oldClient(stand.Server), stand.URL)
	equal(t, "to an old client", answer.Proto, "HTTP/1.1")
	equal(t, "to the API server", there, "HTTP/2.0")
}

func TestAnEventOfAWatchArrivesBeforeTheNextOneIsSent(t *testing.T) {
	received := make(chan struct{})
	upstream := upstreamOf(t, func(w http.ResponseWriter, _ *http.Request) {
		for number := range 50 {
			fmt.Fprintf(w, "%d\n", number)
			http.NewResponseController(w).Flush()
			<-received
		}
	})
	stand := gatewayOf(t, upstream.URL, "")
	for _, client := range []*http.Client{stand.Client(), oldClient(stand.Server)} {
		answer, err := client.Get(stand.URL + "/api/v1/secrets?watch=true")
		must(t, err)
		lines := bufio.NewScanner(answer.Body)
		for number := range 50 {
			if !lines.Scan() {
				t.Fatal(lines.Err())
			}
			equal(t, "event", lines.Text(), fmt.Sprint(number))
			received <- struct{}{}
		}
		answer.Body.Close()
	}
}

func TestAConnectionThatLeavesHTTPIsJoined(t *testing.T) {
	upstream := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		connection, stream, err := http.NewResponseController(w).Hijack()
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		defer connection.Close()
		fmt.Fprintf(stream, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n",
			r.Header.Get("Upgrade"))
		stream.Flush()
		line, _ := stream.ReadString('\n')
		fmt.Fprintf(stream, "said %s", line)
		stream.Flush()
	})
	stand := gatewayOf(t, upstream.URL, "")
	pool := x509.NewCertPool()
	pool.AddCert(stand.Certificate())
	connection, err := tls.Dial("tcp", stand.Listener.Addr().String(), &tls.Config{RootCAs: pool})
	must(t, err)
	defer connection.Close()
	fmt.Fprint(connection, "POST /exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
	stream := bufio.NewReader(connection)
	answer, err := http.ReadResponse(stream, nil)
	must(t, err)
	equal(t, "status", answer.StatusCode, http.StatusSwitchingProtocols)
	equal(t, "protocol", answer.Header.Get("Upgrade"), "SPDY/3.1")
	fmt.Fprint(connection, "hello\n")
	line, err := stream.ReadString('\n')
	must(t, err)
	equal(t, "echo", line, "said hello\n")
}

func TestEachConnectionOfAClientHasItsOwn(t *testing.T) {
	var mutex sync.Mutex
	open := map[string]bool{}
	upstream := upstreamOf(t, func(_ http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		open[r.RemoteAddr] = true
	})
	upstream.Config.ConnState = func(connection net.Conn, state http.ConnState) {
		mutex.Lock()
		defer mutex.Unlock()
		if state == http.StateClosed {
			delete(open, connection.RemoteAddr().String())
		}
	}
	stand := gatewayOf(t, upstream.URL, "")
	count := func() int {
		mutex.Lock()
		defer mutex.Unlock()
		return len(open)
	}
	var clients []*http.Client
	for range 5 {
		client := *stand.Client()
		client.Transport = stand.Client().Transport.(*http.Transport).Clone()
		clients = append(clients, &client)
		for range 3 {
			get(t, &client, stand.URL)
		}
		equal(t, "connections to the API server", count(), len(clients))
	}
	for _, client := range clients {
		client.CloseIdleConnections()
	}
	until(t, "its connections are closed with the clients'", func() bool { return count() == 0 })
}

func TestAnAPIServerBelowAPathIsReachedThere(t *testing.T) {
	upstream := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RequestURI) })
	stand := gatewayOf(t, upstream.URL+"/projects/p1/control-plane", "")
	_, uri := get(t, stand.Client(), stand.URL+"/api/v1/a%2Fb?x=%zz")
	equal(t, "seen", uri, "/projects/p1/control-plane/api/v1/a%2Fb?x=%zz")
	answer, _ := get(t, stand.Client(), stand.URL+prometheusPath+"query?query=up")
	equal(t, "a query", answer.StatusCode, http.StatusBadGateway)
}
