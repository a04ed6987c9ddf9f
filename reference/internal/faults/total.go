package faults

import "sync/atomic"

// total spreads a rate over events: 0.1 is one in every ten, exactly.
type total struct{ events atomic.Uint64 }

// step counts one event and returns how many times it is to have an effect.
func (t *total) step(rate float64) int {
	n := float64(t.events.Add(1))
	return int(n*rate) - int((n-1)*rate)
}
