package apis

import (
	"reflect"
	"strings"

	extensions "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Definitions describes every type of the API. It is read from the Go types, because Kubernetes'
// generated descriptions are one package for all types it has.
func Definitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	all := extensions.GetOpenAPIDefinitions(ref) // Those of meta/v1 too.
	for _, types := range served {
		for _, object := range types {
			describe(reflect.TypeOf(object).Elem(), ref, all)
		}
	}
	return all
}

// documented is what the types of k8s.io/api have for the texts of their fields.
type documented interface{ SwaggerDoc() map[string]string }

// describe adds a struct and all that it refers to, and returns its name.
func describe(t reflect.Type, ref common.ReferenceCallback, all map[string]common.OpenAPIDefinition) string {
	name := t.PkgPath() + "." + t.Name()
	if _, known := all[name]; known {
		return name
	}
	texts := map[string]string{}
	if type_, ok := reflect.New(t).Interface().(documented); ok {
		texts = type_.SwaggerDoc()
	}
	s := structure{ref: ref, all: all, texts: texts}
	s.Type, s.Description, s.Properties = spec.StringOrArray{"object"}, texts[""], map[string]spec.Schema{}
	s.add(t)
	all[name] = common.OpenAPIDefinition{Schema: spec.Schema{SchemaProps: s.SchemaProps}, Dependencies: s.refers}
	return name
}

// structure is the description of one struct that is being written.
type structure struct {
	spec.SchemaProps
	ref    common.ReferenceCallback
	all    map[string]common.OpenAPIDefinition
	texts  map[string]string
	refers []string
}

func (s *structure) add(t reflect.Type) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" { // Inlined, as TypeMeta is.
			s.add(field.Type)
			continue
		}
		property := s.schema(field.Type)
		property.Description = s.texts[name]
		if strategy := field.Tag.Get("patchStrategy"); strategy != "" {
			property.AddExtension("x-kubernetes-patch-strategy", strategy)
		}
		if key := field.Tag.Get("patchMergeKey"); key != "" {
			property.AddExtension("x-kubernetes-patch-merge-key", key)
			property.AddExtension("x-kubernetes-list-type", "map")
			property.AddExtension("x-kubernetes-list-map-keys", []any{key})
		}
		s.Properties[name] = property
		if !strings.Contains(options, "omitempty") {
			s.Required = append(s.Required, name)
		}
	}
}

func (s *structure) schema(t reflect.Type) spec.Schema {
	switch t.Kind() {
	case reflect.Pointer:
		return s.schema(t.Elem())
	case reflect.Struct:
		name := describe(t, s.ref, s.all)
		s.refers = append(s.refers, name)
		return spec.Schema{SchemaProps: spec.SchemaProps{Ref: s.ref(name)}}
	case reflect.Map:
		return *spec.MapProperty(pointer(s.schema(t.Elem())))
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return *spec.StrFmtProperty("byte")
		}
		return *spec.ArrayProperty(pointer(s.schema(t.Elem())))
	case reflect.Bool:
		return *spec.BooleanProperty()
	case reflect.Int32:
		return *spec.Int32Property()
	case reflect.Int64:
		return *spec.Int64Property()
	default:
		return *spec.StringProperty()
	}
}

func pointer(schema spec.Schema) *spec.Schema { return &schema }
