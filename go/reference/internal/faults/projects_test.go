package faults

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestNeverReadyIsAnExactShare(t *testing.T) {
	for size, want := range map[string]int{"0%": 0, "10%": 20, "12.5%": 25, "100%": 200} {
		p := NewProjects(with(t, "never-ready="+size))
		never := 0
		for n := range 200 {
			if !p.Created(FirstProject) {
				t.Fatalf("%s: the first Project would never be Ready", size)
			}
			if !p.Created(fmt.Sprint("p", n)) {
				never++
			}
		}
		if never != want {
			t.Errorf("%s: %d of 200 Projects would never be Ready, want %d", size, never, want)
		}
	}
}

func TestATenthOfALeakIsOneInTenProjects(t *testing.T) {
	p := NewProjects(with(t, "leak-project-goroutines=0.1", "leak-files=0.1"))
	t.Cleanup(func() {
		for _, file := range p.files {
			_ = file.Close()
		}
	})
	before := runtime.NumGoroutine()
	for n := range 50 {
		p.Created(fmt.Sprint("p", n))
		p.AfterReady()
	}
	if leaked := runtime.NumGoroutine() - before; leaked < 4 || leaked > 6 {
		t.Errorf("leaked %d goroutines, want 5", leaked)
	}
	if len(p.files) != 5 {
		t.Errorf("%d files are open, want 5", len(p.files))
	}
}

func TestGoroutinesOfProjects(t *testing.T) {
	p := NewProjects(with(t, "leak-project-goroutines=7"))
	before := runtime.NumGoroutine()
	p.Created("p")
	for range 10 {
		p.AfterReady()
	}
	if leaked := runtime.NumGoroutine() - before; leaked < 69 || leaked > 71 {
		t.Errorf("leaked %d, want 70", leaked)
	}
}

func TestFilesOfProjects(t *testing.T) {
	p := NewProjects(with(t, "leak-files=3", "never-ready=100%"))
	t.Cleanup(func() {
		for _, file := range p.files {
			_ = file.Close()
		}
	})
	for n := range 10 {
		p.Created(fmt.Sprint("p", n))
	}
	runtime.GC() // Would close files to which nothing refers, in a while.
	time.Sleep(10 * time.Millisecond)
	open := map[uintptr]bool{}
	for _, file := range p.files {
		open[file.Fd()] = true
		if _, err := file.Stat(); err != nil || file.Name() != os.DevNull {
			t.Errorf("%s: %v", file.Name(), err)
		}
	}
	if len(open) != 30 {
		t.Errorf("%d files are open, want 30", len(open))
	}
}

func TestProjectsWaitForEachOther(t *testing.T) {
	const projects, size = 5, 20 * time.Millisecond
	atOnce := func(p *Projects) time.Duration {
		began := time.Now()
		var group sync.WaitGroup
		for range projects {
			group.Add(1)
			go func() {
				defer group.Done()
				p.BeforeReady(context.Background())
			}()
		}
		group.Wait()
		return time.Since(began)
	}
	if took := atOnce(NewProjects(with(t, "project-lock=20ms"))); took < projects*size {
		t.Errorf("with the lock: %v, want at least %v", took, projects*size)
	}
	if took := atOnce(NewProjects(with(t, "slow-ready=1h"))); took > 10*time.Second {
		t.Errorf("without the lock: %v", took)
	}
}

func TestPurgesHoldTheLockOfReady(t *testing.T) {
	p := NewProjects(with(t, "deletion-lock=50ms"))
	began := time.Now()
	var group sync.WaitGroup
	for range 3 {
		group.Add(1)
		go func() {
			defer group.Done()
			p.BeforePurge(context.Background())
		}()
	}
	group.Wait()
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("three purges took %v, want at least 150ms", took)
	}
	p.lock <- struct{}{}
	time.AfterFunc(50*time.Millisecond, func() { <-p.lock })
	began = time.Now()
	p.BeforeReady(context.Background())
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("Ready during a purge: %v, want at least 50ms", took)
	}
	NewProjects(&Set{}).BeforePurge(context.Background())
}

func TestSkippedFinalizersAreAnExactShare(t *testing.T) {
	for size, want := range map[string]int{"0%": 0, "50%": 100, "100%": 200} {
		p := NewProjects(with(t, "skip-finalizers="+size))
		skipped := 0
		for range 200 {
			if !p.AwaitsFinalizers() {
				skipped++
			}
		}
		if skipped != want {
			t.Errorf("%s: finalizers of %d of 200 Projects were skipped, want %d", size, skipped, want)
		}
	}
}

func TestProjectsResumeOneAfterTheOther(t *testing.T) {
	p := NewProjects(with(t, "slow-resume=200ms"))
	for n := range 3 {
		if got, want := p.ResumeDelay(), time.Duration(n+1)*200*time.Millisecond; got != want {
			t.Errorf("Project %d: %v, want %v", n, got, want)
		}
	}
	if got := NewProjects(&Set{}).ResumeDelay(); got != 0 {
		t.Errorf("without the fault: %v", got)
	}
}

func TestNobodyWaitsForTheLockAtTheEnd(t *testing.T) {
	p := NewProjects(with(t, "project-lock=1h"))
	p.lock <- struct{}{}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p.BeforeReady(ctx)
	<-p.lock
	p.BeforeReady(ctx)
	p.BeforeReady(ctx) // The lock was given back.
}

func TestDelaysOfProjects(t *testing.T) {
	for size, want := range map[string][3]time.Duration{
		"slow-gc=120s":  {2 * time.Minute, 0, 0},
		"slow-ready=1h": {0, time.Hour, 0}, // The first Project is spared.
		"stuck-gc=50%":  {0, 0, 0},
	} {
		p := NewProjects(with(t, size))
		if got := [3]time.Duration{p.PurgeDelay(), p.ReadyDelay("p"), p.ReadyDelay(FirstProject)}; got != want {
			t.Errorf("%s: delays of purge, Ready and Ready of the first Project: %v, want %v", size, got, want)
		}
	}
}

func TestStuckInDeletionIsAnExactShare(t *testing.T) {
	for size, want := range map[string]int{"0%": 0, "50%": 100, "12.5%": 25, "100%": 200} {
		p := NewProjects(with(t, "stuck-gc="+size))
		stuck := 0
		for range 200 {
			if !p.Deleted() {
				stuck++
			}
		}
		if stuck != want {
			t.Errorf("%s: %d of 200 Projects would stay in deletion, want %d", size, stuck, want)
		}
	}
}
