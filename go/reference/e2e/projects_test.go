package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// TestProjects runs on one server, because a start costs seconds. Every
// subtest uses Projects of its own.
func TestProjects(t *testing.T) {
	t.Parallel()
	s := start(t)
	for name, test := range map[string]func(*testing.T, *server){
		"isolation": isolation, "watch": watches, "escapes": escapes, "types": onlySomeTypes, "long path": longPath,
		"absent": absent, "lifecycle": lifecycle, "again": again, "writers": writersDuringPurge,
		"namespaces": namespaces, "finalizers": finalizers, "root namespace": rootNamespace, "access": access, "faults": noFaults, "leaks": noLeaks,
	} {
		t.Run(name, func(t *testing.T) { test(t, &server{t, s.url, s.http, s.etcd, s.process}) })
	}
}

func isolation(t *testing.T, s *server) {
	// One name is a prefix of the other, in etcd too.
	s.project("p1")
	s.project("p10")
	s.want(201, "POST", at("p1", "namespaces/default/secrets"), object("Secret", "only-p1"))
	s.want(201, "POST", at("p10", "namespaces/default/secrets"), object("Secret", "only-p10"))
	s.want(404, "GET", at("p10", "namespaces/default/secrets/only-p1"), nil)
	s.want(404, "GET", "/api/v1/namespaces/default/secrets/only-p1", nil)
	for _, path := range []string{"secrets", "namespaces/default/secrets"} {
		for project, other := range map[string]string{"p1": `"only-p10"`, "p10": `"only-p1"`} {
			list := s.want(200, "GET", at(project, path), nil).text
			if strings.Contains(list, other) || !strings.Contains(list, `"only-`+project+`"`) {
				t.Errorf("%s of %s: %s", path, project, list)
			}
		}
	}
	if list := s.want(200, "GET", "/api/v1/secrets", nil).text; strings.Contains(list, "only-p1") {
		t.Errorf("at the root: %s", list)
	}
	want := []string{"/projects/p1/namespaces/default", "/projects/p1/secrets/default/only-p1"}
	if keys := s.keys("/projects/p1/"); !reflect.DeepEqual(keys, want) {
		t.Errorf("keys of p1: %v", keys)
	}
	// The other one is not touched when this one goes.
	s.remove("p1")
	s.want(200, "GET", at("p10", "namespaces/default/secrets/only-p10"), nil)
}

func watches(t *testing.T, s *server) {
	s.project("watched")
	s.project("other")
	s.want(200, "GET", at("watched", "configmaps"), nil)
	request, err := http.NewRequestWithContext(t.Context(), "GET", s.url+at("watched", "configmaps?watch=1&resourceVersion=0"), nil)
	check(t, err)
	request.Header.Set("Authorization", "Bearer "+adminToken)
	response, err := s.http.Do(request)
	check(t, err)
	defer response.Body.Close()
	s.want(201, "POST", at("other", "namespaces/default/configmaps"), object("ConfigMap", "elsewhere"))
	s.want(201, "POST", at("watched", "namespaces/default/configmaps"), object("ConfigMap", "here"))
	events := bufio.NewScanner(response.Body)
	if !events.Scan() || !strings.Contains(events.Text(), `"here"`) {
		t.Fatalf("first event: %s", events.Text())
	}
	// The end of a Project ends its watches.
	s.remove("watched")
	for events.Scan() {
		if strings.Contains(events.Text(), "elsewhere") {
			t.Errorf("event of another Project: %s", events.Text())
		}
	}
}

func escapes(t *testing.T, s *server) {
	s.project("victim")
	s.project("inside")
	s.want(201, "POST", at("victim", "namespaces/default/secrets"), object("Secret", "prize"))
	for _, path := range []string{
		"/projects/inside/control-plane/../../victim/control-plane/api/v1/namespaces/default/secrets/prize",
		"/projects/inside/control-plane/api/v1/../../../victim/control-plane/api/v1/secrets",
		"/projects/inside%2F..%2Fvictim/control-plane/api/v1/secrets",
		"/projects/inside/control-plane/api/v1/namespaces/..%2F..%2Fvictim%2Fsecrets/secrets",
		"/projects/inside/control-plane/api/v1/namespaces/default/secrets/..%2F..%2Fvictim%2Fdefault%2Fprize",
		"/projects/../control-plane/api/v1/secrets",
		"/projects/%2e%2e/control-plane/api/v1/secrets",
		"/projects//control-plane/api/v1/secrets",
		"/projects/inside/control-plane/projects/victim/control-plane/api/v1/secrets",
	} {
		if a := s.do("GET", path, nil); a.code < 300 || strings.Contains(a.text, "prize\"") {
			t.Errorf("%s: %d %s", path, a.code, a.text)
		}
	}
}

