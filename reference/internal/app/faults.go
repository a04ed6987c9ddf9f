package app

import (
	"errors"
	"net/http"
	"strings"
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
		fail := injector.Request(ctx, faults.Request{
			Objects: tenant.FromContext(ctx) != nil && info.IsResourceRequest && info.APIGroup == "" &&
				(info.Resource == "secrets" || info.Resource == "configmaps"),
			Verb:   info.Verb,
			Exempt: isExempt(info.Path),
		})
		if !fail {
			next.ServeHTTP(w, r)
			return
		}
		err := apierrors.NewInternalError(errors.New("fault: errors"))
		code := responsewriters.ErrorNegotiated(err, serializer, schema.GroupVersion{Version: "v1"}, w, r)
		// The handlers that count requests were not reached.
		received, _ := request.ReceivedTimestampFrom(ctx)
		metrics.MonitorRequest(r, strings.ToUpper(info.Verb), info.APIGroup, info.APIVersion, info.Resource, info.Subresource,
			metrics.CleanScope(info), metrics.APIServerComponent, false, "", code, 0, time.Since(received))
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
