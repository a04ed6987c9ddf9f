// Keeper runs one load generator in a Pod: it starts with the others, does its
// share of the load, and keeps what it measured until somebody has taken it.
//
// It is told what to do by its environment, because a Pod of the k6-operator has
// arguments of the operator's own; of those, only the share of the load counts.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	exitFailed = 1
	exitUsage  = 2
	drain      = 2 * time.Second // for an answer that is being written
)

// settings are read once, from the environment.
type settings struct {
	program string        // path of k6, or of another program
	args    []string      // its own; of k6 those after `run`
	helpers []helper      // what another program needs beside it
	log     string        // name of the file that gets what the program says
	folder  string        // all files in it are kept
	token   string        // who asks for anything but the status must know it
	pods    int           // that share the load
	listen  string        // address of ours
	rest    string        // address of k6's REST API; empty for a program that has none
	keep    time.Duration // how long points wait to be taken
}

// helper is a program that another needs beside it.
type helper struct {
	Commands [][]string `json:"commands"` // one for all Pods, or one for each
	At       string     `json:"at"`       // address at which it listens
	command  []string   // of this Pod
}

func main() { os.Exit(run(os.Args[1:], os.Getenv)) }

func run(args []string, env func(string) string) int {
	given, err := read(env)
	if err != nil {
		fmt.Fprintln(os.Stderr, "keeper:", err)
		return exitUsage
	}
	var share []string
	if given.rest != "" {
		if share, err = segment(args, env("JOB_COMPLETION_INDEX"), given.pods); err != nil {
			fmt.Fprintln(os.Stderr, "keeper:", err)
			return exitUsage
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", given.listen)
	if err != nil {
		slog.Error("keeper cannot listen", "error", err)
		return exitFailed
	}
	child, err := start(ctx, given, share)
	if err != nil {
		slog.Error("keeper cannot start k6", "error", err)
		return exitFailed
	}
	taken := make(chan struct{}, 1)
	server := &http.Server{Handler: handler(given, child, taken), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	code := wait(ctx, child, taken, given.keep)
	ending, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	_ = server.Shutdown(ending)
	return code
}

// wait returns the exit code of the Pod: 0 once the points were taken.
func wait(ctx context.Context, child *child, taken <-chan struct{}, keep time.Duration) int {
	select {
	case <-child.ended:
	case <-ctx.Done():
		<-child.ended // it was told to end, by the same context
		return exitFailed
	}
	select {
	case <-taken:
		return 0
	case <-time.After(keep):
		slog.Error("nobody took the points", "after", keep)
	case <-ctx.Done():
	}
	return exitFailed
}

func read(env func(string) string) (settings, error) {
	found := settings{
		program: env("KEEPER_PROGRAM"), folder: env("KEEPER_FOLDER"),
		listen: env("KEEPER_LISTEN"), rest: env("KEEPER_REST"), log: env("KEEPER_LOG"),
	}
	for name, value := range map[string]string{
		"KEEPER_PROGRAM": found.program, "KEEPER_FOLDER": found.folder,
		"KEEPER_LISTEN": found.listen, "KEEPER_LOG": found.log,
	} {
		if value == "" {
			return found, fmt.Errorf("%s is not set", name)
		}
	}
	var err error
	if found.args, err = args(env); err != nil {
		return found, err
	}
	if found.helpers, err = helpers(env); err != nil {
		return found, err
	}
	if found.pods, err = strconv.Atoi(env("KEEPER_PODS")); err != nil || found.pods < 1 {
		return found, errors.New("KEEPER_PODS is no number from 1 up")
	}
	if found.keep, err = time.ParseDuration(env("KEEPER_KEEP")); err != nil {
		return found, fmt.Errorf("KEEPER_KEEP: %w", err)
	}
	token, err := os.ReadFile(env("KEEPER_TOKEN_FILE"))
	if err != nil {
		return found, fmt.Errorf("KEEPER_TOKEN_FILE: %w", err)
	}
	if found.token = strings.TrimSpace(string(token)); found.token == "" {
		return found, errors.New("KEEPER_TOKEN_FILE is empty")
	}
	return found, nil
}

func args(env func(string) string) ([]string, error) {
	var each [][]string
	if err := json.Unmarshal([]byte(env("KEEPER_ARGS")), &each); err != nil {
		return nil, fmt.Errorf("KEEPER_ARGS is no list of lists of strings: %w", err)
	}
	return own("KEEPER_ARGS", each, env)
}

func helpers(env func(string) string) ([]helper, error) {
	var found []helper
	text := env("KEEPER_HELPERS")
	if text == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		return nil, fmt.Errorf("KEEPER_HELPERS is no list of helpers: %w", err)
	}
	for i := range found {
		command, err := own("KEEPER_HELPERS", found[i].Commands, env)
		if err != nil {
			return nil, err
		}
		if len(command) == 0 {
			return nil, errors.New("KEEPER_HELPERS has an empty command")
		}
		found[i].command = command
	}
	return found, nil
}

// own returns the strings of a Pod: those of all, or the ones at its index.
func own(variable string, each [][]string, env func(string) string) ([]string, error) {
	if len(each) == 1 {
		return each[0], nil
	}
	index := env("JOB_COMPLETION_INDEX")
	number, err := strconv.Atoi(index)
	if err != nil || number < 0 || number >= len(each) {
		return nil, fmt.Errorf("%s has %d lists, and JOB_COMPLETION_INDEX is %q", variable, len(each), index)
	}
	return each[number], nil
}
