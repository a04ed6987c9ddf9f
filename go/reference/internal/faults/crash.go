package faults

import (
	"context"
	"fmt"
	"time"
)

// Crash ends the process, as a bug in one of its goroutines would: with a
// panic, its message and its stack on stderr, and exit code 2. It is called
// when the server has become ready, and returns if the server stops before.
func Crash(ctx context.Context, s *Set) {
	after := s.duration(CrashAfter)
	if after == 0 {
		return
	}
	select {
	case <-time.After(after):
		panic(fmt.Sprintf("fault %s: the server crashes, as it was told to, %v after it became ready", CrashAfter, after))
	case <-ctx.Done():
	}
}
