package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
)

// Names of the objects that ClusterLoader2 installs.
const (
	monitoring     = "/api/v1/namespaces/monitoring"
	services       = monitoring + "/services/"
	prometheusPath = services + "http:prometheus-k8s:9090/proxy/api/v1/"
	account        = "/api/v1/namespaces/default/serviceaccounts/monitoringserviceaccount"
	token          = monitoring + "/secrets/prometheus-token"
	storageClass   = "/apis/storage.k8s.io/v1/storageclasses/ssd"
)

// gateway routes a request: to the API server, to Prometheus, or to its own answers.
type gateway struct {
	pass       http.Handler
	prometheus *prometheus
	counts     *counts
	log        *slog.Logger
}

// ServeHTTP handles one request.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := withinControlPlane(r.URL.Path)
	switch {
	case path == metricsPath && r.Method == http.MethodGet:
		g.counts.ServeHTTP(w, r)
	case isQuery(path, r.Method):
		g.counts.answer(g.prometheus.ask(w, r, strings.TrimPrefix(path, prometheusPath)))
	case isRefused(path, r.Method):
		g.refuse(w, r)
	case isAnswered(path, r):
		g.counts.answered.Add(1)
		install(w, path, r.Method)
	default:
		g.pass.ServeHTTP(w, r)
	}
}

// refuse rejects requests that would get a false answer in the name of Prometheus,
// and deletions of objects that were never installed.
func (g *gateway) refuse(w http.ResponseWriter, r *http.Request) {
	g.counts.refused.Add(1)
	g.log.Warn("refused", "method", r.Method, "path", r.URL.Path)
	say(w, http.StatusNotFound, "NotFound", fmt.Sprintf(
		"it does not know %s %s: of the namespace `monitoring` it has only queries and targets of Prometheus",
		r.Method, r.URL.Path,
	))
}

// controlPlanes are the collections whose objects have a control plane of their own.
var controlPlanes = []string{
	"/projects/",
	"/apis/resourcemanager.miloapis.com/v1alpha1/projects/",
	"/apis/resourcemanager.miloapis.com/v1alpha1/organizations/",
}

// withinControlPlane returns the path below the control plane of a Project or an
// Organization, or the path itself.
func withinControlPlane(path string) string {
	for _, collection := range controlPlanes {
		if rest, ok := strings.CutPrefix(path, collection); ok {
			if name, inside, ok := strings.Cut(rest, "/control-plane/"); ok && !strings.Contains(name, "/") {
				return "/" + inside
			}
		}
	}
	return path
}

func isQuery(path, method string) bool {
	if method != http.MethodGet || !strings.HasPrefix(path, prometheusPath) {
		return false
	}
	switch strings.TrimPrefix(path, prometheusPath) {
	case "query", "query_range", "targets":
		return true
	}
	return false
}

func isRefused(path, method string) bool {
	if path == monitoring {
		return method == http.MethodDelete
	}
	_, way, found := strings.Cut(strings.TrimPrefix(path, services), "/")
	return found && strings.HasPrefix(path, services) && (way == "proxy" || strings.HasPrefix(way, "proxy/"))
}

// isAnswered returns true for a request of the installation. If the path is also
// that of objects of a test, the name of the object decides.
func isAnswered(path string, r *http.Request) bool {
	switch r.Method {
	case http.MethodGet:
		return path == account || path == token
	case http.MethodPut:
		return path == token
	case http.MethodDelete:
		return path == storageClass
	case http.MethodPost:
		if path == account+"/token" || isWithin(path, "monitoring") {
			return true
		}
		isOurs, known := created[path]
		return known && isOurs(name(r))
	}
	return false
}

// isWithin returns true for the path of a collection in a namespace.
func isWithin(path, namespace string) bool {
	_, inside, found := strings.Cut(path, "/namespaces/"+namespace+"/")
	root := strings.HasPrefix(path, "/api/v1/") || strings.HasPrefix(path, "/apis/")
	return found && root && !strings.Contains(inside, "/")
}

