// Package tenant gives every Project a control plane of its own on one server.
//
// A request below /projects/NAME/control-plane is the same request as at the
// root, with a Project in its context. The context decides which storage is
// used; nothing else of the request does.
package tenant

import (
	"context"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Below these prefixes a Project's control plane is found: the short form and
// the long form of the same place.
var prefixes = []string{
	"/projects/",
	"/apis/resourcemanager.miloapis.com/v1alpha1/projects/",
}

const marker = "control-plane"

// ParsePath splits the path of a request into a Project and the path inside
// its control plane. It works on the escaped path, so that nothing that is
// encoded can pretend to be a separator. Inside is false for paths that do not
// lead into a control plane, valid is false for those that must not be served.
func ParsePath(escaped string) (project, rest string, inside, valid bool) {
	for _, prefix := range prefixes {
		tail, found := strings.CutPrefix(escaped, prefix)
		if !found {
			continue
		}
		name, tail, _ := strings.Cut(tail, "/")
		segment, tail, _ := strings.Cut(tail, "/")
		if segment != marker {
			continue
		}
		if len(validation.IsDNS1123Subdomain(name)) > 0 {
			return name, "", true, false
		}
		return name, "/" + tail, true, cleanSegments("/" + tail)
	}
	return "", "", false, true
}

// cleanSegments refuses what could climb out of a control plane.
func cleanSegments(path string) bool {
	if strings.Contains(path, "%") {
		return false // No name of an API object needs escaping.
	}
	for _, segment := range strings.Split(path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return !strings.Contains(path, "//")
}

type nameKey struct{}

type projectKey struct{}

// FromContext returns the Project that a request is for, nil at the root.
func FromContext(ctx context.Context) *Project {
	project, _ := ctx.Value(projectKey{}).(*Project)
	return project
}

// WithPaths rewrites requests into a Project to the path inside it and keeps
// the name in the context. It is the outermost handler, so that
// authentication, authorisation and priority see an ordinary request.
func WithPaths(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		project, rest, inside, valid := ParsePath(r.URL.EscapedPath())
		switch {
		case !inside:
			next.ServeHTTP(w, r)
		case !valid:
			http.NotFound(w, r)
		default:
			inner := r.WithContext(context.WithValue(r.Context(), nameKey{}, project))
			url := *r.URL
			url.Path, url.RawPath = rest, ""
			inner.URL = &url
			next.ServeHTTP(w, inner)
		}
	})
}
