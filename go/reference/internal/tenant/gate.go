package tenant

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// Types are the resources that a Project has, all of the core group.
var Types = sets.New("namespaces", "secrets", "configmaps")

// Gate lets requests into Projects. It runs after authentication and
// authorisation, so it tells nobody what exists who may not know.
type Gate struct {
	Registry   *Registry
	Serializer runtime.NegotiatedSerializer
	// NamespaceDeleted is told which namespace was asked to go; the root has no Project.
	NamespaceDeleted func(project, namespace string)
	// ObjectChanged is told that an object was changed in a Project whose deletion waits for finalizers.
	ObjectChanged func(project string)
}

var readOnly = sets.New("get", "list", "watch")

// Resolve finds the Project of a request and puts it into the context.
func (g *Gate) Resolve(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		name, inside := ctx.Value(nameKey{}).(string)
		info, _ := request.RequestInfoFrom(ctx)
		if info.Resource == "namespaces" && info.Verb == "delete" && info.APIGroup == "" {
			defer g.NamespaceDeleted(name, info.Name)
		}
		if !inside {
			next.ServeHTTP(w, r)
			return
		}
		project, err := g.Registry.Find(ctx, name)
		if err != nil {
			g.refuse(w, r, err)
			return
		}
		if info.IsResourceRequest && !readOnly.Has(info.Verb) {
			if !project.BeginWrite(info.Verb == "create") {
				g.refuse(w, r, terminating(info, name))
				return
			}
			defer project.EndWrite()
			if (info.Verb == "update" || info.Verb == "patch") && info.Resource != "namespaces" && project.Finalizing() {
				defer g.ObjectChanged(name)
			}
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, projectKey{}, project)))
	})
}

// Restrict answers discovery inside a Project and refuses what a Project does not have.
func (g *Gate) Restrict(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if FromContext(r.Context()) == nil {
			next.ServeHTTP(w, r)
			return
		}
		info, _ := request.RequestInfoFrom(r.Context())
		if info.IsResourceRequest {
			if info.APIGroup == "" && info.APIVersion == "v1" && Types.Has(info.Resource) {
				next.ServeHTTP(w, r)
				return
			}
			resource := schema.GroupResource{Group: info.APIGroup, Resource: info.Resource}
			g.refuse(w, r, apierrors.NewGenericServerResponse(http.StatusNotFound, info.Verb, resource, info.Name, "", 0, false))
			return
		}
		path := strings.TrimSuffix(info.Path, "/")
		if document, found := discovery[path]; found {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(document)
			return
		}
		for _, served := range []string{"/openapi", "/version", "/readyz", "/livez", "/healthz"} {
			if path == served || strings.HasPrefix(path, served+"/") {
				next.ServeHTTP(w, r)
				return
			}
		}
		g.refuse(w, r, apierrors.NewGenericServerResponse(http.StatusNotFound, info.Verb, schema.GroupResource{}, "", "", 0, false))
	})
}

// terminating is the same answer that a namespace gives which is being deleted.
func terminating(info *request.RequestInfo, project string) error {
	resource := schema.GroupResource{Group: info.APIGroup, Resource: info.Resource}
	return apierrors.NewForbidden(resource, info.Name, fmt.Errorf("project %s is being terminated", project))
}

func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, err error) {
	responsewriters.ErrorNegotiated(err, g.Serializer, schema.GroupVersion{Version: "v1"}, w, r)
}