// created are the collections outside of the namespace `monitoring` in which
// ClusterLoader2 creates objects, each with a function that recognises its objects.
var created = map[string]func(name string) bool{
	"/api/v1/namespaces":                                      is("monitoring"),
	"/api/v1/namespaces/kube-system/services":                 is("kube-proxy"),
	"/apis/apiextensions.k8s.io/v1/customresourcedefinitions": ends(".monitoring.coreos.com"),
	"/apis/rbac.authorization.k8s.io/v1/clusterroles":         is("prometheus-k8s", "prometheus-operator"),
	"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings":  is("prometheus-k8s", "prometheus-operator"),
	"/apis/storage.k8s.io/v1/storageclasses":                  is("ssd"),
}

func is(names ...string) func(string) bool {
	return func(found string) bool {
		for _, name := range names {
			if found == name {
				return true
			}
		}
		return false
	}
}

func ends(suffix string) func(string) bool {
	return func(found string) bool { return strings.HasSuffix(found, suffix) }
}

// install answers like a cluster in which everything is installed already.
func install(w http.ResponseWriter, path, method string) {
	switch {
	case path == account+"/token":
		write(w, http.StatusCreated, `{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1",`+
			`"metadata":{"name":"monitoringserviceaccount","namespace":"default"},`+
			`"spec":{"audiences":[]},"status":{"token":"none","expirationTimestamp":null}}`)
	case path == account:
		write(w, http.StatusOK, `{"kind":"ServiceAccount","apiVersion":"v1",`+
			`"metadata":{"name":"monitoringserviceaccount","namespace":"default"}}`)
	case path == token:
		write(w, http.StatusOK, `{"kind":"Secret","apiVersion":"v1",`+
			`"metadata":{"name":"prometheus-token","namespace":"monitoring"},"type":"Opaque"}`)
	case method == http.MethodDelete:
		say(w, http.StatusNotFound, "NotFound", "there is nothing to delete at "+path)
	default:
		say(w, http.StatusConflict, "AlreadyExists", "it answers for the Prometheus that this belongs to")
	}
}

// largest is the largest body that is inspected; an API server takes no larger
// one. Larger bodies are passed on.
const largest = 4 << 20

// name returns the name of the object in a request's body, or "". It does not
// consume the body.
func name(r *http.Request) string {
	var body bytes.Buffer
	_, err := io.Copy(&body, io.LimitReader(r.Body, largest))
	left := io.MultiReader(bytes.NewReader(body.Bytes()), r.Body)
	if err != nil {
		left = io.MultiReader(bytes.NewReader(body.Bytes()), broken{err})
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{left, r.Body}
	if wrapped, ok := bytes.CutPrefix(body.Bytes(), []byte("k8s\x00")); ok {
		// runtime.Unknown has the object in field 2, and each object its metadata
		// in field 1, which has the name in field 1.
		return string(field(field(field(wrapped, 2), 1), 1))
	}
	var object struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if json.Unmarshal(body.Bytes(), &object) != nil {
		return ""
	}
	return object.Metadata.Name
}

// broken is a reader that always fails.
type broken struct{ err error }

// Read implements io.Reader.
func (b broken) Read([]byte) (int, error) { return 0, b.err }

// field returns the first length-delimited field with this number in a protobuf
// message, or nothing.
func field(message []byte, number uint64) []byte {
	for len(message) > 0 {
		tag, size := binary.Uvarint(message)
		if size <= 0 {
			return nil
		}
		message = message[size:]
		length, size := binary.Uvarint(message)
		if size <= 0 {
			return nil
		}
		switch tag & 7 {
		case 0: // a number: what was read as the length is its value
			message = message[size:]
			continue
		case 2: // bytes
			message = message[size:]
		default: // none of these is before a name
			return nil
		}
		if length > uint64(len(message)) {
			return nil
		}
		if tag>>3 == number {
			return message[:length]
		}
		message = message[length:]
	}
	return nil
}
