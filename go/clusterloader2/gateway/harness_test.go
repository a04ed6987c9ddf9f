package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

const patience = 30 * time.Second // far beyond what anything here takes

// Set for a process of the tests that is to be something else.
const (
	asGateway  = "GATEWAY_TEST_MAIN"
	asUpstream = "GATEWAY_TEST_UPSTREAM" // the address to listen on
)

func TestMain(m *testing.M) {
	if os.Getenv(asGateway) != "" {
		main()
	}
	if address := os.Getenv(asUpstream); address != "" {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			panic(err)
		}
		fmt.Println(listener.Addr())
		panic(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s %s", r.Method, r.URL.Path)
		})))
	}
	os.Exit(m.Run())
}

// child starts this test program as something else and returns its first line.
func child(t *testing.T, variable, value string, arguments ...string) (*exec.Cmd, string) {
	t.Helper()
	command := exec.Command(os.Args[0], arguments...)
	command.Env = append(os.Environ(), variable+"="+value)
	output, err := command.StdoutPipe()
	must(t, err)
	command.Stderr = os.Stderr
	must(t, command.Start())
	t.Cleanup(func() { command.Process.Kill(); command.Wait() })
	if variable == asGateway {
		return command, ""
	}
	line := make([]byte, 64)
	n, err := output.Read(line)
	must(t, err)
	return command, strings.TrimSpace(string(line[:n]))
}

// upstreamOf starts an API server of a test, which speaks HTTP/2 if asked to.
func upstreamOf(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	server.Client().Transport.(*http.Transport).DisableCompression = true
	t.Cleanup(server.Close)
	return server
}

// stand is a gateway of a test.
type standing struct {
	*httptest.Server
	log  *buffer
	pass *pass
}

// gatewayOf starts a gateway before an API server and a Prometheus, or nothing
// in place of it.
func gatewayOf(t *testing.T, upstream, prometheus string) *standing {
	t.Helper()
	log := &buffer{}
	opts := &options{
		upstream:   address(t, upstream),
		prometheus: address(t, prometheus),
		patience:   time.Second,
	}
	server := httptest.NewUnstartedServer(nil)
	opts.authorities = x509.NewCertPool()
	server.Config = newServer(opts, slog.New(slog.NewTextHandler(log, nil)))
	server.Config.TLSConfig = nil
	server.EnableHTTP2 = true
	server.StartTLS()
	server.Client().Transport.(*http.Transport).DisableCompression = true
	opts.authorities.AddCert(server.Certificate()) // httptest has one certificate for all
	t.Cleanup(server.Close)
	return &standing{server, log, server.Config.Handler.(*gateway).pass.(*pass)}
}

func address(t *testing.T, text string) *url.URL {
	t.Helper()
	if text == "" {
		text = "http://127.0.0.1:1"
	}
	found, err := base("test", text)
	must(t, err)
	return found
}

// metrics returns the counts by outcome, as Prometheus would see them.
func (s *standing) metrics(t *testing.T) map[string]string {
	t.Helper()
	_, body := get(t, s.Client(), s.URL+metricsPath)
	found := map[string]string{}
	for _, line := range regexp.MustCompile(`outcome="(\w+)"} (\d+)`).FindAllStringSubmatch(body, -1) {
		found[line[1]] = line[2]
	}
	return found
}

// oldClient returns a client that speaks HTTP/1.1 only.
func oldClient(s *httptest.Server) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:    &tls.Config{RootCAs: pool},
		TLSNextProto:       map[string]func(string, *tls.Conn) http.RoundTripper{},
		DisableCompression: true,
	}}
}

func get(t *testing.T, client *http.Client, url string) (*http.Response, string) {
	t.Helper()
	return send(t, client, http.MethodGet, url, "", nil)
}

func send(
	t *testing.T, client *http.Client, method, url, body string, header http.Header,
) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	must(t, err)
	for name, values := range header {
		request.Header[name] = values
	}
	answer, err := client.Do(request)
	must(t, err)
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	must(t, err)
	return answer, string(content)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func contains(t *testing.T, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Fatalf("%q is not in %q", part, text)
	}
}

// until waits for something to become true.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %s: %s", patience, what)
		}
	}
}

// buffer is one that may be written and read at once.
type buffer struct {
	mutex sync.Mutex
	bytes bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.bytes.Write(p)
}

func (b *buffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.bytes.String()
}
