package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// replica answers each connection with its name and what the client sent until its end.
func replica(t *testing.T, name string) (address string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				sent, _ := io.ReadAll(connection)
				fmt.Fprintf(connection, "%s:%d", name, len(sent))
			}()
		}
	}()
	return listener.Addr().String(), func() { listener.Close() }
}

// balanced starts a balancer and returns a function that sends a text and returns the answer.
func balanced(t *testing.T, backends ...string) func(text string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	balance := &balancer{backends: backends, log: slog.New(slog.DiscardHandler)}
	go func() { ended <- balance.serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return func(text string) string {
		connection, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		connection.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(connection, text); err != nil {
			t.Fatal(err)
		}
		connection.(*net.TCPConn).CloseWrite()
		answer, err := io.ReadAll(connection)
		if err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}
}

func TestConnectionsAlternateBetweenTheReplicas(t *testing.T) {
	first, _ := replica(t, "a")
	second, _ := replica(t, "b")
	ask := balanced(t, first, second)
	var got []string
	for range 4 {
		got = append(got, ask("x"))
	}
	if fmt.Sprint(got) != "[a:1 b:1 a:1 b:1]" {
		t.Error(got)
	}
}

func TestAReplicaThatRefusesIsPassedOver(t *testing.T) {
	first, stop := replica(t, "a")
	second, _ := replica(t, "b")
	stop()
	ask := balanced(t, first, second)
	for range 3 {
		if got := ask("x"); got != "b:1" {
			t.Error(got)
		}
	}
}

func TestEveryByteArrivesAndAnEndIsPassedOn(t *testing.T) {
	only, _ := replica(t, "a")
	if got := balanced(t, only)(strings.Repeat("x", 5<<20)); got != "a:5242880" {
		t.Error(got)
	}
}

func TestAClientIsDisconnectedIfNoReplicaAnswers(t *testing.T) {
	only, stop := replica(t, "a")
	stop()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	balance := &balancer{backends: []string{only}, log: slog.New(slog.DiscardHandler)}
	go balance.serve(ctx, listener)
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(10 * time.Second))
	if n, err := connection.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error(n, err)
	}
}

func TestWrongFlagsAreOneLineAndExitWith2(t *testing.T) {
	for _, arguments := range [][]string{{}, {"--backends=nowhere"}, {"--backends=a:1", "more"}} {
		var said strings.Builder
		if code := run(arguments, &said); code != exitUsage {
			t.Error(arguments, code)
		}
		if !strings.HasPrefix(said.String(), "balancer: ") {
			t.Error(said.String())
		}
	}
}

func TestTheAddressFileIsWrittenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "address")
	if err := announce(path, "127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "127.0.0.1:1\n" {
		t.Error(string(text), err)
	}
}
