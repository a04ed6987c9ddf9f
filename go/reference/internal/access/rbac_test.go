package access

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	listers "k8s.io/client-go/listers/rbac/v1"
	"k8s.io/client-go/tools/cache"
)

// store returns an index of objects, as informers fill it.
func store(t *testing.T, objects ...any) cache.Indexer {
	t.Helper()
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	for _, object := range objects {
		if err := indexer.Add(object); err != nil {
			t.Fatal(err)
		}
	}
	return indexer
}

func TestRBAC(t *testing.T) {
	named := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name}
	}
	ref := func(kind, name string) rbacv1.RoleRef { return rbacv1.RoleRef{Kind: kind, Name: name} }
	to := func(kind, name string) []rbacv1.Subject { return []rbacv1.Subject{{Kind: kind, Name: name}} }
	rbac := &RBAC{
		roles: listers.NewRoleLister(store(t, &rbacv1.Role{ObjectMeta: named("n", "one"), Rules: []rbacv1.PolicyRule{
			{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"s"}},
		}})),
		bindings: listers.NewRoleBindingLister(store(t,
			&rbacv1.RoleBinding{ObjectMeta: named("n", "one"), RoleRef: ref("Role", "one"), Subjects: to("User", "ann")},
			&rbacv1.RoleBinding{ObjectMeta: named("n", "write"), RoleRef: ref("ClusterRole", "write"), Subjects: to("ServiceAccount", "bot")},
		)),
		clusterRoles: listers.NewClusterRoleLister(store(t,
			&rbacv1.ClusterRole{ObjectMeta: named("", "write"), Rules: []rbacv1.PolicyRule{
				{Verbs: []string{"create", "update"}, APIGroups: []string{"", "g"}, Resources: []string{"secrets", "*/status"}},
			}},
			&rbacv1.ClusterRole{ObjectMeta: named("", "health"), Rules: []rbacv1.PolicyRule{
				{Verbs: []string{"get"}, NonResourceURLs: []string{"/readyz", "/apis/*"}},
			}},
			&rbacv1.ClusterRole{ObjectMeta: named("", "all"), Rules: []rbacv1.PolicyRule{
				{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}},
			}},
		)),
		clusterBindings: listers.NewClusterRoleBindingLister(store(t,
			&rbacv1.ClusterRoleBinding{ObjectMeta: named("", "health"), RoleRef: ref("ClusterRole", "health"), Subjects: to("Group", user.AllUnauthenticated)},
			&rbacv1.ClusterRoleBinding{ObjectMeta: named("", "all"), RoleRef: ref("ClusterRole", "all"), Subjects: to("Group", "admins")},
			&rbacv1.ClusterRoleBinding{ObjectMeta: named("", "gone"), RoleRef: ref("ClusterRole", "gone"), Subjects: to("User", "ann")},
		)),
	}
	nobody := &user.DefaultInfo{Name: user.Anonymous, Groups: []string{user.AllUnauthenticated}}
	admin := &user.DefaultInfo{Name: "root", Groups: []string{"admins"}}
	ann, bot := &user.DefaultInfo{Name: "ann"}, &user.DefaultInfo{Name: "system:serviceaccount:n:bot"}
	resource := func(who user.Info, verb, group, namespace, resource, part, name string) authorizer.AttributesRecord {
		return authorizer.AttributesRecord{
			User: who, Verb: verb, APIGroup: group, Namespace: namespace, Resource: resource, Subresource: part, Name: name, ResourceRequest: true,
		}
	}
	path := func(who user.Info, verb, path string) authorizer.AttributesRecord {
		return authorizer.AttributesRecord{User: who, Verb: verb, Path: path}
	}
	for name, test := range map[string]struct {
		request authorizer.AttributesRecord
		allowed bool
	}{
		"named object":                {resource(ann, "get", "", "n", "secrets", "", "s"), true},
		"another object":              {resource(ann, "get", "", "n", "secrets", "", "t"), false},
		"another namespace":           {resource(ann, "get", "", "m", "secrets", "", "s"), false},
		"another verb":                {resource(ann, "update", "", "n", "secrets", "", "s"), false},
		"part of a named object":      {resource(ann, "get", "", "n", "secrets", "status", "s"), false},
		"account of the namespace":    {resource(bot, "create", "", "n", "secrets", "", ""), true},
		"account elsewhere":           {resource(bot, "create", "", "m", "secrets", "", ""), false},
		"part of any resource":        {resource(bot, "update", "g", "n", "things", "status", "x"), true},
		"resource by a part's rule":   {resource(bot, "update", "g", "n", "things", "", "x"), false},
		"group that is not named":     {resource(bot, "create", "h", "n", "secrets", "", ""), false},
		"everything":                  {resource(admin, "delete", "g", "", "things", "finalize", "x"), true},
		"paths are not resources":     {path(admin, "get", "/metrics"), false},
		"path":                        {path(nobody, "get", "/readyz"), true},
		"path below a prefix":         {path(nobody, "get", "/apis/g/v1"), true},
		"path that only begins alike": {path(nobody, "get", "/readyz/etcd"), false},
		"path by another verb":        {path(nobody, "post", "/readyz"), false},
		"binding without its role":    {resource(ann, "list", "", "", "secrets", "", ""), false},
	} {
		decision, _, err := rbac.Authorize(t.Context(), test.request)
		if allowed := decision == authorizer.DecisionAllow; err != nil || allowed != test.allowed {
			t.Errorf("%s: allowed %v, error %v", name, allowed, err)
		}
	}
}
