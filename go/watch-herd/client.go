package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	milo          = "/apis/resourcemanager.miloapis.com/v1alpha1"
	organizations = milo + "/organizations"
	projects      = milo + "/projects"
	maxBody       = 64 << 20
	maxRetries    = 60
)

// resources are the kinds of objects that are written and watched.
var resources = [...]struct{ plural, kind string }{{"secrets", "Secret"}, {"configmaps", "ConfigMap"}}

// client sends requests to the API server of one arm.
type client struct {
	arm   armConfig
	token string
	admin string // token of an administrator, who may read metrics and profiles
	http  *http.Client
	// exhausted is told that this machine allows no more connections: no build is to blame.
	exhausted func(error)
}

// statusError is an answer with a status that is no success.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.code, e.text) }

func newClient(arm armConfig, exhausted func(error)) (*client, error) {
	authority, err := os.ReadFile(arm.CAFile)
	if err != nil {
		return nil, err
	}
	tokens := map[string]string{arm.TokenFile: "", arm.AdminTokenFile: ""}
	for path := range tokens {
		token, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		tokens[path] = strings.TrimSpace(string(token))
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s: no certificate in it", arm.CAFile)
	}
	// One connection carries as many streams as the server allows; then another one is opened.
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 256,
	}
	return &client{arm, tokens[arm.TokenFile], tokens[arm.AdminTokenFile], &http.Client{Transport: transport}, exhausted}, nil
}

// open sends a request and returns the answer if its status is a success.
func (c *client) open(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		content, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(content)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.arm.URL+path, reader)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return c.do(request)
}

// do sends a request and returns the answer if its status is a success.
func (c *client) do(request *http.Request) (*http.Response, error) {
	answer, err := c.http.Do(request)
	for _, limit := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, limit) {
			c.exhausted(fmt.Errorf("this machine allows no more connections: %w", limit))
		}
	}
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 500))
		answer.Body.Close()
		return answer, &statusError{answer.StatusCode, string(text)}
	}
	return answer, nil
}

// call sends a request and decodes the answer into `into`, unless that is nil.
func (c *client) call(ctx context.Context, method, path string, body, into any) error {
	answer, err := c.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	limited := io.LimitReader(answer.Body, maxBody)
	if into != nil {
		return json.NewDecoder(limited).Decode(into)
	}
	_, err = io.Copy(io.Discard, limited)
	return err
}

// callPatiently is call, and tries again while the server says that it is not ready for the request. An
// earlier try may have created the object although it was answered with an error.
func (c *client) callPatiently(ctx context.Context, method, path string, body, into any) error {
	for try := 0; ; try++ {
		err := c.call(ctx, method, path, body, into)
		if status, ok := err.(*statusError); ok && try > 0 && method == "POST" && status.code == http.StatusConflict {
			return nil
		}
		if err == nil || try == maxRetries || !isLater(err) {
			return err
		}
		if !sleep(ctx, 500*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// isLater tells whether a request may succeed later: 429, or a server error of a storage that starts.
func isLater(err error) bool {
	status, ok := err.(*statusError)
	return ok && (status.code == http.StatusTooManyRequests || status.code >= 500)
}

// sleep waits, and returns false if the context ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// metadata is what we read of an object's metadata.
type metadata struct {
	Name            string            `json:"name"`
	ResourceVersion string            `json:"resourceVersion,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
	Annotations     map[string]string `json:"annotations,omitempty"`
}

// object is a Secret or a ConfigMap.
type object struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   metadata          `json:"metadata"`
	Data       map[string]string `json:"data,omitempty"`
}

func objectsPath(project string, resource int) string {
	return "/projects/" + project + "/control-plane/api/v1/namespaces/default/" + resources[resource].plural
}

func version(text string) uint64 {
	number, _ := strconv.ParseUint(text, 10, 64)
	return number
}

// touch lists both kinds once, so that the server has made its storage and its watch cache of them.
func (c *client) touch(ctx context.Context, project string) error {
	for resource := range resources {
		if err := c.callPatiently(ctx, "GET", objectsPath(project, resource)+"?resourceVersion=0", nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// prepare creates the Projects of a part, and returns once all are Ready. All parts have one Organization.
func (c *client) prepare(ctx context.Context, run string, names []string, mine part) error {
	owner := map[string]any{
		"apiVersion": "resourcemanager.miloapis.com/v1alpha1",
		"kind":       "Organization",
		"metadata":   map[string]any{"name": run},
		"spec":       map[string]any{"type": "Standard"},
	}
	err := c.callPatiently(ctx, "POST", organizations, owner, nil)
	if status, ok := err.(*statusError); ok && mine.of > 1 && status.code == http.StatusConflict {
		err = nil // of another part
	}
	if err != nil {
		return fmt.Errorf("the Organization %s cannot be created: %w", run, err)
	}
	path := projects
	if c.arm.OrganizationPath {
		path = organizations + "/" + run + "/control-plane" + projects
	}
	for i, name := range names {
		if !mine.has(i) {
			continue
		}
		body := map[string]any{
			"apiVersion": "resourcemanager.miloapis.com/v1alpha1",
			"kind":       "Project",
			"metadata":   map[string]any{"name": name},
			"spec":       map[string]any{"ownerRef": map[string]any{"kind": "Organization", "name": run}},
		}
		if err := c.callPatiently(ctx, "POST", path, body, nil); err != nil {
			return fmt.Errorf("the Project %s cannot be created: %w", name, err)
		}
	}
	for i, name := range names {
		if !mine.has(i) {
			continue
		}
		if err := c.waitUntilReady(ctx, name); err != nil {
			return fmt.Errorf("the Project %s is not Ready: %w", name, err)
		}
	}
	return nil
}

func (c *client) waitUntilReady(ctx context.Context, name string) error {
	for {
		var shown struct {
			Status struct {
				Conditions []struct{ Type, Status string }
			}
		}
		err := c.callPatiently(ctx, "GET", projects+"/"+name, nil, &shown)
		if err != nil {
			return err
		}
		for _, condition := range shown.Status.Conditions {
			if condition.Type == "Ready" && condition.Status == "True" {
				return nil
			}
		}
		if !sleep(ctx, 200*time.Millisecond) {
			return ctx.Err()
		}
	}
}
