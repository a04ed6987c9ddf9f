// The load agent runs one load generator in a Pod. It starts the program when the
// client says so, and serves its results until the client has downloaded them.
//
// Its settings are environment variables, because the arguments of a Pod of the
// k6-operator are the operator's. Of those, it uses only the execution segment.
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
	drain      = 2 * time.Second // for a response that is being written
)

// settings are read once, from the environment.
type settings struct {
	program  string        // path of k6, or of another load generator
	args     []string      // arguments of the program; for k6, those after `run`
	sidecars []sidecar     // programs that run beside it, in start order
	log      string        // name of the file for the program's output
	folder   string        // folder whose files are served as results
	token    string        // required by every endpoint except the status
	barriers bool          // the program waits at barriers for those of the other Pods
	pods     int           // number of Pods that share the load
	listen   string        // our address
	rest     string        // address of k6's REST API; empty for other programs
	keep     time.Duration // how long the results wait to be downloaded
}

// sidecar is a program that runs beside the load generator.
type sidecar struct {
	Commands [][]string `json:"commands"` // one for all Pods, or one for each
	At       string     `json:"at"`       // address on which it listens
	command  []string   // command for this Pod
}

func main() { os.Exit(run(os.Args[1:], os.Getenv)) }

func run(args []string, env func(string) string) int {
	config, err := read(env)
	if err != nil {
		fmt.Fprintln(os.Stderr, "load-agent:", err)
		return exitUsage
	}
	var share []string
	if config.rest != "" {
		if share, err = segment(args, env("JOB_COMPLETION_INDEX"), config.pods); err != nil {
			fmt.Fprintln(os.Stderr, "load-agent:", err)
			return exitUsage
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", config.listen)
	if err != nil {
		slog.Error("the load agent cannot listen", "error", err)
		return exitFailed
	}
	child, err := start(ctx, config, share)
	if err != nil {
		slog.Error("the load agent cannot start k6", "error", err)
		return exitFailed
	}
	downloaded := make(chan struct{}, 1)
	server := &http.Server{Handler: handler(config, child, downloaded), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	code := wait(ctx, child, downloaded, config.keep)
	draining, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	_ = server.Shutdown(draining)
	return code
}

// wait returns the exit code of the Pod: 0 once the results were downloaded.
func wait(ctx context.Context, child *child, downloaded <-chan struct{}, keep time.Duration) int {
	select {
	case <-child.ended:
	case <-ctx.Done():
		<-child.ended // the same context has interrupted it
		return exitFailed
	}
	select {
	case <-downloaded:
		return 0
	case <-time.After(keep):
		slog.Error("the results were not downloaded", "after", keep)
	case <-ctx.Done():
	}
	return exitFailed
}

func read(env func(string) string) (settings, error) {
	config := settings{
		program: env("AGENT_PROGRAM"), folder: env("AGENT_FOLDER"),
		listen: env("AGENT_LISTEN"), rest: env("AGENT_REST"), log: env("AGENT_LOG"),
		barriers: env("AGENT_BARRIERS") != "",
	}
	for name, value := range map[string]string{
		"AGENT_PROGRAM": config.program, "AGENT_FOLDER": config.folder,
		"AGENT_LISTEN": config.listen, "AGENT_LOG": config.log,
	} {
		if value == "" {
			return config, fmt.Errorf("%s is not set", name)
		}
	}
	var err error
	if config.args, err = args(env); err != nil {
		return config, err
	}
	if config.sidecars, err = sidecars(env); err != nil {
		return config, err
	}
	if config.pods, err = strconv.Atoi(env("AGENT_PODS")); err != nil || config.pods < 1 {
		return config, errors.New("AGENT_PODS is not a number from 1")
	}
	if config.keep, err = time.ParseDuration(env("AGENT_KEEP")); err != nil {
		return config, fmt.Errorf("AGENT_KEEP: %w", err)
	}
	token, err := os.ReadFile(env("AGENT_TOKEN_FILE"))
	if err != nil {
		return config, fmt.Errorf("AGENT_TOKEN_FILE: %w", err)
	}
	if config.token = strings.TrimSpace(string(token)); config.token == "" {
		return config, errors.New("AGENT_TOKEN_FILE is empty")
	}
	return config, nil
}

func args(env func(string) string) ([]string, error) {
	var each [][]string
	if err := json.Unmarshal([]byte(env("AGENT_ARGS")), &each); err != nil {
		return nil, fmt.Errorf("AGENT_ARGS is not a list of lists of strings: %w", err)
	}
	return ofPod("AGENT_ARGS", each, env)
}

func sidecars(env func(string) string) ([]sidecar, error) {
	var found []sidecar
	text := env("AGENT_SIDECARS")
	if text == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		return nil, fmt.Errorf("AGENT_SIDECARS is not a list of sidecars: %w", err)
	}
	for i := range found {
		command, err := ofPod("AGENT_SIDECARS", found[i].Commands, env)
		if err != nil {
			return nil, err
		}
		if len(command) == 0 {
			return nil, errors.New("AGENT_SIDECARS has an empty command")
		}
		found[i].command = command
	}
	return found, nil
}

// ofPod returns the only list, or the one at the index of this Pod.
func ofPod(variable string, each [][]string, env func(string) string) ([]string, error) {
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
