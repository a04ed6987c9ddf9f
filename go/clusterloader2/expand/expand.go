package main

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const mostModules = 100 // one below the other; more is a module that contains itself

// Expanded is a config as ClusterLoader2 runs it.
type Expanded struct {
	// Config has its steps flattened.
	Config map[string]any `json:"config"`
	// Places has FILE:LINE of everything in the config, by the names and numbers
	// that lead there, each after a slash.
	Places map[string]string `json:"places"`
	// Unused are the parameters that nothing in the config reads.
	Unused []string `json:"unused"`
}

// expansion is the state of expanding one config.
type expansion struct {
	folder string
	given  map[string]any  // parameters, by name
	used   map[string]bool // those that something reads
	faults []error         // each once
}

// expand reads a config and all files that it refers to.
//
// Source of the rules: kubernetes/perf-tests, clusterloader2/pkg/test/modules.go
// and simple_test_executor.go, clusterloader2/pkg/config/template_provider.go.
func expand(path, overrides string) (*Expanded, error) {
	work := &expansion{filepath.Dir(path), map[string]any{}, map[string]bool{}, nil}
	if overrides != "" {
		if err := work.read(overrides); err != nil {
			return nil, err
		}
	}
	given := maps.Clone(work.given)
	given["Nodes"], given["ImageRegistry"] = 1.0, "registry.k8s.io"
	config, ok := work.load(filepath.Base(path), given, nil, place{path, 1})
	if !ok {
		return nil, errors.Join(work.faults...)
	}
	var steps []tree
	found := &Expanded{map[string]any{}, map[string]string{"": config.from.at(config.node.Line).String()}, []string{}}
	config.each(func(name string, at place, child tree) {
		if strings.EqualFold(name, "steps") {
			work.flatten(child, given, 0, &steps)
			return
		}
		found.Config[name] = child.value
		child.places("/"+name, found.Places)
		found.Places["/"+name] = at.String()
	})
	flat := []any{}
	for i, step := range steps {
		flat = append(flat, step.value)
		step.places("/steps/"+strconv.Itoa(i), found.Places)
	}
	found.Config["steps"] = flat
	for name := range work.given {
		if !work.used[name] {
			found.Unused = append(found.Unused, name)
		}
	}
	slices.Sort(found.Unused)
	return found, errors.Join(work.faults...)
}

// read adds the parameters of a file, which is no template.
func (w *expansion) read(path string) error {
	text, err := content(path)
	if err != nil {
		return faultf(place{path, 1}, "it cannot be read: %v", err)
	}
	found, err := documents(plain(path, text))
	if err != nil {
		return err
	}
	for _, one := range found {
		values, ok := one.value.(map[string]any)
		if !ok {
			return faultf(place{path, 1}, "parameters are names with values")
		}
		maps.Copy(w.given, values)
	}
	return nil
}

func (w *expansion) add(err error) {
	if !slices.ContainsFunc(w.faults, func(known error) bool { return known.Error() == err.Error() }) {
		w.faults = append(w.faults, err)
	}
}

// load returns the object that a template renders to, or adds a fault and returns
// false. Every value that the template reads must be given, and it must read all
// of its own parameters.
func (w *expansion) load(path string, values map[string]any, own map[string]place, from place) (tree, bool) {
	template, err := read(w.folder, path, from)
	if err != nil {
		w.add(err)
		return tree{}, false
	}
	if !w.agree(template, values, own, from) {
		return tree{}, false
	}
	written, err := template.execute(values)
	if err != nil {
		w.add(err)
		return tree{}, false
	}
	found, err := documents(written)
	switch {
	case err != nil:
		w.add(err)
	case len(found) == 0:
		w.add(faultf(place{template.path, 1}, "there is nothing in it"))
	default:
		if _, isObject := found[0].value.(map[string]any); isObject {
			return found[0], true
		}
		w.add(faultf(written.at(found[0].node.Line), "these are not names with values"))
	}
	return tree{}, false
}

func (w *expansion) agree(template source, values map[string]any, own map[string]place, from place) bool {
	reads := template.variables()
	ok := true
	for _, name := range slices.Sorted(maps.Keys(reads)) {
		w.used[name] = true
		if _, known := values[name]; known || !reads[name].required {
			continue
		}
		ok = false
		if own == nil {
			w.add(faultf(reads[name].at, "`.%s` has no value and no default", name))
		} else {
			w.add(faultf(from, "`%s` is not given, and %s reads it", name, reads[name].at))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if _, known := reads[name]; !known {
			ok = false
			w.add(faultf(own[name], "`%s` is given, and nothing in %s reads it", name, template.path))
		}
	}
	return ok
}

// flatten adds the steps of a list, with modules replaced by their steps.
func (w *expansion) flatten(list tree, values map[string]any, depth int, steps *[]tree) {
	list.each(func(_ string, _ place, step tree) {
		module, from, isModule := step.member("module")
		if !isModule {
			*steps = append(*steps, step)
			w.templates(step, values)
			return
		}
		if depth >= mostModules {
			w.add(faultf(from, "modules are more than %d deep: does one contain itself?", mostModules))
			return
		}
		w.only(step, "a step that is a module", "module", "name")
		w.only(module, "a module", "path", "params")
		path, own, inside, ok := w.reference(module, from, "path", "params", values)
		if !ok {
			return
		}
		loaded, ok := w.load(path, inside, own, from)
		if !ok {
			return
		}
		w.only(loaded, "the file of a module", "steps")
		below, _, _ := loaded.member("steps")
		w.flatten(below, inside, depth+1, steps)
	})
}

// only adds a fault for every unknown member of an object.
func (w *expansion) only(object tree, what string, names ...string) {
	object.each(func(name string, at place, _ tree) {
		if !slices.ContainsFunc(names, func(known string) bool { return strings.EqualFold(known, name) }) {
			w.add(faultf(at, "%s has only `%s`, and this has `%s`", what, strings.Join(names, "`, `"), name))
		}
	})
}

// reference returns the path in an object, its parameters, and all values that
// the template at that path gets.
func (w *expansion) reference(object tree, from place, path, params string, values map[string]any) (string, map[string]place, map[string]any, bool) {
	named, _, _ := object.member(path)
	text, isText := named.value.(string)
	if !isText || text == "" {
		w.add(faultf(from, "`%s` is missing", path))
		return "", nil, nil, false
	}
	own, inside := map[string]place{}, maps.Clone(values)
	given, _, _ := object.member(params)
	given.each(func(name string, at place, child tree) {
		own[name] = at
		inside[name] = child.value
	})
	return text, own, inside, true
}
