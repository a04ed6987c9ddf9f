package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// prefixes of paths: the root, and a Project's control plane.
var prefixes = []string{
	"",
	"/projects/p-1/control-plane",
	"/apis/resourcemanager.miloapis.com/v1alpha1/organizations/o-1/control-plane",
}

// namespaceProto is a Namespace called `monitoring`, as typed clients send it.
const namespaceProto = "k8s\x00\n\x0f\n\x02v1\x12\tNamespace\x12\x1e\n\x18\n\nmonitoring\x12\x00\x1a\x00\"\x00*\x002\x008\x00B\x00\x12\x00\x1a\x00"

func TestTheInstallationIsAnsweredAndReachesNobody(t *testing.T) {
	upstream := upstreamOf(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s reached the API server", r.Method, r.URL.Path)
	})
	stand := gatewayOf(t, upstream.URL, "")
	named := func(name string) string { return fmt.Sprintf(`{"metadata":{"name":%q}}`, name) }
	rbac := "/apis/rbac.authorization.k8s.io/v1/"
	for _, step := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "/api/v1/namespaces", named("monitoring"), 409, "AlreadyExists"},
		{"POST", "/api/v1/namespaces", namespaceProto, 409, "AlreadyExists"},
		{"GET", account, "", 200, `"kind":"ServiceAccount"`},
		{"POST", account + "/token", "{}", 201, `"status":{"token":"none"`},
		{"GET", token, "", 200, `"kind":"Secret"`},
		{"PUT", token, "{}", 200, `"kind":"Secret"`},
		{"DELETE", storageClass, "", 404, "NotFound"},
		{"POST", "/apis/storage.k8s.io/v1/storageclasses", named("ssd"), 409, "AlreadyExists"},
		{"POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
			named("probes.monitoring.coreos.com"), 409, "AlreadyExists"},
		{"POST", rbac + "clusterroles", named("prometheus-k8s"), 409, "AlreadyExists"},
		{"POST", rbac + "clusterrolebindings", named("prometheus-operator"), 409, "AlreadyExists"},
		{"POST", "/apis/apps/v1/namespaces/monitoring/deployments", named("grafana"), 409, "AlreadyExists"},
		{"POST", monitoring + "/services", named("prometheus-k8s"), 409, "AlreadyExists"},
		{"POST", "/apis/monitoring.coreos.com/v1/namespaces/monitoring/servicemonitors",
			named("kubelet"), 409, "AlreadyExists"},
		{"POST", "/api/v1/namespaces/kube-system/services", named("kube-proxy"), 409, "AlreadyExists"},
	} {
		for _, prefix := range prefixes {
			answer, body := send(t, stand.Client(), step.method, stand.URL+prefix+step.path, step.body, nil)
			equal(t, step.method+" "+step.path, answer.StatusCode, step.status)
			equal(t, "type", answer.Header.Get("Content-Type"), "application/json")
			contains(t, body, step.says)
		}
	}
	equal(t, "answered", stand.metrics(t)["answered"], "45")
}

func TestWhatATestCreatesPassesWithItsBody(t *testing.T) {
	upstream := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	stand := gatewayOf(t, upstream.URL, "")
	large := `{"metadata":{"name":"monitoring"},"x":"` + strings.Repeat("x", largest) + `"}`
	other := strings.Replace(namespaceProto, "monitoring", "monitorinG", 1)
	count := 0
	for path := range created {
		bodies := []string{`{"metadata":{"name":"mine"}}`, other, "", "{", "k8s\x00\x12\xff\xff", large}
		for _, body := range bodies {
			for _, prefix := range prefixes {
				_, echo := send(t, stand.Client(), "POST", stand.URL+prefix+path, body, nil)
				if echo != body {
					t.Errorf("%s: %.60q came as %.60q", path, body, echo)
				}
				count++
			}
		}
	}
	equal(t, "passed", stand.metrics(t)["passed"], fmt.Sprint(count))
}

func TestTheNameOfAnObjectIsReadInBothFormats(t *testing.T) {
	for body, want := range map[string]string{
		namespaceProto:                         "monitoring",
		`{"metadata":{"name":"one"}}`:          "one",
		"":                                     "",
		"k8s\x00":                              "",
		"k8s\x00\x12\x04\n\x02\n\x7f":          "",
		"k8s\x00\x08\x05\x12\x05\n\x03\n\x01a": "a",
		"k8s\x00\x0d\x00\x00\x00\x00":          "",
		"k8s\x00\x80":                          "",
	} {
		equal(t, body, name(httptest.NewRequest("POST", "/", strings.NewReader(body))), want)
	}
}

