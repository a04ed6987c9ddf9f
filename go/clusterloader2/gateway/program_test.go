package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program is the gateway as a process.
type program struct {
	*exec.Cmd
	url string
}

// started starts the program before an API server and returns a client of it.
func started(t *testing.T, upstream *httptest.Server) (*program, *http.Client) {
	t.Helper()
	folder := t.TempDir()
	certificate, key := pair(t, folder, upstream.TLS.Certificates[0])
	where := filepath.Join(folder, "address")
	command, _ := child(t, asGateway, "1",
		"--upstream="+upstream.URL, "--upstream-ca="+certificate, "--prometheus=http://127.0.0.1:1",
		"--cert="+certificate, "--key="+key, "--address-file="+where)
	var address []byte
	until(t, "the address is written", func() bool {
		var err error
		address, err = os.ReadFile(where)
		return err == nil
	})
	pool := x509.NewCertPool()
	pool.AddCert(upstream.Certificate())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	return &program{command, "https://" + strings.TrimSpace(string(address))}, &http.Client{Transport: transport}
}

// pair writes a certificate and its key to files.
func pair(t *testing.T, folder string, from tls.Certificate) (certificate, key string) {
	t.Helper()
	private, err := x509.MarshalPKCS8PrivateKey(from.PrivateKey)
	must(t, err)
	certificate, key = filepath.Join(folder, "server.crt"), filepath.Join(folder, "server.key")
	for path, block := range map[string]*pem.Block{
		certificate: {Type: "CERTIFICATE", Bytes: from.Certificate[0]},
		key:         {Type: "PRIVATE KEY", Bytes: private},
	} {
		must(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	}
	return certificate, key
}

func TestWrongFlagsAreNamed(t *testing.T) {
	upstream := upstreamOf(t, func(http.ResponseWriter, *http.Request) {})
	certificate, key := pair(t, t.TempDir(), upstream.TLS.Certificates[0])
	fine := []string{"--upstream=https://x", "--prometheus=http://x", "--cert=" + certificate, "--key=" + key}
	for says, arguments := range map[string][]string{
		`--upstream: "" is not the base URL`:       fine[1:],
		`--upstream: "x:1" is not the base URL`:    {"--upstream=x:1"},
		`--prometheus: "" is not the base URL`:     {fine[0]},
		"--cert and --key: ":                       fine[:2],
		"--upstream-ca: no certificate in " + key:  append(fine[:4:4], "--upstream-ca="+key),
		"--upstream-ca: open /none: no such file":  append(fine[:4:4], "--upstream-ca=/none"),
		`unexpected argument "more"`:               append(fine[:4:4], "more"),
		"flag provided but not defined: -upstreem": {"--upstreem=x"},
	} {
		var said bytes.Buffer
		equal(t, says, run(arguments, &said), exitUsage)
		contains(t, said.String(), says)
	}
}
