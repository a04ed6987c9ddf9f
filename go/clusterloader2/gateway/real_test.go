package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// The real servers of this test: an API server, a gateway before it, and what
// a client of them needs.
var (
	serverURL   = os.Getenv("GATEWAY_TEST_SERVER")
	gatewayURL  = os.Getenv("GATEWAY_TEST_GATEWAY")
	serverCA    = os.Getenv("GATEWAY_TEST_SERVER_CA")
	gatewayCA   = os.Getenv("GATEWAY_TEST_GATEWAY_CA")
	serverToken = os.Getenv("GATEWAY_TEST_TOKEN")
)

const (
	requests = 10_000
	watches  = 200
	objects  = 40
	secrets  = "/api/v1/namespaces/default/secrets"
)

// accepted are the formats in which an object is asked for.
var accepted = []string{
	"application/json",
	"application/vnd.kubernetes.protobuf",
	"application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
}

func TestTenThousandRequestsAndTwoHundredWatchesOfARealServerAreNeitherLostNorChanged(t *testing.T) {
	if gatewayURL == "" {
		t.Skip("no real servers: tests/integration/test_gateway.py starts them")
	}
	direct, through := realClient(t, serverCA), realClient(t, gatewayCA)
	for number := range objects {
		tell(t, through, "POST", gatewayURL+secrets, secret("read", number))
		tell(t, through, "POST", gatewayURL+secrets, secret("watched", number))
	}
	version := regexp.MustCompile(`"resourceVersion":"(\d+)"`).FindStringSubmatch(
		asked(t, direct, fmt.Sprintf("%s%s/watched-%d", serverURL, secrets, objects-1), ""))[1]

	type question struct{ path, accept string }
	expected := map[question]string{}
	var questions []question
	for number := range objects {
		for _, accept := range accepted {
			questions = append(questions, question{fmt.Sprintf("%s/read-%d", secrets, number), accept})
		}
	}
	questions = append(questions,
		question{"/version", ""}, question{"/api", "*/*"}, question{secrets + "/nothing", ""},
		question{secrets + "?limit=30&resourceVersionMatch=Exact&resourceVersion=" + version, accepted[1]},
		question{"/nowhere", ""})
	for _, one := range questions {
		expected[one] = asked(t, direct, serverURL+one.path, one.accept)
	}

	streams := make([]*bufio.Reader, 0, watches+1)
	path := secrets + "?watch=true&labelSelector=gateway=watched"
	streams = append(streams, watch(t, direct, serverURL+path))
	clients := []*http.Client{through, realClient(t, gatewayCA), realClient(t, gatewayCA)}
	for number := range watches {
		streams = append(streams, watch(t, clients[number%len(clients)], gatewayURL+path))
	}

	var group sync.WaitGroup
	for worker := range 20 {
		group.Add(1)
		go func() {
			defer group.Done()
			for number := worker; number < requests; number += 20 {
				one := questions[number%len(questions)]
				if got := asked(t, through, gatewayURL+one.path, one.accept); got != expected[one] {
					t.Errorf("%v: got %.3000q, want %.3000q", one, got, expected[one])
					return
				}
			}
		}()
	}
	for number := range objects {
		labelled := `{"metadata":{"labels":{"gateway":"watched"}}}`
		tell(t, through, "PATCH", fmt.Sprintf("%s%s/watched-%d", gatewayURL, secrets, number), labelled)
	}
	lines := make([][]string, len(streams))
	for number, stream := range streams {
		group.Add(1)
		go func() {
			defer group.Done()
			for range objects {
				line, err := stream.ReadString('\n')
				if err != nil {
					t.Error(err)
					return
				}
				lines[number] = append(lines[number], line)
			}
		}()
	}
	group.Wait()
	first := strings.Join(lines[0], "")
	contains(t, first, fmt.Sprintf("watched-%d", objects-1))
	for number, of := range lines {
		if strings.Join(of, "") != first {
			t.Errorf("watch %d saw something else", number)
		}
	}
}

func secret(name string, number int) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"%s-%d"},"data":{"x":"%s"}}`,
		name, number, strings.Repeat("eHh4", 1+50*number))
}

// realClient returns a client with a connection of its own.
func realClient(t *testing.T, ca string) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(ca)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true, DisableCompression: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func request(t *testing.T, client *http.Client, method, url, body, accept string) *http.Response {
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	must(t, err)
	request.Header.Set("Authorization", "Bearer "+serverToken)
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/merge-patch+json")
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Error(err)
		return &http.Response{Body: http.NoBody}
	}
	return answer
}

// asked returns all of an answer that does not differ from one request to the next.
func asked(t *testing.T, client *http.Client, url, accept string) string {
	answer := request(t, client, http.MethodGet, url, "", accept)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Error(err)
	}
	for _, name := range []string{"Date", "Audit-Id"} {
		if answer.Header.Get(name) == "" {
			t.Errorf("%s: no %s", url, name)
		}
		answer.Header.Del(name)
	}
	return fmt.Sprint(answer.Proto, answer.Status, answer.ContentLength, answer.Header, answer.Trailer, string(body))
}

func tell(t *testing.T, client *http.Client, method, url, body string) {
	t.Helper()
	answer := request(t, client, method, url, body, "")
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		t.Fatal(method, url, answer.Status)
	}
}

func watch(t *testing.T, client *http.Client, url string) *bufio.Reader {
	t.Helper()
	answer := request(t, client, http.MethodGet, url, "", "")
	equal(t, "status of a watch", answer.StatusCode, http.StatusOK)
	t.Cleanup(func() { answer.Body.Close() })
	return bufio.NewReader(answer.Body)
}
