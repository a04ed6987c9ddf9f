package registry

import (
	"fmt"
	"maps"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metavalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateName checks the metadata of an object that is created. Kubernetes' names of roles may be
// any segment of a path; those of all other types are names of DNS.
func validateName(object runtime.Object) field.ErrorList {
	check := metavalidation.NameIsDNSSubdomain
	switch object.(type) {
	case *rbacv1.Role, *rbacv1.RoleBinding, *rbacv1.ClusterRole, *rbacv1.ClusterRoleBinding:
		check = path.ValidatePathSegmentName
	case *corev1.Namespace:
		check = metavalidation.ValidateNamespaceName
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	return metavalidation.ValidateObjectMetaAccessor(accessor, accessor.GetNamespace() != "", check, field.NewPath("metadata"))
}

// validateMetadata checks the metadata of an object that is changed.
func validateMetadata(object, before runtime.Object) field.ErrorList {
	after, err := meta.Accessor(object)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	earlier, err := meta.Accessor(before)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	errs := validateName(object)
	return append(errs, metavalidation.ValidateObjectMetaAccessorUpdate(after, earlier, field.NewPath("metadata"))...)
}

func secretFields(object runtime.Object) fields.Set {
	return fields.Set{"type": string(object.(*corev1.Secret).Type)}
}

func validateSecret(object, before runtime.Object) field.ErrorList {
	secret := object.(*corev1.Secret)
	errs := validateData(corev1.MaxSecretSize, nil, secret.Data)
	if old, _ := before.(*corev1.Secret); old != nil {
		errs = append(errs, metavalidation.ValidateImmutableField(secret.Type, old.Type, field.NewPath("type"))...)
		errs = append(errs, validateImmutable(old.Immutable, secret.Immutable, reflect.DeepEqual(secret.Data, old.Data))...)
	}
	return errs
}

func validateConfigMap(object, before runtime.Object) field.ErrorList {
	config := object.(*corev1.ConfigMap)
	errs := validateData(corev1.MaxSecretSize, config.Data, config.BinaryData)
	if old, _ := before.(*corev1.ConfigMap); old != nil {
		same := maps.Equal(config.Data, old.Data) && reflect.DeepEqual(config.BinaryData, old.BinaryData)
		errs = append(errs, validateImmutable(old.Immutable, config.Immutable, same)...)
	}
	return errs
}

// validateData checks the keys and the size of all values together.
func validateData(most int, texts map[string]string, binary map[string][]byte) field.ErrorList {
	var errs field.ErrorList
	total := 0
	check := func(name, key string, size int) {
		total += size
		for _, problem := range validation.IsConfigMapKey(key) {
			errs = append(errs, field.Invalid(field.NewPath(name).Key(key), key, problem))
		}
	}
	for key, value := range texts {
		check("data", key, len(value))
		if _, twice := binary[key]; twice {
			errs = append(errs, field.Invalid(field.NewPath("data").Key(key), key, "duplicate of key present in binaryData"))
		}
	}
	name := "data"
	if texts != nil {
		name = "binaryData"
	}
	for key, value := range binary {
		check(name, key, len(value))
	}
	if total > most {
		errs = append(errs, field.TooLong(field.NewPath("data"), "", most))
	}
	return errs
}

func validateImmutable(before, after *bool, same bool) field.ErrorList {
	if before == nil || !*before || (same && after != nil && *after) {
		return nil
	}
	return field.ErrorList{field.Forbidden(field.NewPath("immutable"), "field is immutable when `immutable` is set")}
}

// validateBinding checks the role of a binding, which cannot be changed.
func validateBinding(roleOf func(runtime.Object) rbacv1.RoleRef) func(object, before runtime.Object) field.ErrorList {
	return func(object, before runtime.Object) field.ErrorList {
		at, role := field.NewPath("roleRef"), roleOf(object)
		if role.Name == "" || (role.Kind != "Role" && role.Kind != "ClusterRole") {
			return field.ErrorList{field.Invalid(at, fmt.Sprintf("%s %s", role.Kind, role.Name), "name a Role or a ClusterRole")}
		}
		if before != nil {
			return metavalidation.ValidateImmutableField(role, roleOf(before), at)
		}
		return nil
	}
}
