package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// part is the share of a load that one of several processes applies, with the Projects of its own. Each
// process draws the whole plan, so the parts together do what one process alone would.
type part struct{ number, of int } // number is from 0

// whole is the part of a process that is alone.
var whole = part{0, 1}

func parsePart(text string) (part, error) {
	number, of, _ := strings.Cut(text, "/")
	one, err := strconv.Atoi(number)
	count, wrong := strconv.Atoi(of)
	if err != nil || wrong != nil || one < 1 || one > count {
		return whole, fmt.Errorf("%q is not a part such as 1/4", text)
	}
	return part{one - 1, count}, nil
}

// has reports whether a Project belongs to the part.
func (p part) has(project int) bool { return project%p.of == p.number }

// barrier returns once every part has reached it.
type barrier func(context.Context) error

// alone is the barrier of a process that is alone.
func alone(context.Context) error { return nil }

// agentBarrier tells the load agent that the barrier is reached, and waits until the agent releases it; see
// go/load-agent/barriers.go.
func agentBarrier(reached io.Writer, released io.Reader) barrier {
	return func(ctx context.Context) error {
		if _, err := reached.Write([]byte{'\n'}); err != nil {
			return fmt.Errorf("the load agent cannot be told of a barrier: %w", err)
		}
		answer := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(released, make([]byte, 1))
			answer <- err
		}()
		select {
		case err := <-answer:
			if err != nil {
				return errors.New("the load agent has ended")
			}
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// agentFile is the file on which the load agent reads that a barrier is reached.
func agentFile() *os.File { return os.NewFile(3, "barriers") }