func TestWhatIsNotKnownIsRefusedAndReachesNobody(t *testing.T) {
	nobody := func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s came", r.Method, r.URL.Path) }
	upstream := upstreamOf(t, nobody)
	prometheus := httptest.NewServer(http.HandlerFunc(nobody))
	defer prometheus.Close()
	stand := gatewayOf(t, upstream.URL, prometheus.URL)
	for _, request := range [][2]string{
		{"GET", prometheusPath + "series"},
		{"GET", prometheusPath + "query/"},
		{"GET", prometheusPath},
		{"POST", prometheusPath + "query"},
		{"POST", prometheusPath + "admin/tsdb/snapshot"},
		{"GET", services + "http:prometheus-k8s:9090/proxy"},
		{"GET", services + "http:grafana:3000/proxy/api/health"},
		{"PUT", services + "prometheus-k8s/proxy/api/v1/query"},
		{"DELETE", monitoring},
	} {
		for _, prefix := range prefixes {
			answer, body := send(t, stand.Client(), request[0], stand.URL+prefix+request[1], "", nil)
			equal(t, request[1], answer.StatusCode, http.StatusNotFound)
			contains(t, body, `"kind":"Status"`)
			contains(t, body, "milo-perf gateway: it does not know "+request[0]+" "+prefix+request[1])
			contains(t, stand.log.String(), prefix+request[1])
		}
	}
	equal(t, "refused", stand.metrics(t)["refused"], fmt.Sprint(9*len(prefixes)))
}

func TestPrometheusIsAskedWithoutTheTokenAndItsAnswerIsGivenWhateverItIs(t *testing.T) {
	status := atomic.Int64{}
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(int(status.Load()))
		fmt.Fprintf(w, "[%q, %q]", r.RequestURI, r.Header.Get("Authorization"))
	}))
	defer prometheus.Close()
	upstream := upstreamOf(t, func(http.ResponseWriter, *http.Request) { t.Error("came to the API server") })
	stand := gatewayOf(t, upstream.URL, prometheus.URL+"/below")
	secret := http.Header{"Authorization": {"Bearer secret"}}
	for _, code := range []int{200, 400, 503} {
		status.Store(int64(code))
		for _, asked := range []string{"query?query=up%7B%7D&time=1", "query_range?a=1;b", "targets"} {
			for _, prefix := range prefixes {
				answer, body := send(t, stand.Client(), "GET", stand.URL+prefix+prometheusPath+asked, "", secret)
				equal(t, asked, answer.StatusCode, code)
				equal(t, asked, body, fmt.Sprintf(`["/below/api/v1/%s", ""]`, asked))
			}
		}
	}
	equal(t, "answered", stand.metrics(t)["answered"], fmt.Sprint(9*len(prefixes)))
}

func TestAPrometheusThatSaysNothingIsNamedAndTheRestWorks(t *testing.T) {
	upstream := upstreamOf(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") })
	slow := make(chan struct{})
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("query") {
		case "slow":
			<-slow
		case "half":
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"status":`)
		case "stalled":
			fmt.Fprint(w, `{"status":`)
			http.NewResponseController(w).Flush()
			<-slow
		case "page":
			fmt.Fprint(w, "<html>log in</html>")
		}
	}))
	defer prometheus.Close()
	defer close(slow)
	for asked, expected := range map[string]struct {
		url    string
		status int
		says   string
	}{
		"down":    {"http://127.0.0.1:1", 502, "refused"},
		"slow":    {prometheus.URL, 504, "did not answer within 50ms"},
		"stalled": {prometheus.URL, 504, "did not answer within 50ms"},
		"half":    {prometheus.URL, 502, "unexpected EOF"},
		"empty":   {prometheus.URL, 502, "(200 OK, 0 bytes) is not JSON"},
		"page":    {prometheus.URL, 502, "is not JSON"},
	} {
		stand := gatewayOf(t, upstream.URL, expected.url)
		stand.Config.Handler.(*gateway).prometheus.patience = 50 * time.Millisecond
		answer, body := get(t, stand.Client(), stand.URL+prometheusPath+"query?query="+asked)
		equal(t, asked, answer.StatusCode, expected.status)
		contains(t, body, "milo-perf gateway: Prometheus at ")
		contains(t, body, expected.says)
		_, body = get(t, stand.Client(), stand.URL+"/api")
		equal(t, "the rest", body, "fine")
		equal(t, "unanswered", stand.metrics(t)["unanswered"], "1")
	}
}

func TestAnAnswerAboutTargetsWaitsUntilAllAreUp(t *testing.T) {
	asked := atomic.Int64{}
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		second := "unknown"
		switch asked.Add(1) {
		case 1:
			panic(http.ErrAbortHandler) // it is not there yet
		case 2:
			fmt.Fprint(w, `{"data":{"activeTargets":[]}}`)
			return
		case 4:
			second = "up"
		}
		fmt.Fprintf(w, `{"data":{"activeTargets":[{"health":"up"},{"health":%q}]}}`, second)
	}))
	defer prometheus.Close()
	upstream := upstreamOf(t, func(http.ResponseWriter, *http.Request) { t.Error("came to the API server") })
	stand := gatewayOf(t, upstream.URL, prometheus.URL)
	stand.Config.Handler.(*gateway).prometheus.patience = patience
	answer, body := get(t, stand.Client(), stand.URL+prometheusPath+"targets")
	equal(t, "status", answer.StatusCode, 200)
	equal(t, "body", body, `{"data":{"activeTargets":[{"health":"up"},{"health":"up"}]}}`)
	equal(t, "asked", asked.Load(), 4)

	stand.Config.Handler.(*gateway).prometheus.patience = time.Second
	_, body = get(t, stand.Client(), stand.URL+prometheusPath+"targets")
	contains(t, body, `"unknown"`) // the longest wait is over, and what is true is said
}
