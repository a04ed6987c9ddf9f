// Package types installs the custom resources that make this server look like
// Milo: Organizations and Projects.
package types

import (
	"context"
	"embed"
	"fmt"
	"time"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

//go:embed *.yaml
var files embed.FS

// settle is how often the start-up looks whether the types are served.
const settle = 20 * time.Millisecond

// Install creates or updates the custom resource definitions and waits until
// their types are served.
func Install(ctx context.Context, config *rest.Config) error {
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return err
	}
	entries, err := files.ReadDir(".")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		text, err := files.ReadFile(entry.Name())
		if err != nil {
			return err
		}
		wanted := &apiextensions.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(text, wanted); err != nil {
			return fmt.Errorf("%s: %w", entry.Name(), err)
		}
		if err := apply(ctx, client, wanted); err != nil {
			return fmt.Errorf("install %s: %w", wanted.Name, err)
		}
		if err := served(ctx, client, wanted); err != nil {
			return fmt.Errorf("wait for %s: %w", wanted.Name, err)
		}
	}
	return nil
}

func apply(ctx context.Context, client clientset.Interface, wanted *apiextensions.CustomResourceDefinition) error {
	definitions := client.ApiextensionsV1().CustomResourceDefinitions()
	_, err := definitions.Create(ctx, wanted, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	existing, err := definitions.Get(ctx, wanted.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	existing.Spec = wanted.Spec
	_, err = definitions.Update(ctx, existing, metav1.UpdateOptions{})
	return err
}

// served waits until the type can be listed: a definition that is established
// is not at once known to the handler.
func served(ctx context.Context, client clientset.Interface, definition *apiextensions.CustomResourceDefinition) error {
	path := fmt.Sprintf("/apis/%s/%s/%s", definition.Spec.Group, definition.Spec.Versions[0].Name, definition.Spec.Names.Plural)
	return wait.PollUntilContextTimeout(ctx, settle, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := client.Discovery().RESTClient().Get().AbsPath(path).Param("limit", "1").Do(ctx).Error()
		return err == nil, nil
	})
}
