//go:build !linux

package faults

import "time"

var epoch = time.Now()

// threadTime is wall time where no per-thread clock is at hand.
func threadTime() time.Duration { return time.Since(epoch) }
