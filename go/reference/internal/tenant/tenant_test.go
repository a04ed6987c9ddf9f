package tenant

import (
	"context"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
)

func TestParsePath(t *testing.T) {
	type result struct {
		project, rest string
		inside, valid bool
	}
	for path, want := range map[string]result{
		"/api/v1/secrets": {valid: true},
		"/apis/resourcemanager.miloapis.com/v1alpha1/projects/p":                   {valid: true},
		"/apis/resourcemanager.miloapis.com/v1alpha1/projects/p/status":            {valid: true},
		"/projects/p/control-plane/api/v1/secrets":                                 {"p", "/api/v1/secrets", true, true},
		"/projects/p/control-plane/":                                               {"p", "/", true, true},
		"/projects/p/control-plane":                                                {"p", "/", true, true},
		"/apis/resourcemanager.miloapis.com/v1alpha1/projects/p/control-plane/api": {"p", "/api", true, true},
		"/projects/p/control-planes/api":                                           {valid: true},
		"/projects/P/control-plane/api":                                            {"P", "", true, false},
		"/projects/../control-plane/api":                                           {"..", "", true, false},
		"/projects/a%2Fb/control-plane/api":                                        {"a%2Fb", "", true, false},
		"/projects/p/control-plane/api/../x":                                       {"p", "/api/../x", true, false},
		"/projects/p/control-plane/api/v1/secrets%2F..":                            {"p", "/api/v1/secrets%2F..", true, false},
		"/projects/p/control-plane//api":                                           {"p", "//api", true, false},
	} {
		project, rest, inside, valid := ParsePath(path)
		if got := (result{project, rest, inside, valid}); got != want {
			t.Errorf("%s: got %+v, want %+v", path, got, want)
		}
	}
}

func TestTerminateWaitsForWrites(t *testing.T) {
	p := newProject("p", "uid")
	if !p.BeginWrite(false) {
		t.Fatal("a live Project refuses writes")
	}
	drained := p.Terminate()
	if p.BeginWrite(false) {
		t.Error("a Project that is being deleted accepts writes")
	}
	select {
	case <-drained:
		t.Error("drained while a write is under way")
	case <-time.After(10 * time.Millisecond):
	}
	p.EndWrite()
	<-drained
	<-p.Terminate()
	p.Close()
	p.Close()
}

func TestOnlyCreationsAreRefusedWhileFinalizersAreAwaited(t *testing.T) {
	p := newProject("p", "uid")
	if p.MayHaveFinalizers() {
		t.Error("a new Project has no objects")
	}
	p.ExpectFinalizers()
	<-p.Terminate()
	if p.BeginWrite(false) {
		t.Error("a Project that is being deleted accepts a change before its writes have ended")
	}
	p.AllowFinalizing()
	if p.BeginWrite(true) {
		t.Error("a Project that is being deleted accepts a creation")
	}
	if !p.BeginWrite(false) {
		t.Fatal("a Project that waits for finalizers refuses to have them removed")
	}
	p.EndWrite()
	<-p.Terminate()
	if !p.MayHaveFinalizers() || !p.Finalizing() {
		t.Error("the Project does not wait for finalizers")
	}
}

func TestDecideOnce(t *testing.T) {
	p := newProject("p", "uid")
	for _, now := range []bool{false, true, true} {
		if p.Creation.Decide(func() bool { return now }) {
			t.Error("a later decision counted")
		}
	}
	if !p.Creation.Decided() || p.Deletion.Decided() {
		t.Error("a decision about one stage is one about another")
	}
}

func TestADelayBeginsOnce(t *testing.T) {
	p := newProject("p", "uid")
	first := p.Deletion.Left(time.Hour)
	time.Sleep(time.Millisecond)
	if again := p.Deletion.Left(time.Hour); again >= first || again < first-time.Minute {
		t.Errorf("left of a delay of 1h: %v, and later %v", first, again)
	}
	if left := p.Creation.Left(0); left != 0 {
		t.Errorf("left of no delay: %v", left)
	}
}

func TestRegistryKeepsApartByUID(t *testing.T) {
	r := NewRegistry()
	first := r.Ensure("p", "1")
	if r.Ensure("p", "1") != first || r.Get("p") != first {
		t.Error("the same Project twice")
	}
	second := r.Ensure("p", "2")
	r.Remove("p", "1")
	if r.Get("p") != second || r.Known("p", "1") != nil {
		t.Error("the end of an earlier Project removed a later one of the same name")
	}
	r.Remove("p", "2")
	if r.Get("p") != nil {
		t.Error("a removed Project is still there")
	}
}

// TestFindAfterTheInformer is about a live read that found a Project of which
// the informer has already seen the end: the answer is that it is gone.
func TestFindAfterTheInformer(t *testing.T) {
	reads := 0
	r := NewRegistry()
	r.Live = func(context.Context, string) (types.UID, error) {
		if reads++; reads == 1 {
			return "1", nil
		}
		return "", Gone("p")
	}
	if _, err := r.Find(context.Background(), "p"); !apierrors.IsNotFound(err) {
		t.Errorf("got %v, want not found", err)
	}
}

// TestFindBeforeTheInformer is about a Project that is used as soon as it was made.
func TestFindBeforeTheInformer(t *testing.T) {
	r := NewRegistry()
	r.Live = func(context.Context, string) (types.UID, error) {
		time.AfterFunc(10*time.Millisecond, func() { r.Ensure("p", "1") })
		return "1", nil
	}
	if project, err := r.Find(context.Background(), "p"); err != nil || project.UID != "1" {
		t.Errorf("got %v, %v", project, err)
	}
}
