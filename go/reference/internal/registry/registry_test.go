package registry

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/milo-os/milo-perf/reference/internal/apis"
)

func rules(t *testing.T, plural string, p part) strategy {
	t.Helper()
	for _, r := range table {
		if r.plural == plural {
			return newStrategy(r, p)
		}
	}
	t.Fatal(plural)
	return strategy{}
}

func in(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, ResourceVersion: "1"}
}

func TestEveryTypeHasOneVersionThatIsStoredAndWorkedOn(t *testing.T) {
	for _, r := range table {
		for _, object := range []runtime.Object{r.make(), r.makeList()} {
			kinds, _, err := apis.Scheme.ObjectKinds(object)
			if err != nil || len(kinds) != 2 {
				t.Fatalf("%T: %v, error %v", object, kinds, err)
			}
			seen, err := apis.Scheme.ConvertToVersion(object, r.GroupVersion)
			if err != nil || seen.GetObjectKind().GroupVersionKind().GroupVersion() != r.GroupVersion {
				t.Errorf("%T: %v, error %v", object, seen, err)
			}
		}
	}
}

func TestObjectsThatAreRefused(t *testing.T) {
	yes, large := true, strings.Repeat("x", corev1.MaxSecretSize)
	secret := func(change func(*corev1.Secret)) *corev1.Secret {
		made := &corev1.Secret{ObjectMeta: in("n", "s"), Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"a": []byte("b")}}
		change(made)
		return made
	}
	same := secret(func(*corev1.Secret) {})
	binding := func(role string) *rbacv1.ClusterRoleBinding {
		return &rbacv1.ClusterRoleBinding{ObjectMeta: in("", "system:b"), RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: role}}
	}
	for name, test := range map[string]struct {
		plural         string
		object, before runtime.Object
		problem        string
	}{
		"secret":              {"secrets", same, nil, ""},
		"name":                {"secrets", secret(func(s *corev1.Secret) { s.Name = "S_1" }), nil, "metadata.name"},
		"key":                 {"secrets", secret(func(s *corev1.Secret) { s.Data["a b"] = nil }), nil, "data[a b]"},
		"size":                {"secrets", secret(func(s *corev1.Secret) { s.Data["x"] = []byte(large) }), nil, "data"},
		"type":                {"secrets", secret(func(s *corev1.Secret) { s.Type = "t" }), same, "type"},
		"immutable data":      {"secrets", same, secret(func(s *corev1.Secret) { s.Immutable, s.Data = &yes, nil }), "immutable"},
		"immutable as it was": {"secrets", secret(func(s *corev1.Secret) { s.Immutable = &yes }), secret(func(s *corev1.Secret) { s.Immutable = &yes }), ""},
		"config map":          {"configmaps", &corev1.ConfigMap{ObjectMeta: in("n", "c"), Data: map[string]string{"a": "b"}}, nil, ""},
		"config map's size":   {"configmaps", &corev1.ConfigMap{ObjectMeta: in("n", "c"), Data: map[string]string{"a": large, "b": "c"}}, nil, "data"},
		"key that is there twice": {"configmaps", &corev1.ConfigMap{
			ObjectMeta: in("n", "c"), Data: map[string]string{"a": "b"}, BinaryData: map[string][]byte{"a": nil},
		}, nil, "data[a]"},
		"role's name":         {"clusterrolebindings", binding("r"), nil, ""},
		"binding of no role":  {"clusterrolebindings", binding(""), nil, "roleRef"},
		"another role":        {"clusterrolebindings", binding("other"), binding("r"), "roleRef"},
		"namespace":           {"namespaces", &corev1.Namespace{ObjectMeta: in("", "n")}, nil, ""},
		"name of a namespace": {"namespaces", &corev1.Namespace{ObjectMeta: in("", "a.b")}, nil, "metadata.name"},
	} {
		var fields []string
		errs := rules(t, test.plural, whole).Validate(t.Context(), test.object)
		if test.before != nil {
			errs = rules(t, test.plural, whole).ValidateUpdate(t.Context(), test.object, test.before)
		}
		for _, err := range errs {
			fields = append(fields, err.Field)
		}
		if strings.Join(fields, ",") != test.problem {
			t.Errorf("%s: refused %v, want %q", name, errs, test.problem)
		}
	}
}

func TestNamespacesAreChangedByTheirParts(t *testing.T) {
	made := &corev1.Namespace{ObjectMeta: in("", "n"), Status: corev1.NamespaceStatus{Phase: "odd"}}
	rules(t, "namespaces", whole).PrepareForCreate(t.Context(), made)
	if made.Status.Phase != corev1.NamespaceActive || len(made.Spec.Finalizers) != 1 || made.Labels[corev1.LabelMetadataName] != "n" {
		t.Errorf("created: %+v", made)
	}
	for p, want := range map[part]string{whole: "Active 1", status: "Terminating 1", finalize: "Active 0"} {
		changed := &corev1.Namespace{ObjectMeta: in("", "n"), Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}}
		rules(t, "namespaces", p).PrepareForUpdate(t.Context(), changed, made)
		if got := string(changed.Status.Phase) + " " + string(rune('0'+len(changed.Spec.Finalizers))); got != want {
			t.Errorf("changed through %q: %s, want %s", p, got, want)
		}
	}
}