func onlySomeTypes(t *testing.T, s *server) {
	s.project("types")
	for _, path := range []string{"pods", "serviceaccounts", "namespaces/default/events"} {
		s.want(404, "GET", at("types", path), nil)
	}
	s.want(404, "GET", "/projects/types/control-plane"+group+"/projects", nil)
	s.want(404, "GET", "/projects/types/control-plane/apis/rbac.authorization.k8s.io/v1/clusterroles", nil)
	if list := s.want(200, "GET", at("types", ""), nil).text; !strings.Contains(list, `"secrets"`) || strings.Contains(list, "serviceaccounts") {
		t.Errorf("discovery: %s", list)
	}
	for _, path := range []string{"/api", "/apis", "/version", "/readyz", "/livez", "/openapi/v2", "/openapi/v3"} {
		s.want(200, "GET", "/projects/types/control-plane"+path, nil)
	}
}

func longPath(t *testing.T, s *server) {
	s.project("long")
	s.want(201, "POST", group+at("long", "namespaces/default/secrets"), object("Secret", "s"))
	s.want(200, "GET", at("long", "namespaces/default/secrets/s"), nil)
}

func absent(t *testing.T, s *server) {
	for _, path := range []string{"secrets", "namespaces/default", "namespaces/default/configmaps/x", ""} {
		s.want(404, "GET", at("absent", path), nil)
	}
	s.want(404, "POST", at("absent", "namespaces"), object("Namespace", "n"))
	if keys := s.keys("/projects/absent/"); len(keys) > 0 {
		t.Errorf("keys: %v", keys)
	}
}

func lifecycle(t *testing.T, s *server) {
	s.project("life")
	text := s.want(200, "GET", group+"/projects/life", nil).text
	if !strings.Contains(text, "resourcemanager.miloapis.com/project-controller") {
		t.Errorf("no finalizer: %s", text)
	}
	s.want(200, "GET", at("life", "namespaces/default"), nil)
	s.want(403, "DELETE", at("life", "namespaces/default"), nil)
	s.want(404, "POST", at("life", "namespaces/none/secrets"), object("Secret", "s"))
	s.want(201, "POST", at("life", "namespaces"), object("Namespace", "more"))
	for i := range 20 {
		s.want(201, "POST", at("life", "namespaces/default/secrets"), object("Secret", fmt.Sprint("s", i)))
		s.want(201, "POST", at("life", "namespaces/more/configmaps"), object("ConfigMap", fmt.Sprint("c", i)))
	}
	s.remove("life")
	s.want(404, "GET", at("life", "secrets"), nil)
	oneKeyLeft(t, s, "life")
	if code := s.do("POST", group+"/projects", map[string]any{
		"apiVersion": "resourcemanager.miloapis.com/v1alpha1", "kind": "Project", "metadata": map[string]any{"name": "no-owner"}, "spec": map[string]any{},
	}).code; code != 422 {
		t.Errorf("a Project without an owner: %d", code)
	}
}

func again(t *testing.T, s *server) {
	for i := range 3 {
		s.project("again")
		s.want(404, "GET", at("again", "namespaces/default/secrets/s"), nil)
		s.want(201, "POST", at("again", "namespaces/default/secrets"), object("Secret", "s"))
		if list := s.want(200, "GET", at("again", "secrets"), nil).text; strings.Count(list, `"name":"s"`) != 1 {
			t.Errorf("round %d: %s", i, list)
		}
		s.remove("again")
		oneKeyLeft(t, s, "again")
	}
}

// writersDuringPurge writes without a pause while the Project goes.
func writersDuringPurge(t *testing.T, s *server) {
	s.project("busy")
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Add(1)
		go func() {
			defer writers.Done()
			for i := 0; ctx.Err() == nil; i++ {
				switch a := s.do("POST", at("busy", "namespaces/default/secrets"), object("Secret", fmt.Sprintf("w%d-%d", w, i))); a.code {
				case 201, 403, 404:
				default:
					t.Errorf("while the Project goes: %d %s", a.code, a.text)
				}
			}
		}()
	}
	s.eventually("first writes", func() bool { return len(s.keys("/projects/busy/")) > 10 })
	s.remove("busy")
	cancel()
	writers.Wait()
	oneKeyLeft(t, s, "busy")
}

