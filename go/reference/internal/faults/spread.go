package faults

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
)

// total spreads a rate over events: 0.1 is one in every ten, exactly.
type total struct{ events atomic.Uint64 }

// step counts one event and returns how many times it is to have an effect.
func (t *total) step(rate float64) int {
	n := float64(t.events.Add(1))
	return int(n*rate) - int((n-1)*rate)
}

// spread picks a share of requests: of 1 % exactly one in every block of a
// hundred. Its place in the block is random, because clients repeat the same
// operations in the same order: every hundredth request could always be a GET.
// The seed is fixed, so each start of the server picks the same requests.
type spread struct {
	share  float64
	seed   uint64
	events atomic.Uint64
}

// pick counts one request and reports whether it is one of the share.
func (s *spread) pick() bool {
	if s.share <= 0 {
		return false
	}
	event := s.events.Add(1) - 1
	block := s.block(event)
	first, next := s.start(block), s.start(block+1)
	place := rand.New(rand.NewPCG(s.seed, block)).Uint64N(next - first)
	return event == first+place
}

// block is the number of the block that an event is in.
func (s *spread) block(event uint64) uint64 { return uint64(float64(event) * s.share) }

// start is the first event of a block.
func (s *spread) start(block uint64) uint64 {
	first := uint64(math.Ceil(float64(block) / s.share))
	// Division and multiplication round apart: block decides.
	for first > 0 && s.block(first-1) >= block {
		first--
	}
	for s.block(first) < block {
		first++
	}
	return first
}
