package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"
)

const (
	stopTimeout  = 10 * time.Second // from the interrupt of a program to its end
	readyTimeout = 20 * time.Second // from the start of a sidecar until it listens
)

// resultFile is a file that waits to be downloaded.
type resultFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// outcome is how the program ended, and the files that it left.
type outcome struct {
	Exit     int          `json:"exit"`
	Began    float64      `json:"began"` // in seconds of Unix time
	Ended    float64      `json:"ended"`
	CPUShare float64      `json:"cpu_share"` // CPU time used, as a share of what was available
	Files    []resultFile `json:"files"`
	Error    string       `json:"error,omitempty"` // why the program or its files are missing
}

// child is the program. Its outcome is set once `ended` is closed.
type child struct {
	begin    chan struct{} // starts a program other than k6
	ended    chan struct{}
	outcome  outcome
	barriers barriers
}

// start starts k6, paused and without its setup: the client requests both over HTTP.
// Another program starts when the client says so, after its sidecars.
func start(ctx context.Context, config settings, share []string) (*child, error) {
	started := &child{begin: make(chan struct{}, 1), ended: make(chan struct{})}
	if config.rest == "" {
		go func() {
			defer close(started.ended)
			select {
			case <-started.begin:
			case <-ctx.Done():
				return
			}
			stop, err := startSidecars(ctx, config)
			defer stop()
			if err != nil {
				started.outcome = outcome{Exit: exitFailed, Error: err.Error()}
				return
			}
			started.outcome = started.run(ctx, config, config.args, nil)
		}()
		return started, nil
	}
	flags := []string{"run", "--paused", "--no-setup", "--no-teardown", "--address=" + config.rest}
	failed := make(chan error, 1)
	go func() {
		defer close(started.ended)
		started.outcome = started.run(ctx, config, slices.Concat(flags, share, config.args), failed)
	}()
	return started, <-failed
}

// run runs the program to its end. It sends whether it started, unless the channel is nil.
func (c *child) run(ctx context.Context, config settings, args []string, started chan<- error) outcome {
	output, err := os.Create(filepath.Join(config.folder, config.log))
	command := exec.CommandContext(ctx, config.program, args...)
	connected := func() {}
	if err == nil && config.barriers {
		connected, err = c.barriers.connect(command)
	}
	if err == nil {
		command.Cancel = func() error { return command.Process.Signal(syscall.SIGINT) }
		command.WaitDelay = stopTimeout
		command.Stdout = io.MultiWriter(output, os.Stdout)
		command.Stderr = command.Stdout
		err = command.Start()
		connected()
	}
	if started != nil {
		started <- err
	}
	if err != nil {
		return outcome{Exit: exitFailed, Error: err.Error()}
	}
	began := time.Now()
	if err := command.Wait(); err != nil {
		slog.Info("the program failed", "error", err)
	}
	_ = output.Close()
	found := newOutcome(command.ProcessState, began, config.folder)
	slog.Info("the program ended", "exit", found.Exit, "files", len(found.Files))
	return found
}

// startSidecars starts the sidecars in order, each once the one before listens,
// and returns a function that stops them.
func startSidecars(ctx context.Context, config settings) (func(), error) {
	var started []*exec.Cmd
	stop := func() {
		for _, one := range started {
			_ = one.Process.Kill()
		}
	}
	for _, one := range config.sidecars {
		command := exec.CommandContext(ctx, one.command[0], one.command[1:]...)
		command.Stdout, command.Stderr = os.Stdout, os.Stderr
		if err := command.Start(); err != nil {
			return stop, err
		}
		started = append(started, command)
		if err := waitListening(command, one.At); err != nil {
			return stop, err
		}
	}
	return stop, nil
}

// waitListening returns once a program accepts connections.
func waitListening(command *exec.Cmd, at string) error {
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	for end := time.Now().Add(readyTimeout); time.Now().Before(end); {
		connection, err := net.DialTimeout("tcp", at, time.Second)
		if err == nil {
			return connection.Close()
		}
		select {
		case err := <-ended:
			return fmt.Errorf("%s ended before the load: %w", command.Path, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("nothing listens at %s after %v", at, readyTimeout)
}

func newOutcome(state *os.ProcessState, began time.Time, folder string) outcome {
	lasted := time.Since(began)
	used := state.UserTime() + state.SystemTime()
	might := lasted * time.Duration(runtime.GOMAXPROCS(0))
	found := outcome{
		Exit:     state.ExitCode(),
		Began:    float64(began.UnixMicro()) / 1e6,
		Ended:    float64(began.Add(lasted).UnixMicro()) / 1e6,
		CPUShare: float64(used) / float64(max(1, might)),
	}
	files, err := digests(folder)
	if err != nil {
		found.Error = err.Error()
	}
	found.Files = files
	return found
}

// digests returns the regular files of a folder, with size and checksum.
func digests(folder string) ([]resultFile, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	files := []resultFile{}
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		file, err := os.Open(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		hash := sha256.New()
		size, err := io.Copy(hash, file)
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, err
		}
		files = append(files, resultFile{entry.Name(), size, hex.EncodeToString(hash.Sum(nil))})
	}
	return files, nil
}
