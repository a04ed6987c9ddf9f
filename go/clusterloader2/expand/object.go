package main

import (
	"fmt"
	"regexp"
)

// templates executes each object template of a step once, as for its first
// object.
func (w *expansion) templates(step tree, values map[string]any) {
	phases, _, _ := step.member("phases")
	phases.each(func(_ string, _ place, phase tree) {
		bundle, _, _ := phase.member("objectBundle")
		bundle.each(func(_ string, from place, object tree) {
			path, own, inside, ok := w.reference(object, from, "objectTemplatePath", "templateFillMap", values)
			if !ok {
				return
			}
			basename, _, _ := object.member("basename")
			inside["BaseName"] = fmt.Sprint(basename.value)
			inside["Index"] = 0
			inside["Name"] = fmt.Sprintf("%v-0", basename.value)
			inside["Namespace"] = "namespace-1"
			if created, ok := w.load(path, inside, own, from); ok {
				w.deletion(created, path)
			}
		})
	})
}

var placeholder = regexp.MustCompile(`\{\{.*\}\}`)

// deletion checks an object template for deletion: ClusterLoader2 removes all
// placeholders then, and needs the kind.
func (w *expansion) deletion(created tree, path string) {
	template, err := read(w.folder, path, place{created.from.path, 1})
	if err != nil {
		w.add(err)
		return
	}
	left, err := documents(plain(template.path, placeholder.ReplaceAllString(template.text, "")))
	if err != nil {
		w.add(fmt.Errorf("%w (without its placeholders, as ClusterLoader2 reads it for a deletion)", err))
		return
	}
	for _, name := range []string{"apiVersion", "kind"} {
		one, at, ok := created.member(name)
		if !ok {
			w.add(faultf(place{template.path, 1}, "an object has `%s`, and this has none", name))
			continue
		}
		var bare tree
		if len(left) > 0 {
			bare, _, _ = left[0].member(name)
		}
		if bare.value != one.value {
			w.add(faultf(at, "`%s` must not come from a placeholder: a deletion reads the template without them", name))
		}
	}
}
