// Package access decides who a request is from and what it may do.
package access

import (
	"context"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/informers"
	listers "k8s.io/client-go/listers/rbac/v1"
)

// RBAC allows what the roles allow that are bound to a user, as Kubernetes' mode of that name does.
type RBAC struct {
	roles           listers.RoleLister
	bindings        listers.RoleBindingLister
	clusterRoles    listers.ClusterRoleLister
	clusterBindings listers.ClusterRoleBindingLister
}

var _ authorizer.Authorizer = &RBAC{}

// NewRBAC reads roles and bindings from informers, which the server starts.
func NewRBAC(from informers.SharedInformerFactory) *RBAC {
	rbac := from.Rbac().V1()
	return &RBAC{rbac.Roles().Lister(), rbac.RoleBindings().Lister(), rbac.ClusterRoles().Lister(), rbac.ClusterRoleBindings().Lister()}
}

// Authorize implements authorizer.Authorizer.
func (r *RBAC) Authorize(_ context.Context, request authorizer.Attributes) (authorizer.Decision, string, error) {
	clusterBindings, err := r.clusterBindings.List(labels.Everything())
	if err != nil {
		return authorizer.DecisionNoOpinion, "", err
	}
	for _, binding := range clusterBindings {
		if isBound(binding.Subjects, request.GetUser(), "") && allows(r.rules("", binding.RoleRef), request) {
			return authorizer.DecisionAllow, fmt.Sprintf("RBAC: allowed by ClusterRoleBinding %q", binding.Name), nil
		}
	}
	if namespace := request.GetNamespace(); namespace != "" {
		bindings, err := r.bindings.RoleBindings(namespace).List(labels.Everything())
		if err != nil {
			return authorizer.DecisionNoOpinion, "", err
		}
		for _, binding := range bindings {
			if isBound(binding.Subjects, request.GetUser(), namespace) && allows(r.rules(namespace, binding.RoleRef), request) {
				return authorizer.DecisionAllow, fmt.Sprintf("RBAC: allowed by RoleBinding \"%s/%s\"", namespace, binding.Name), nil
			}
		}
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// rules returns those of a role; a role that does not exist has none.
func (r *RBAC) rules(namespace string, ref rbacv1.RoleRef) []rbacv1.PolicyRule {
	if ref.Kind == "Role" {
		if role, err := r.roles.Roles(namespace).Get(ref.Name); err == nil {
			return role.Rules
		}
	} else if role, err := r.clusterRoles.Get(ref.Name); err == nil {
		return role.Rules
	}
	return nil
}

// isBound reports whether a user is among subjects; a service account without a namespace has the given one.
func isBound(subjects []rbacv1.Subject, who user.Info, namespace string) bool {
	return slices.ContainsFunc(subjects, func(subject rbacv1.Subject) bool {
		switch subject.Kind {
		case rbacv1.UserKind:
			return subject.Name == who.GetName()
		case rbacv1.GroupKind:
			return slices.Contains(who.GetGroups(), subject.Name)
		case rbacv1.ServiceAccountKind:
			of := subject.Namespace
			if of == "" {
				of = namespace
			}
			return of != "" && who.GetName() == "system:serviceaccount:"+of+":"+subject.Name
		}
		return false
	})
}

func allows(rules []rbacv1.PolicyRule, request authorizer.Attributes) bool {
	return slices.ContainsFunc(rules, func(rule rbacv1.PolicyRule) bool {
		if !matches(rule.Verbs, request.GetVerb()) {
			return false
		}
		if !request.IsResourceRequest() {
			return slices.ContainsFunc(rule.NonResourceURLs, func(path string) bool {
				prefix, isPrefix := strings.CutSuffix(path, "*")
				return path == request.GetPath() || isPrefix && strings.HasPrefix(request.GetPath(), prefix)
			})
		}
		return matches(rule.APIGroups, request.GetAPIGroup()) && matchesResource(rule.Resources, request) &&
			(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, request.GetName()))
	})
}

// matchesResource reports whether a request is for one of the resources; `*/NAME` is that subresource of any.
func matchesResource(resources []string, request authorizer.Attributes) bool {
	name := request.GetResource()
	if part := request.GetSubresource(); part != "" {
		return matches(resources, name+"/"+part) || slices.Contains(resources, "*/"+part)
	}
	return matches(resources, name)
}

func matches(allowed []string, value string) bool {
	return slices.Contains(allowed, value) || slices.Contains(allowed, rbacv1.ResourceAll)
}
