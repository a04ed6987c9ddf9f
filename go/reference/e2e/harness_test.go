// Package e2e proves what the server does, from outside: the real program with
// a real etcd, over HTTPS.
package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	patience   = 30 * time.Second // far beyond what anything here takes
	adminToken = "admin-token"
	userToken  = "user-token"
	group      = "/apis/resourcemanager.miloapis.com/v1alpha1"
)

// scratch is where the program is built, for all tests.
var scratch string

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "reference"); err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(scratch)
	return m.Run()
}

// tools returns the built program and the etcd to run it with.
func tools(t *testing.T) (program, etcd string) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real servers")
	}
	if etcd = os.Getenv("ETCD_BIN"); etcd == "" {
		t.Fatal("ETCD_BIN must name an etcd binary (or use -short)")
	}
	program, err := build()
	check(t, err)
	return program, etcd
}

// build makes the program, unless REFERENCE_BIN names one that is built already.
var build = sync.OnceValues(func() (string, error) {
	if program := os.Getenv("REFERENCE_BIN"); program != "" {
		return program, nil
	}
	// The sources are no imports of this package. Looking at them here tells
	// go test that its cached result depends on them.
	err := filepath.WalkDir("..", func(string, fs.DirEntry, error) error { return nil })
	if err != nil {
		return "", err
	}
	program := filepath.Join(scratch, "reference")
	if out, err := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", program, "..").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return program, nil
})

// server is one running program with its own etcd.
type server struct {
	t    *testing.T
	url  string
	http *http.Client
	etcd *clientv3.Client
	*process
}

// process is a program that was started, and its output.
type process struct {
	command *exec.Cmd
	log     *bytes.Buffer // To be read once ended is closed.
	ended   chan struct{}
}

// start runs a server with the given faults until the test ends.
func start(t *testing.T, faults ...string) *server {
	t.Helper()
	program, etcd := tools(t)
	dir := t.TempDir()
	clients, peers := "http://"+freeAddress(t), "http://"+freeAddress(t)
	launch(t, dir, etcd, "--data-dir", filepath.Join(dir, "data"), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-client-urls", clients, "--advertise-client-urls", clients, "--listen-peer-urls", peers,
		"--initial-advertise-peer-urls", peers, "--initial-cluster", "default="+peers)
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{clients}, DialTimeout: patience})
	check(t, err)
	t.Cleanup(func() { _ = client.Close() })

	tokens := filepath.Join(dir, "tokens.csv")
	check(t, os.WriteFile(tokens, []byte(adminToken+`,admin,admin,"system:masters"`+"\n"+userToken+`,user,user,"load"`+"\n"), 0o600))
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	args := []string{
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=" + port,
		"--etcd-servers=" + clients, "--token-auth-file=" + tokens,
		"--authorization-mode=RBAC", "--service-account-issuer=https://reference.local",
	}
	for _, fault := range faults {
		args = append(args, "--fault", fault)
	}
	s := &server{t: t, url: "https://" + address, etcd: client, process: launch(t, dir, program, args...)}
	s.http = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 64,
	}}
	t.Cleanup(s.http.CloseIdleConnections)
	s.answers()
	return s
}

