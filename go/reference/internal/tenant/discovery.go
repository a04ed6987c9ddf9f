package tenant

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// discovery holds what clients read to learn which types a Project has, by
// path. The root's own documents name many more.
var discovery = map[string][]byte{
	"/api": document(metav1.APIVersions{
		TypeMeta: metav1.TypeMeta{Kind: "APIVersions"},
		Versions: []string{"v1"},
	}),
	"/apis": document(metav1.APIGroupList{
		TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"},
		Groups:   []metav1.APIGroup{},
	}),
	"/api/v1": document(metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
		GroupVersion: "v1",
		APIResources: []metav1.APIResource{
			{
				Name: "configmaps", SingularName: "configmap", Kind: "ConfigMap", Namespaced: true, ShortNames: []string{"cm"},
				Verbs: metav1.Verbs{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"},
			},
			{
				Name: "namespaces", SingularName: "namespace", Kind: "Namespace", ShortNames: []string{"ns"},
				Verbs: metav1.Verbs{"create", "delete", "get", "list", "patch", "update", "watch"},
			},
			{Name: "namespaces/finalize", Kind: "Namespace", Verbs: metav1.Verbs{"update"}},
			{Name: "namespaces/status", Kind: "Namespace", Verbs: metav1.Verbs{"get", "patch", "update"}},
			{
				Name: "secrets", SingularName: "secret", Kind: "Secret", Namespaced: true,
				Verbs: metav1.Verbs{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"},
			},
		},
	}),
}

func document(content any) []byte {
	text, err := json.Marshal(content)
	if err != nil {
		panic(err) // Static content: a mistake here is one of this file.
	}
	return text
}
