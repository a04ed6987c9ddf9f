package app

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// health are the paths that everybody may read, and described those that every known user may read.
var (
	health    = []string{"/healthz", "/livez", "/readyz", "/version", "/version/"}
	described = []string{"/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/"}
)

// makeFirst makes what a control plane of Kubernetes has from its start: namespaces, roles, and the
// priorities of requests. What is there stays as it is.
func makeFirst(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := unlessThere(client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})); err != nil {
			return err
		}
	}
	everything := []rbacv1.PolicyRule{
		{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}},
		{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}},
	}
	read := func(paths []string) []rbacv1.PolicyRule {
		return []rbacv1.PolicyRule{{Verbs: []string{"get"}, NonResourceURLs: paths}}
	}
	for _, one := range []struct {
		role   string
		rules  []rbacv1.PolicyRule
		groups []string
	}{
		{"cluster-admin", everything, []string{user.SystemPrivilegedGroup}},
		{"system:discovery", read(described), []string{user.AllAuthenticated}},
		{"system:public-info-viewer", read(health), []string{user.AllAuthenticated, user.AllUnauthenticated}},
	} {
		if err := grant(ctx, client, one.role, one.rules, one.groups); err != nil {
			return err
		}
	}
	return makePriorities(ctx, client)
}

// grant makes a role and binds it to groups.
func grant(ctx context.Context, client kubernetes.Interface, name string, rules []rbacv1.PolicyRule, groups []string) error {
	named := metav1.ObjectMeta{Name: name}
	role := &rbacv1.ClusterRole{ObjectMeta: named, Rules: rules}
	if err := unlessThere(client.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{})); err != nil {
		return err
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: named, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
	}
	for _, group := range groups {
		binding.Subjects = append(binding.Subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: group})
	}
	return unlessThere(client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}))
}

// makePriorities makes Kubernetes' own levels and flows.
func makePriorities(ctx context.Context, client kubernetes.Interface) error {
	flowcontrol := client.FlowcontrolV1()
	for _, level := range slices.Concat(bootstrap.MandatoryPriorityLevelConfigurations, bootstrap.SuggestedPriorityLevelConfigurations) {
		if err := unlessThere(flowcontrol.PriorityLevelConfigurations().Create(ctx, level, metav1.CreateOptions{})); err != nil {
			return err
		}
	}
	for _, flow := range slices.Concat(bootstrap.MandatoryFlowSchemas, bootstrap.SuggestedFlowSchemas) {
		if err := unlessThere(flowcontrol.FlowSchemas().Create(ctx, flow, metav1.CreateOptions{})); err != nil {
			return err
		}
	}
	return nil
}

// unlessThere returns the error of a creation, unless it says that the object exists.
func unlessThere[T any](_ T, err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
