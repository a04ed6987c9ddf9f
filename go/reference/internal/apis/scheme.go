// Package apis holds the Go types that the server stores, and describes them to clients.
package apis

import (
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

var (
	// Scheme knows every type that the server stores.
	Scheme = runtime.NewScheme()
	// Codecs encodes and decodes them.
	Codecs = serializer.NewCodecFactory(Scheme)
)

// served are the types that the server stores, by the group and version in which clients see them.
var served = map[schema.GroupVersion][]runtime.Object{
	corev1.SchemeGroupVersion: {
		&corev1.Namespace{}, &corev1.NamespaceList{}, &corev1.Secret{}, &corev1.SecretList{}, &corev1.ConfigMap{}, &corev1.ConfigMapList{},
	},
	rbacv1.SchemeGroupVersion: {
		&rbacv1.Role{}, &rbacv1.RoleList{}, &rbacv1.RoleBinding{}, &rbacv1.RoleBindingList{},
		&rbacv1.ClusterRole{}, &rbacv1.ClusterRoleList{}, &rbacv1.ClusterRoleBinding{}, &rbacv1.ClusterRoleBindingList{},
	},
	flowcontrolv1.SchemeGroupVersion: {
		&flowcontrolv1.FlowSchema{}, &flowcontrolv1.FlowSchemaList{},
		&flowcontrolv1.PriorityLevelConfiguration{}, &flowcontrolv1.PriorityLevelConfigurationList{},
	},
}

func init() {
	for version, types := range served {
		// There is one version of each type, so the server works on that one. Kubernetes converts to
		// an internal version, which is another set of types with as many packages.
		Scheme.AddKnownTypes(version, types...)
		Scheme.AddKnownTypes(schema.GroupVersion{Group: version.Group, Version: runtime.APIVersionInternal}, types...)
		metav1.AddToGroupVersion(Scheme, version)
		utilruntime.Must(Scheme.SetVersionPriority(version))
	}
	Scheme.AddUnversionedTypes(corev1.SchemeGroupVersion,
		&metav1.Status{}, &metav1.APIVersions{}, &metav1.APIGroupList{}, &metav1.APIGroup{}, &metav1.APIResourceList{})
	Scheme.AddTypeDefaultingFunc(&corev1.Secret{}, func(object any) {
		secret := object.(*corev1.Secret)
		if secret.Type == "" {
			secret.Type = corev1.SecretTypeOpaque
		}
		if len(secret.StringData) > 0 && secret.Data == nil {
			secret.Data = map[string][]byte{}
		}
		for key, value := range secret.StringData {
			secret.Data[key] = []byte(value)
		}
		secret.StringData = nil // It is only ever written.
	})
	Scheme.AddTypeDefaultingFunc(&flowcontrolv1.PriorityLevelConfiguration{}, func(object any) {
		level := &object.(*flowcontrolv1.PriorityLevelConfiguration).Spec
		if level.Limited != nil {
			setDefault(&level.Limited.NominalConcurrencyShares, 30)
			setDefault(&level.Limited.LendablePercent, 0)
		}
		if level.Exempt != nil {
			setDefault(&level.Exempt.NominalConcurrencyShares, 0)
			setDefault(&level.Exempt.LendablePercent, 0)
		}
	})
	addFieldLabels("Secret", "type")
	addFieldLabels("Namespace", "status.phase", "name")
}

func setDefault(field **int32, value int32) {
	if *field == nil {
		*field = &value
	}
}

// addFieldLabels allows field selectors of a core type, beside name and namespace.
func addFieldLabels(kind string, names ...string) {
	utilruntime.Must(Scheme.AddFieldLabelConversionFunc(corev1.SchemeGroupVersion.WithKind(kind),
		func(label, value string) (string, string, error) {
			for _, name := range names {
				if label == name {
					return label, value, nil
				}
			}
			return runtime.DefaultMetaV1FieldSelectorConversion(label, value)
		}))
}
