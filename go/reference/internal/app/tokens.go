package app

import (
	"context"
	"errors"

	"gopkg.in/go-jose/go-jose.v2/jwt"
	"k8s.io/kubernetes/pkg/serviceaccount"
)

// noTokens stands in for the keys of service accounts on a server that has none:
// it signs no token and accepts none.
type noTokens struct{}

var (
	_ serviceaccount.TokenGenerator   = noTokens{}
	_ serviceaccount.PublicKeysGetter = noTokens{}
)

// GenerateToken implements serviceaccount.TokenGenerator.
func (noTokens) GenerateToken(context.Context, *jwt.Claims, any) (string, error) {
	return "", errors.New("this server has no key to sign tokens with")
}

// AddListener implements serviceaccount.PublicKeysGetter.
func (noTokens) AddListener(serviceaccount.Listener) {}

// GetCacheAgeMaxSeconds implements serviceaccount.PublicKeysGetter.
func (noTokens) GetCacheAgeMaxSeconds() int { return 0 }

// GetPublicKeys implements serviceaccount.PublicKeysGetter.
func (noTokens) GetPublicKeys(context.Context, string) []serviceaccount.PublicKey { return nil }
