// Gateway is a proxy between ClusterLoader2 and one API server. ClusterLoader2 can
// only use a Prometheus inside the cluster under test. The gateway sends queries
// to an external Prometheus, and confirms the installation without doing it. It
// passes all other requests to the API server unchanged.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const (
	exitFailed = 1
	exitUsage  = 2
	// grace is how long requests have to end after SIGTERM; watches do not.
	grace = time.Second
)

// options are the validated flags.
type options struct {
	upstream    *url.URL
	authorities *x509.CertPool // nil for those of the system
	prometheus  *url.URL
	patience    time.Duration // for an answer of Prometheus
	certificate tls.Certificate
	port        int
	addressFile string
}

func main() {
	if os.Getenv("GOMAXPROCS") == "" {
		// One core passes thousands of requests a second, and what more of them
		// spend on waking each other would be missing from the server.
		runtime.GOMAXPROCS(1)
	}
	os.Exit(run(os.Args[1:], os.Stderr))
}

func run(arguments []string, stderr io.Writer) int {
	opts, err := parse(arguments, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "gateway: %v\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, opts, slog.New(slog.NewTextHandler(stderr, nil))); err != nil {
		fmt.Fprintf(stderr, "gateway: %v\n", err)
		return exitFailed
	}
	return 0
}

func parse(arguments []string, stderr io.Writer) (*options, error) {
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	flags.SetOutput(stderr)
	upstream := flags.String("upstream", "", "base `URL` of the API server; it may have a path")
	authorities := flags.String("upstream-ca", "", "PEM `file` of the authority of the API server")
	prometheus := flags.String("prometheus", "", "base `URL` of the Prometheus that answers queries")
	patience := flags.Duration("prometheus-timeout", 30*time.Second, "longest wait for Prometheus")
	certificate := flags.String("cert", "", "PEM `file` with the certificate to show to clients")
	key := flags.String("key", "", "PEM `file` with the key of that certificate")
	port := flags.Int("port", 0, "port of 127.0.0.1 to listen on; 0 for one that is free")
	addressFile := flags.String("address-file", "", "`file` that gets the address once it listens")
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	found := &options{patience: *patience, port: *port, addressFile: *addressFile}
	var err error
	if found.upstream, err = base("upstream", *upstream); err != nil {
		return nil, err
	}
	if found.prometheus, err = base("prometheus", *prometheus); err != nil {
		return nil, err
	}
	if found.certificate, err = tls.LoadX509KeyPair(*certificate, *key); err != nil {
		return nil, fmt.Errorf("--cert and --key: %w", err)
	}
	if *authorities != "" {
		pem, err := os.ReadFile(*authorities)
		if err != nil {
			return nil, fmt.Errorf("--upstream-ca: %w", err)
		}
		found.authorities = x509.NewCertPool()
		if !found.authorities.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--upstream-ca: no certificate in %s", *authorities)
		}
	}
	return found, nil
}

// base returns a validated base URL.
func base(name, text string) (*url.URL, error) {
	found, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", name, err)
	}
	if (found.Scheme != "http" && found.Scheme != "https") || found.Host == "" || found.RawQuery != "" {
		return nil, fmt.Errorf("--%s: %q is not the base URL of a server", name, text)
	}
	return found, nil
}

// serve handles requests until the context ends.
func serve(ctx context.Context, opts *options, log *slog.Logger) error {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", opts.port))
	if err != nil {
		return err
	}
	server := newServer(opts, log)
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTLS(listener, "", "") }()
	log.Info("listening", "address", listener.Addr(), "upstream", opts.upstream.Redacted())
	if err := announce(opts.addressFile, listener.Addr().String()); err != nil {
		return errors.Join(err, server.Close())
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if server.Shutdown(patience) != nil {
		return server.Close()
	}
	return nil
}

// newServer returns a server that does not listen yet.
func newServer(opts *options, log *slog.Logger) *http.Server {
	pass := newPass(opts, log)
	handler := &gateway{
		pass:       pass,
		prometheus: newPrometheus(opts.prometheus, opts.patience, log),
		counts:     &pass.counts,
		log:        log,
	}
	return &http.Server{
		Handler: handler,
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{opts.certificate},
			MinVersion:   tls.VersionTLS12,
		},
		ReadHeaderTimeout: time.Minute,
		ConnContext:       pass.opened,
		ConnState:         pass.changed,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// announce writes the address to a file atomically.
func announce(path, address string) error {
	if path == "" {
		return nil
	}
	partial := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".partial")
	if err := os.WriteFile(partial, []byte(address+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(partial, path)
}
