// Balancer spreads TCP connections over the replicas of one component. Each new
// connection goes to the next replica; if that one refuses, to the one after it.
// It is for machines without a Kubernetes Service. Bytes pass unchanged, so TLS
// ends at the replica.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	exitFailed  = 1
	exitUsage   = 2
	dialTimeout = 10 * time.Second
)

// options are the validated flags.
type options struct {
	backends    []string
	addressFile string
}

func main() {
	if os.Getenv("GOMAXPROCS") == "" {
		// The kernel moves the bytes (splice), and one core starts thousands of
		// connections a second.
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
		fmt.Fprintf(stderr, "balancer: %v\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		err = announce(opts.addressFile, listener.Addr().String())
	}
	if err == nil {
		balance := &balancer{backends: opts.backends, log: slog.New(slog.NewTextHandler(stderr, nil))}
		err = balance.serve(ctx, listener)
	}
	if err != nil {
		fmt.Fprintf(stderr, "balancer: %v\n", err)
		return exitFailed
	}
	return 0
}

func parse(arguments []string, stderr io.Writer) (*options, error) {
	flags := flag.NewFlagSet("balancer", flag.ContinueOnError)
	flags.SetOutput(stderr)
	backends := flags.String("backends", "", "`addresses` of the replicas, HOST:PORT with commas between them")
	addressFile := flags.String("address-file", "", "`file` that gets the address once it listens")
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	found := &options{backends: strings.Split(*backends, ","), addressFile: *addressFile}
	for _, one := range found.backends {
		if _, _, err := net.SplitHostPort(one); err != nil {
			return nil, fmt.Errorf("--backends: %q is not HOST:PORT", one)
		}
	}
	return found, nil
}

// balancer accepts connections and connects each to a replica.
type balancer struct {
	backends []string
	next     atomic.Uint64
	log      *slog.Logger
}

// serve handles connections until the context ends.
func (b *balancer) serve(ctx context.Context, listener net.Listener) error {
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	for {
		client, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go b.connect(client.(*net.TCPConn))
	}
}

// connect joins a client's connection with a new one to a replica.
func (b *balancer) connect(client *net.TCPConn) {
	defer client.Close()
	replica, err := b.dial()
	if err != nil {
		b.log.Warn("no replica takes a connection", "error", err)
		return
	}
	defer replica.Close()
	answered := make(chan struct{})
	go func() {
		move(client, replica)
		close(answered)
	}()
	move(replica, client)
	<-answered
}

// dial connects to the next replica, or to the first after it that answers.
func (b *balancer) dial() (*net.TCPConn, error) {
	first := b.next.Add(1) - 1
	var failures []error
	for i := range uint64(len(b.backends)) {
		backend := b.backends[(first+i)%uint64(len(b.backends))]
		connection, err := net.DialTimeout("tcp", backend, dialTimeout)
		if err == nil {
			return connection.(*net.TCPConn), nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

// move copies one direction of a connection to its end. An end passes on as an end;
// an error ends both directions.
func move(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	to.CloseWrite()
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
