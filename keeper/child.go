package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"
)

const (
	logName  = "k6.log"
	stopping = 10 * time.Second // that k6 has to end by itself
)

// kept is a file that waits to be taken.
type kept struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// outcome says how k6 ended, and what it left.
type outcome struct {
	Exit     int     `json:"exit"`
	CPUShare float64 `json:"cpu_share"` // of the processors that it may use, while it ran
	Files    []kept  `json:"files"`
	Error    string  `json:"error,omitempty"` // why the files cannot be told
}

// child is k6; the outcome is there once `ended` is closed.
type child struct {
	ended   chan struct{}
	outcome outcome
}

// start starts k6, paused, without setup: whoever asks says when each of these happens.
func start(ctx context.Context, given settings, share []string) (*child, error) {
	output, err := os.Create(filepath.Join(given.folder, logName))
	if err != nil {
		return nil, err
	}
	flags := []string{"run", "--paused", "--no-setup", "--no-teardown", "--address=" + given.rest}
	command := exec.CommandContext(ctx, given.program, slices.Concat(flags, share, given.args)...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGINT) }
	command.WaitDelay = stopping
	command.Stdout = io.MultiWriter(output, os.Stdout)
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		return nil, errors.Join(err, output.Close())
	}
	began := time.Now()
	started := &child{ended: make(chan struct{})}
	go func() {
		defer close(started.ended)
		err := command.Wait()
		var exited *exec.ExitError
		if err != nil && !errors.As(err, &exited) {
			slog.Error("k6 was not waited for", "error", err)
		}
		_ = output.Close()
		started.outcome = ended(command.ProcessState, time.Since(began), given.folder)
		slog.Info("k6 ended", "exit", started.outcome.Exit, "files", len(started.outcome.Files))
	}()
	return started, nil
}

func ended(state *os.ProcessState, lasted time.Duration, folder string) outcome {
	used := state.UserTime() + state.SystemTime()
	might := lasted * time.Duration(runtime.GOMAXPROCS(0))
	found := outcome{Exit: state.ExitCode(), CPUShare: float64(used) / float64(max(1, might))}
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
