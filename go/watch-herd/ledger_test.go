package main

import (
	"slices"
	"testing"
	"time"
)

func herdOf(l *ledger, names ...string) []*watch {
	var watches []*watch
	for project := range names {
		for resource := range resources {
			watches = append(watches, &watch{
				ledger: l, names: names, project: project, resource: resource, restarts: map[string]int{},
			})
		}
	}
	return watches
}

func shown(kind, name, project, version string, number string) event {
	var one event
	one.Type = kind
	one.Object.Metadata = metadata{
		Name:            name,
		ResourceVersion: version,
		Labels:          map[string]string{labelProject: project},
		Annotations:     map[string]string{annotation: number},
	}
	return one
}

func TestEveryEventIsAccountedFor(t *testing.T) {
	l := newLedger()
	watches := herdOf(l, "a", "b")
	l.accept(0, write{0, 0, 10 * time.Millisecond}, time.Millisecond)
	l.accept(1, write{0, 0, 20 * time.Millisecond}, time.Millisecond)
	l.announce("herd-0", 2)
	l.accept(2, write{0, 0, 30 * time.Millisecond}, time.Millisecond)
	first := watches[0]
	first.record(shown("ADDED", "herd-0", "a", "5", "0"), 14*time.Millisecond)
	first.record(shown("MODIFIED", "herd-0", "a", "6", "1"), 26*time.Millisecond)
	first.record(shown("DELETED", "herd-0", "a", "7", "1"), 38*time.Millisecond)
	found := l.settle(watches)
	if found.Expected != 3 || found.Delivered != 3 || found.Lost != 0 {
		t.Fatalf("expected 3 delivered events: %+v", found)
	}
	if !slices.Equal(found.Lag, []float64{0.004, 0.006, 0.008}) {
		t.Fatalf("wrong lags: %v", found.Lag)
	}
	if found.Duplicated+found.OutOfOrder+found.Foreign != 0 {
		t.Fatalf("nothing else happened: %+v", found)
	}
}

func TestWhatGoesWrongIsCounted(t *testing.T) {
	l := newLedger()
	watches := herdOf(l, "a", "b")
	for number := range int32(3) {
		l.accept(number, write{0, 0, 0}, 0)
	}
	first, other := watches[0], watches[2]
	first.record(shown("ADDED", "herd-1", "a", "9", "1"), 0)
	first.record(shown("ADDED", "herd-0", "a", "8", "0"), 0) // after a later one
	first.record(shown("ADDED", "herd-1", "a", "9", "1"), 0) // twice
	other.record(shown("ADDED", "herd-0", "a", "8", "0"), 0) // in the Project b
	other.record(shown("ADDED", "filled-0", "b", "3", "-1"), 0)
	first.restarts["410"] = 2
	found := l.settle(watches)
	want := account{Expected: 3, Delivered: 2, Lost: 1, Duplicated: 1, OutOfOrder: 1, Foreign: 1}
	if found.Expected != want.Expected || found.Delivered != want.Delivered || found.Lost != want.Lost ||
		found.Duplicated != want.Duplicated || found.OutOfOrder != want.OutOfOrder ||
		found.Foreign != want.Foreign || found.Restarts["410"] != 2 {
		t.Fatalf("found %+v, want %+v", found, want)
	}
}

func TestAnEventOfARefusedWriteIsNoDuplicateAndNotLost(t *testing.T) {
	l := newLedger()
	watches := herdOf(l, "a")
	l.refuse("POST connection") // its answer was lost, and it took effect
	watches[0].record(shown("ADDED", "herd-0", "a", "5", "0"), 0)
	watches[0].record(shown("ADDED", "herd-0", "a", "5", "0"), 0)
	found := l.settle(watches)
	if found.Expected+found.Delivered+found.Lost+found.Duplicated != 0 {
		t.Fatalf("a refused write counts: %+v", found)
	}
}

func TestEventsMayComeWhileTheLedgerSettles(t *testing.T) {
	l := newLedger()
	watches := herdOf(l, "a")
	l.announce("herd-0", 0)
	l.accept(0, write{0, 0, 0}, 0)
	const rounds = 20_000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range rounds {
			watches[0].record(shown("DELETED", "herd-0", "a", "7", "0"), 0)
		}
	}()
	for range rounds / 20 {
		l.delivered(watches[:1])
	}
	<-done
	if found := l.settle(watches[:1]); found.Delivered != 1 || found.Duplicated != rounds-1 {
		t.Fatalf("%+v", found)
	}
}
