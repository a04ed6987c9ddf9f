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
	stopping = 10 * time.Second // that a program has to end by itself
	patience = 20 * time.Second // until what it needs beside it listens
)

// kept is a file that waits to be taken.
type kept struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// outcome says how the program ended, and what it left.
type outcome struct {
	Exit     int     `json:"exit"`
	Began    float64 `json:"began"` // in seconds of Unix time
	Ended    float64 `json:"ended"`
	CPUShare float64 `json:"cpu_share"` // of the processors that it may use, while it ran
	Files    []kept  `json:"files"`
	Error    string  `json:"error,omitempty"` // why the files cannot be told
}

// child is the program; the outcome is there once `ended` is closed.
type child struct {
	begin   chan struct{} // lets one begin that was not started at once
	ended   chan struct{}
	outcome outcome
}

// start starts k6, paused, without setup, because whoever asks says when each of these happens;
// another program starts when it is told to, after those that it needs beside it.
func start(ctx context.Context, given settings, share []string) (*child, error) {
	started := &child{begin: make(chan struct{}, 1), ended: make(chan struct{})}
	if given.rest == "" {
		go func() {
			defer close(started.ended)
			select {
			case <-started.begin:
			case <-ctx.Done():
				return
			}
			stop, err := helped(ctx, given)
			defer stop()
			if err != nil {
				started.outcome = outcome{Exit: exitFailed, Error: err.Error()}
				return
			}
			started.outcome = ran(ctx, given, given.args, nil)
		}()
		return started, nil
	}
	flags := []string{"run", "--paused", "--no-setup", "--no-teardown", "--address=" + given.rest}
	failed := make(chan error, 1)
	go func() {
		defer close(started.ended)
		started.outcome = ran(ctx, given, slices.Concat(flags, share, given.args), failed)
	}()
	return started, <-failed
}

// ran runs the program to its end; whether it started is said, where somebody wants to know.
func ran(ctx context.Context, given settings, args []string, said chan<- error) outcome {
	output, err := os.Create(filepath.Join(given.folder, given.log))
	command := exec.CommandContext(ctx, given.program, args...)
	if err == nil {
		command.Cancel = func() error { return command.Process.Signal(syscall.SIGINT) }
		command.WaitDelay = stopping
		command.Stdout = io.MultiWriter(output, os.Stdout)
		command.Stderr = command.Stdout
		err = command.Start()
	}
	if said != nil {
		said <- err
	}
	if err != nil {
		return outcome{Exit: exitFailed, Error: err.Error()}
	}
	began := time.Now()
	if err := command.Wait(); err != nil {
		slog.Info("the program did not end well", "error", err)
	}
	_ = output.Close()
	found := ended(command.ProcessState, began, given.folder)
	slog.Info("the program ended", "exit", found.Exit, "files", len(found.Files))
	return found
}

// helped starts what the program needs beside it, one after the other, and
// returns what stops them, once the last one listens.
func helped(ctx context.Context, given settings) (func(), error) {
	var started []*exec.Cmd
	stop := func() {
		for _, one := range started {
			_ = one.Process.Kill()
		}
	}
	for _, one := range given.helpers {
		command := exec.CommandContext(ctx, one.command[0], one.command[1:]...)
		command.Stdout, command.Stderr = os.Stdout, os.Stderr
		if err := command.Start(); err != nil {
			return stop, err
		}
		started = append(started, command)
		if err := listens(command, one.At); err != nil {
			return stop, err
		}
	}
	return stop, nil
}

// listens returns once a program can be reached.
func listens(command *exec.Cmd, at string) error {
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	for end := time.Now().Add(patience); time.Now().Before(end); {
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
	return fmt.Errorf("nothing listens at %s after %v", at, patience)
}

func ended(state *os.ProcessState, began time.Time, folder string) outcome {
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

// digests returns the files of a folder, by name.
func digests(folder string) ([]kept, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	files := []kept{}
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
		files = append(files, kept{entry.Name(), size, hex.EncodeToString(hash.Sum(nil))})
	}
	return files, nil
}
