package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
)

// source is the text of a template in a file.
type source struct {
	path   string // for people
	text   string
	parsed *template.Template
}

// output is the result of a template, with the source line of each line.
type output struct {
	path  string
	text  []byte
	lines []int
}

// at returns the source position of a line of the output; lines count from 1.
func (o output) at(line int) place {
	return place{o.path, o.lines[max(0, min(line-1, len(o.lines)-1))]}
}

// plain returns a text that is not a template.
func plain(path, text string) output {
	found := output{path: path, text: []byte(text)}
	for line := range 1 + strings.Count(text, "\n") {
		found.lines = append(found.lines, line+1)
	}
	return found
}

// read parses the template in a file of the config's folder. Paths are resolved
// like in ClusterLoader2: one with a leading slash is below the folder, too.
func read(folder, path string, from place) (source, error) {
	shown := filepath.Join(folder, path)
	content, err := os.ReadFile(shown)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return source{}, faultf(from, "there is no file %s", shown)
		}
		return source{}, faultf(from, "%s cannot be read: %v", shown, err)
	}
	// Lines are counted in the text as it is, so no marker may be in it.
	if bytes.ContainsRune(content, 0) {
		return source{}, faultf(place{shown, 1}, "this is not a text file")
	}
	parsed, err := template.New(shown).Funcs(functions(folder)).Parse(string(content))
	if err != nil {
		return source{}, ofTemplate(err, shown)
	}
	return source{shown, string(content), parsed}, nil
}

// execute returns the result of the template. To find the source of each line, it
// puts a mark at the beginning of every line of the template, and removes the
// marks from the output.
func (s source) execute(values map[string]any) (output, error) {
	marked, err := s.parsed.Clone()
	if err != nil {
		return output{}, err
	}
	marked.Tree = marked.Tree.Copy()
	each(marked.Root, func(node *parse.TextNode) {
		node.Text = withMarks(node.Text, s.lineOf(node.Pos))
	})
	var all bytes.Buffer
	if err := marked.Execute(&all, values); err != nil {
		return output{}, ofTemplate(err, s.path)
	}
	found := output{path: s.path}
	line := 1
	for _, with := range strings.Split(all.String(), "\n") {
		parts := strings.Split(with, "\x00") // text, mark, text, mark, text
		if len(parts) > 1 {
			line, _ = strconv.Atoi(parts[1])
		}
		for i := 0; i < len(parts); i += 2 {
			found.text = append(found.text, parts[i]...)
		}
		found.text = append(found.text, '\n')
		found.lines = append(found.lines, line)
	}
	return found, nil
}

func (s source) lineOf(at parse.Pos) int { return 1 + strings.Count(s.text[:at], "\n") }

func (s source) place(at parse.Pos) place { return place{s.path, s.lineOf(at)} }

func withMarks(text []byte, line int) []byte {
	var found []byte
	for i, part := range bytes.SplitAfter(text, []byte("\n")) {
		found = append(found, "\x00"+strconv.Itoa(line+i)+"\x00"...)
		found = append(found, part...)
	}
	return found
}

// each calls visit for every text of a template.
func each(node parse.Node, visit func(*parse.TextNode)) {
	switch node := node.(type) {
	case *parse.TextNode:
		visit(node)
	case *parse.ListNode:
		if node != nil {
			for _, child := range node.Nodes {
				each(child, visit)
			}
		}
	case *parse.IfNode:
		each(node.List, visit)
		each(node.ElseList, visit)
	case *parse.RangeNode:
		each(node.List, visit)
		each(node.ElseList, visit)
	case *parse.WithNode:
		each(node.List, visit)
		each(node.ElseList, visit)
	}
}

var templateError = regexp.MustCompile(`(?s)^template: (.*?):(\d+)(?::\d+)?: (?:executing "[^"]*" )?(.*)$`)

// ofTemplate returns an error of text/template as a fault.
func ofTemplate(err error, path string) error {
	found := templateError.FindStringSubmatch(err.Error())
	if found == nil {
		return faultf(place{path, 1}, "%v", err)
	}
	line, _ := strconv.Atoi(found[2])
	return fault{place{path, line}, found[3]}
}
