package access

import (
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	tokencache "k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
)

// cacheTTL is how long a token that was accepted is not looked up again, as in Kubernetes.
const cacheTTL = 10 * time.Second

// Authentication says who requests are from: users of a token file and of client certificates.
type Authentication struct {
	TokenFile  string
	ClientCert options.ClientCertAuthenticationOptions
}

// AddFlags adds the flags of Kubernetes' API server.
func (a *Authentication) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&a.TokenFile, "token-auth-file", "", "If set, the file that is used to secure the secure port of the API server via token authentication.")
	a.ClientCert.AddFlags(flags)
}

// ApplyTo changes the configuration of a server.
func (a *Authentication) ApplyTo(config *server.Config) error {
	var requests []authenticator.Request
	ca, err := a.ClientCert.GetClientCAContentProvider()
	if err != nil {
		return err
	}
	if ca != nil {
		if err := config.Authentication.ApplyClientCert(ca, config.SecureServing); err != nil {
			return err
		}
		requests = append(requests, x509.NewDynamic(ca.VerifyOptions, x509.CommonNameUserConversion))
	}
	if a.TokenFile != "" {
		tokens, err := tokenfile.NewCSV(a.TokenFile)
		if err != nil {
			return err
		}
		requests = append(requests, bearertoken.New(tokencache.New(tokens, true, cacheTTL, 0)))
	}
	known := group.NewAuthenticatedGroupAdder(union.New(requests...))
	config.Authentication.Authenticator = union.NewFailOnError(known, anonymous.NewAuthenticator(nil))
	return nil
}
