package main

import (
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// tree is a YAML document with the position of each of its parts.
type tree struct {
	node  *yaml.Node
	value any // of JSON: numbers are float64
	from  output
}

var (
	yamlError = regexp.MustCompile(`line (\d+): (.*)`)
	// What its parser says, and not its scanner, has lines that count from 0.
	fromZero = regexp.MustCompile(`^did not find expected (?:<|node content|'-'|key|',')`)
)

// documents returns the YAML documents in the output of a template.
func documents(from output) ([]tree, error) {
	decoder := yaml.NewDecoder(strings.NewReader(string(from.text)))
	var found []tree
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, ofYAML(err, from)
		}
		var value any
		if err := node.Decode(&value); err != nil {
			return nil, ofYAML(err, from)
		}
		if value == nil {
			continue
		}
		asJSON, err := throughJSON(value)
		if err != nil {
			return nil, faultf(from.at(node.Line), "%v", err)
		}
		found = append(found, tree{node.Content[0], asJSON, from})
	}
}

// throughJSON returns a value with the types that ClusterLoader2 sees, because it
// converts all YAML to JSON.
func throughJSON(value any) (any, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var found any
	err = json.Unmarshal(text, &found)
	return found, err
}

func ofYAML(err error, from output) error {
	text, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if found := yamlError.FindStringSubmatch(text); found != nil {
		line, _ = strconv.Atoi(found[1])
		text = found[2]
		if fromZero.MatchString(text) {
			line++
		}
	}
	return fault{from.at(line), "this is not YAML: " + text}
}

// places adds the position of the document and of all its parts. The position of
// a member of an object is that of its name.
func (t tree) places(below string, found map[string]string) {
	found[below] = t.from.at(t.node.Line).String()
	t.each(func(name string, at place, child tree) {
		pointer := below + "/" + name
		child.places(pointer, found)
		found[pointer] = at.String()
	})
}

// each calls visit for every member of an object and every item of an array;
// other trees, and nil, have none.
func (t tree) each(visit func(name string, at place, child tree)) {
	node := t.node
	for node != nil && node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch value := t.value.(type) {
	case map[string]any:
		for i := 0; i+1 < len(node.Content); i += 2 {
			name, child := node.Content[i], node.Content[i+1]
			visit(name.Value, t.from.at(name.Line), tree{child, value[name.Value], t.from})
		}
	case []any:
		for i, child := range node.Content {
			visit(strconv.Itoa(i), t.from.at(child.Line), tree{child, value[i], t.from})
		}
	}
}

// member returns a member of an object, by name without regard to case, as Go
// reads JSON; false if there is none.
func (t tree) member(name string) (tree, place, bool) {
	var found tree
	var where place
	isThere := false
	t.each(func(each string, at place, child tree) {
		if strings.EqualFold(each, name) {
			found, where, isThere = child, at, true
		}
	})
	return found, where, isThere
}
