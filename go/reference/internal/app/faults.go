package app

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/metrics"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/milo-os/milo-perf/reference/internal/faults"
	"github.com/milo-os/milo-perf/reference/internal/tenant"
)

// exempt are the paths by which the server is watched. A fault there would
// change the measurement instead of what is measured.
var exempt = []string{"/readyz", "/livez", "/healthz", "/metrics", "/debug", "/reference"}

// withFaults applies faults to requests that come from outside. The server's
// own clients are spared: a fault is meant to have exactly the size it says.
func withFaults(next http.Handler, injector *faults.Injector, serializer runtime.NegotiatedSerializer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if who, ok := request.UserFrom(ctx); ok && who.GetName() == user.APIServerUser {
			next.ServeHTTP(w, r)
			return
		}
		info, _ := request.RequestInfoFrom(ctx)
		answer := injector.Request(ctx, faults.Request{
			Objects: tenant.FromContext(ctx) != nil && info.IsResourceRequest && info.APIGroup == "" &&
				(info.Resource == "secrets" || info.Resource == "configmaps"),
			Verb:    info.Verb,
			Exempt:  isExempt(info.Path),
			Limited: r.URL.Query().Has("limit"),
		})
		switch answer {
		case faults.Serve:
			next.ServeHTTP(w, r)
			return
		case faults.Never:
			hangs, _ := ctx.Value(hangsKey{}).(*atomic.Bool)
			hangs.Store(true)
			return // To withHangs, which does not answer.
		case faults.Fail:
		}
		err := apierrors.NewInternalError(errors.New("fault: errors"))
		code := responsewriters.ErrorNegotiated(err, serializer, schema.GroupVersion{Version: "v1"}, w, r)
		// The handlers that count requests were not reached.
		received, _ := request.ReceivedTimestampFrom(ctx)
		metrics.MonitorRequest(r, strings.ToUpper(info.Verb), info.APIGroup, info.APIVersion, info.Resource, info.Subresource,
			metrics.CleanScope(info), metrics.APIServerComponent, false, "", code, 0, time.Since(received))
	})
}

type hangsKey struct{}

// withHangs keeps a request open that withFaults left without an answer. It is
// the outermost handler, because further in Kubernetes answers by itself after
// --request-timeout, and a shutdown waits for the requests there.
func withHangs(next http.Handler, injector *faults.Injector) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hangs := &atomic.Bool{}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), hangsKey{}, hangs)))
		if !hangs.Load() {
			return
		}
		// With HTTP/1 the end of the connection is seen only once the body was read.
		go func() { _, _ = io.Copy(io.Discard, r.Body) }()
		injector.Wait(r.Context())
		panic(http.ErrAbortHandler) // The connection ends without an answer.
	})
}

func isExempt(path string) bool {
	for _, prefix := range exempt {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			return true
		}
	}
	return false
}
