package apis

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

func TestSecretsAreCompletedWhenTheyAreRead(t *testing.T) {
	text := `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"data":{"a":"Yg=="},"stringData":{"c":"d"}}`
	object, _, err := Codecs.UniversalDeserializer().Decode([]byte(text), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	Scheme.Default(object)
	secret := object.(*corev1.Secret)
	if secret.Type != corev1.SecretTypeOpaque || string(secret.Data["a"]) != "b" || string(secret.Data["c"]) != "d" || secret.StringData != nil {
		t.Errorf("%+v", secret)
	}
}

func TestWhatIsStoredIsReadAsItWas(t *testing.T) {
	for version, types := range served {
		for _, object := range types {
			text, err := runtime.Encode(Codecs.LegacyCodec(version), object)
			if err != nil {
				t.Fatal(err)
			}
			read, kind, err := Codecs.UniversalDecoder().Decode(text, nil, nil)
			if err != nil || kind.GroupVersion() != version {
				t.Errorf("%T: read as %T, error %v", object, read, err)
			}
		}
	}
}

func TestEveryTypeIsDescribedWithAllThatItRefersTo(t *testing.T) {
	all := Definitions(func(name string) spec.Ref { return spec.MustCreateRef(name) })
	for name, definition := range all {
		if !strings.HasPrefix(name, "k8s.io/api/core/") && !strings.HasPrefix(name, "k8s.io/api/rbac/") && !strings.HasPrefix(name, "k8s.io/api/flowcontrol/") {
			continue // Kubernetes' generated ones refer to what no type of this server has.
		}
		for _, other := range definition.Dependencies {
			if _, found := all[other]; !found {
				t.Errorf("%s refers to %s, which is not described", name, other)
			}
		}
	}
	namespace := all["k8s.io/api/core/v1.NamespaceStatus"].Schema
	conditions := namespace.Properties["conditions"]
	if conditions.Extensions["x-kubernetes-list-type"] != "map" || conditions.Description == "" {
		t.Errorf("conditions of a namespace: %+v", conditions)
	}
	data := all["k8s.io/api/core/v1.Secret"].Schema.Properties["data"]
	if data.AdditionalProperties == nil || data.AdditionalProperties.Schema.Format != "byte" {
		t.Errorf("data of a Secret: %+v", data)
	}
}
