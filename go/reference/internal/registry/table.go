// Package registry stores the types that the server has itself: the three that Projects have too,
// and those that decide who may do what, and in which order.
package registry

import (
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// resource is a type that is stored.
type resource struct {
	schema.GroupVersion
	plural, singular, short string
	namespaced              bool
	make, makeList          func() runtime.Object
	// start completes an object that is created, and prepare what a client sent in any write.
	start, prepare func(runtime.Object)
	// validate checks what is not metadata; before is nil for an object that is created.
	validate func(object, before runtime.Object) field.ErrorList
	// fields are what field selectors see, beside name and namespace.
	fields func(runtime.Object) fields.Set
	// keep copies what a request for a part of the object must not change; it is nil for types of
	// which all is one part.
	keep map[part]func(object, before runtime.Object)
}

// part is the part of an object that an endpoint changes.
type part string

const (
	whole    part = ""
	status   part = "status"
	finalize part = "finalize"
)

// table lists every type. A new one is a row here and one in package apis.
var table = []resource{
	{
		GroupVersion: corev1.SchemeGroupVersion, plural: "namespaces", singular: "namespace", short: "ns",
		make: newObject[corev1.Namespace], makeList: newObject[corev1.NamespaceList],
		start: startNamespace, prepare: prepareNamespace, validate: validateNamespace, fields: namespaceFields,
		keep: map[part]func(object, before runtime.Object){
			whole:    keep(func(n, before *corev1.Namespace) { n.Spec, n.Status = before.Spec, before.Status }),
			status:   keep(func(n, before *corev1.Namespace) { n.Spec = before.Spec }),
			finalize: keep(func(n, before *corev1.Namespace) { n.Status = before.Status }),
		},
	},
	{
		GroupVersion: corev1.SchemeGroupVersion, plural: "secrets", singular: "secret", namespaced: true,
		make: newObject[corev1.Secret], makeList: newObject[corev1.SecretList],
		validate: validateSecret, fields: secretFields,
	},
	{
		GroupVersion: corev1.SchemeGroupVersion, plural: "configmaps", singular: "configmap", short: "cm", namespaced: true,
		make: newObject[corev1.ConfigMap], makeList: newObject[corev1.ConfigMapList],
		validate: validateConfigMap,
	},
	{
		GroupVersion: rbacv1.SchemeGroupVersion, plural: "roles", singular: "role", namespaced: true,
		make: newObject[rbacv1.Role], makeList: newObject[rbacv1.RoleList],
	},
	{
		GroupVersion: rbacv1.SchemeGroupVersion, plural: "rolebindings", singular: "rolebinding", namespaced: true,
		make: newObject[rbacv1.RoleBinding], makeList: newObject[rbacv1.RoleBindingList],
		validate: validateBinding(func(o runtime.Object) rbacv1.RoleRef { return o.(*rbacv1.RoleBinding).RoleRef }),
	},
	{
		GroupVersion: rbacv1.SchemeGroupVersion, plural: "clusterroles", singular: "clusterrole",
		make: newObject[rbacv1.ClusterRole], makeList: newObject[rbacv1.ClusterRoleList],
	},
	{
		GroupVersion: rbacv1.SchemeGroupVersion, plural: "clusterrolebindings", singular: "clusterrolebinding",
		make: newObject[rbacv1.ClusterRoleBinding], makeList: newObject[rbacv1.ClusterRoleBindingList],
		validate: validateBinding(func(o runtime.Object) rbacv1.RoleRef { return o.(*rbacv1.ClusterRoleBinding).RoleRef }),
	},
	{
		GroupVersion: flowcontrolv1.SchemeGroupVersion, plural: "flowschemas", singular: "flowschema",
		make: newObject[flowcontrolv1.FlowSchema], makeList: newObject[flowcontrolv1.FlowSchemaList],
		keep: map[part]func(object, before runtime.Object){
			whole:  keep(func(f, before *flowcontrolv1.FlowSchema) { f.Status = before.Status }),
			status: keep(func(f, before *flowcontrolv1.FlowSchema) { f.Spec = before.Spec }),
		},
	},
	{
		GroupVersion: flowcontrolv1.SchemeGroupVersion, plural: "prioritylevelconfigurations", singular: "prioritylevelconfiguration",
		make: newObject[flowcontrolv1.PriorityLevelConfiguration], makeList: newObject[flowcontrolv1.PriorityLevelConfigurationList],
		keep: map[part]func(object, before runtime.Object){
			whole:  keep(func(p, before *flowcontrolv1.PriorityLevelConfiguration) { p.Status = before.Status }),
			status: keep(func(p, before *flowcontrolv1.PriorityLevelConfiguration) { p.Spec = before.Spec }),
		},
	},
}

// newObject returns a function that makes an empty object.
func newObject[T any, P interface {
	*T
	runtime.Object
}]() runtime.Object {
	return P(new(T))
}

// keep gives a function that copies fields the types of the table.
func keep[T runtime.Object](copyFields func(object, before T)) func(object, before runtime.Object) {
	return func(object, before runtime.Object) { copyFields(object.(T), before.(T)) }
}
