package faults

import (
	"crypto/sha256"
	"runtime"
	"time"
)

// burn does real work until this thread has spent d of CPU time. Wall time
// would burn less on a busy machine, just when the fault should be seen.
func burn(d time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var block [512]byte
	for start := threadTime(); threadTime()-start < d; {
		sum := sha256.Sum256(block[:])
		copy(block[:], sum[:])
	}
}