// answers waits until the server is ready.
func (s *server) answers() {
	s.t.Helper()
	s.eventually("readyz", func() bool {
		answer, err := s.http.Get(s.url + "/readyz")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

// restart kills the server and starts it again on the same etcd.
func (s *server) restart() {
	s.t.Helper()
	_ = s.command.Process.Signal(syscall.SIGKILL)
	<-s.ended
	s.http.CloseIdleConnections()
	s.process = launch(s.t, s.command.Dir, s.command.Path, s.command.Args[1:]...)
	s.answers()
}

func launch(t *testing.T, dir, name string, args ...string) *process {
	t.Helper()
	p := &process{exec.Command(name, args...), &bytes.Buffer{}, make(chan struct{})}
	p.command.Dir, p.command.Stdout, p.command.Stderr = dir, p.log, p.log
	check(t, p.command.Start())
	go func() {
		defer close(p.ended)
		_ = p.command.Wait()
	}()
	t.Cleanup(func() {
		_ = p.command.Process.Signal(syscall.SIGKILL)
		<-p.ended
		if t.Failed() {
			lines := strings.Split(p.log.String(), "\n")
			t.Logf("end of the log of %s:\n%s", filepath.Base(name), strings.Join(lines[max(0, len(lines)-20):], "\n"))
		}
	})
	return p
}

// lastPort is below those that the kernel gives to connections, one of which
// could take a port before the server listens on it.
var lastPort atomic.Int32

func init() { lastPort.Store(20000 + rand.Int32N(5000)) }

func freeAddress(t *testing.T) string {
	t.Helper()
	for {
		address := fmt.Sprintf("127.0.0.1:%d", lastPort.Add(1))
		listener, err := net.Listen("tcp", address)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		check(t, err)
		check(t, listener.Close())
		return address
	}
}

// answer is what came back.
type answer struct {
	code int
	text string
	took time.Duration
}

// do sends one request. A 429 is the way a fresh watch cache asks to try
// again, so it is tried again.
func (s *server) do(method, path string, body any) answer {
	return s.as(adminToken, method, path, body)
}

func (s *server) as(token, method, path string, body any) answer {
	s.t.Helper()
	for {
		a := s.once(token, method, path, body)
		if a.code != http.StatusTooManyRequests {
			return a
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *server) once(token, method, path string, body any) answer {
	s.t.Helper()
	text, err := json.Marshal(body)
	check(s.t, err)
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(text))
	check(s.t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	began := time.Now()
	response, err := s.http.Do(request)
	check(s.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	check(s.t, err)
	return answer{response.StatusCode, string(content), time.Since(began)}
}

// want sends a request that must be answered with the given code.
func (s *server) want(code int, method, path string, body any) answer {
	s.t.Helper()
	a := s.do(method, path, body)
	if a.code != code {
		s.t.Fatalf("%s %s: got %d, want %d: %s", method, path, a.code, code, a.text)
	}
	return a
}

// object is the body of a Secret, ConfigMap or Namespace.
func object(kind, name string) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name}}
}

func at(project, path string) string { return "/projects/" + project + "/control-plane/api/v1/" + path }

// project makes a Project and waits until it is Ready.
func (s *server) project(name string) (ready time.Duration) {
	s.t.Helper()
	began := time.Now()
	s.begin(name)
	s.eventually("Ready of "+name, func() bool { return s.ready(name) })
	return time.Since(began)
}

// begin makes a Project.
func (s *server) begin(name string) {
	s.t.Helper()
	s.want(201, "POST", group+"/projects", map[string]any{
		"apiVersion": "resourcemanager.miloapis.com/v1alpha1", "kind": "Project",
		"metadata": map[string]any{"name": name},
		"spec":     map[string]any{"ownerRef": map[string]any{"kind": "Organization", "name": "o"}},
	})
}

func (s *server) ready(name string) bool {
	s.t.Helper()
	return strings.Contains(s.want(200, "GET", group+"/projects/"+name, nil).text, `"status":"True","type":"Ready"`)
}

// remove deletes a Project and waits until it is gone.
func (s *server) remove(name string) (gone time.Duration) {
	s.t.Helper()
	began := time.Now()
	s.want(200, "DELETE", group+"/projects/"+name, nil)
	s.eventually("end of "+name, func() bool { return s.do("GET", group+"/projects/"+name, nil).code == 404 })
	return time.Since(began)
}

// keys returns all keys below a prefix.
func (s *server) keys(prefix string) []string {
	s.t.Helper()
	found, err := s.etcd.Get(s.t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	check(s.t, err)
	keys := []string{}
	for _, kv := range found.Kvs {
		keys = append(keys, string(kv.Key))
	}
	return keys
}

// metric reads one metric without labels.
func (s *server) metric(name string) float64 {
	s.t.Helper()
	text := s.want(200, "GET", "/metrics", nil).text
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(text)
	if found == nil {
		s.t.Fatalf("no metric %s", name)
	}
	value, err := strconv.ParseFloat(found[1], 64)
	check(s.t, err)
	return value
}

func (s *server) eventually(what string, done func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