func namespaces(t *testing.T, s *server) {
	s.project("spaces")
	s.want(201, "POST", at("spaces", "namespaces"), object("Namespace", "n"))
	s.want(201, "POST", at("spaces", "namespaces/n/secrets"), object("Secret", "s"))
	s.want(201, "POST", at("spaces", "namespaces/n/configmaps"), object("ConfigMap", "c"))
	s.want(201, "POST", at("spaces", "namespaces/default/secrets"), object("Secret", "stays"))
	s.want(200, "DELETE", at("spaces", "namespaces/n"), nil)
	s.eventually("end of the namespace", func() bool { return s.do("GET", at("spaces", "namespaces/n"), nil).code == 404 })
	want := []string{"/projects/spaces/namespaces/default", "/projects/spaces/secrets/default/stays"}
	if keys := s.keys("/projects/spaces/"); !reflect.DeepEqual(keys, want) {
		t.Errorf("keys: %v", keys)
	}
}

// kept is an object with a finalizer.
func kept(kind, name string) map[string]any {
	made := object(kind, name)
	made["metadata"] = map[string]any{"name": name, "finalizers": []string{"example.invalid/kept"}}
	return made
}

// finalizers is about a Project whose objects have finalizers, in two namespaces.
func finalizers(t *testing.T, s *server) {
	s.project("held")
	s.want(201, "POST", at("held", "namespaces"), object("Namespace", "more"))
	s.want(201, "POST", at("held", "namespaces/default/secrets"), kept("Secret", "first"))
	s.want(201, "POST", at("held", "namespaces/more/configmaps"), kept("ConfigMap", "last"))
	for i := range 5 {
		s.want(201, "POST", at("held", "namespaces/more/secrets"), object("Secret", fmt.Sprint("s", i)))
	}
	s.want(200, "DELETE", group+"/projects/held", nil)
	want := []string{
		"/projects/held/configmaps/more/last", "/projects/held/namespaces/default", "/projects/held/namespaces/more",
		"/projects/held/secrets/default/first",
	}
	s.eventually("end of the other objects", func() bool { return reflect.DeepEqual(s.keys("/projects/held/"), want) })
	s.want(403, "POST", at("held", "namespaces/more/secrets"), object("Secret", "late"))
	s.want(200, "PUT", at("held", "namespaces/default/secrets/first"), object("Secret", "first"))
	s.eventually("end of the first", func() bool { return s.do("GET", at("held", "namespaces/default/secrets/first"), nil).code == 404 })
	s.want(200, "GET", group+"/projects/held", nil)
	s.want(200, "PUT", at("held", "namespaces/more/configmaps/last"), object("ConfigMap", "last"))
	s.eventually("end of the Project", func() bool { return s.do("GET", group+"/projects/held", nil).code == 404 })
	oneKeyLeft(t, s, "held")
}

func rootNamespace(_ *testing.T, s *server) {
	s.want(201, "POST", "/api/v1/namespaces", object("Namespace", "root"))
	s.want(201, "POST", "/api/v1/namespaces/root/configmaps", object("ConfigMap", "c"))
	s.want(200, "DELETE", "/api/v1/namespaces/root", nil)
	s.eventually("end of the namespace", func() bool { return s.do("GET", "/api/v1/namespaces/root", nil).code == 404 })
}

func access(t *testing.T, s *server) {
	s.project("access")
	get := func() int { return s.as(userToken, "GET", at("access", "secrets"), nil).code }
	if code := get(); code != 403 {
		t.Errorf("without a role: %d", code)
	}
	s.want(201, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": map[string]any{"name": "load"},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
		"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "load"}},
	})
	s.eventually("the role", func() bool { return get() == 200 })
}

func noFaults(t *testing.T, s *server) {
	if text := s.want(200, "GET", "/reference/faults", nil).text; strings.TrimSpace(text) != `{"faults":{}}` {
		t.Error(text)
	}
}

// noLeaks makes and deletes many Projects and compares the number of
// goroutines: each Project that leaked would add dozens.
func noLeaks(t *testing.T, s *server) {
	const cycles = 12
	cycle := func(name string) {
		s.project(name)
		for _, resource := range []string{"secrets", "configmaps", "namespaces"} {
			s.want(200, "GET", at(name, resource), nil)
		}
		s.remove(name)
	}
	cycle("warm") // clients and caches of the server itself
	before := s.metric("go_goroutines")
	for i := range cycles {
		cycle(fmt.Sprint("cycle-", i))
	}
	// What ends takes a moment to end, so wait for the number to come down.
	s.eventually("goroutines to end", func() bool { return s.metric("go_goroutines") < before+3*cycles })
}

func oneKeyLeft(t *testing.T, s *server, project string) {
	t.Helper()
	if keys := s.keys("/projects/" + project + "/"); !reflect.DeepEqual(keys, []string{"/projects/" + project + "/namespaces/default"}) {
		t.Errorf("keys left: %v", keys)
	}
}
