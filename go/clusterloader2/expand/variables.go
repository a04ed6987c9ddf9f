package main

import (
	"text/template/parse"
)

// use is a variable that a template reads, and the position of the first read.
type use struct {
	at       place
	required bool // somewhere without DefaultParam
}

// variables returns the values that a template reads: `.name`, and `$.name` where
// the dot is something else.
func (s source) variables() map[string]use {
	found := reader{s, map[string]use{}}
	found.node(s.parsed.Root, true)
	return found.uses
}

type reader struct {
	source source
	uses   map[string]use
}

// node visits a part of a template; isRoot is true if the dot there is the value
// that the template was given.
func (r reader) node(node parse.Node, isRoot bool) {
	switch node := node.(type) {
	case *parse.ListNode:
		if node != nil {
			for _, child := range node.Nodes {
				r.node(child, isRoot)
			}
		}
	case *parse.ActionNode:
		r.node(node.Pipe, isRoot)
	case *parse.IfNode:
		r.branch(&node.BranchNode, isRoot, isRoot)
	case *parse.RangeNode:
		r.branch(&node.BranchNode, isRoot, false)
	case *parse.WithNode:
		r.branch(&node.BranchNode, isRoot, false)
	case *parse.PipeNode:
		if node != nil {
			for _, command := range node.Cmds {
				r.command(command, isRoot)
			}
		}
	case *parse.FieldNode:
		if isRoot {
			r.add(node.Ident[0], node.Pos, true)
		}
	case *parse.VariableNode:
		if node.Ident[0] == "$" && len(node.Ident) > 1 {
			r.add(node.Ident[1], node.Pos, true)
		}
	case *parse.ChainNode:
		r.node(node.Node, isRoot)
	}
}

func (r reader) branch(node *parse.BranchNode, isRoot, insideIsRoot bool) {
	r.node(node.Pipe, isRoot)
	r.node(node.List, insideIsRoot)
	r.node(node.ElseList, isRoot)
}

func (r reader) command(command *parse.CommandNode, isRoot bool) {
	arguments := command.Args
	if name, ok := arguments[0].(*parse.IdentifierNode); ok && name.Ident == "DefaultParam" && len(arguments) > 1 {
		switch first := arguments[1].(type) {
		case *parse.FieldNode:
			if isRoot {
				r.add(first.Ident[0], first.Pos, false)
			}
			arguments = arguments[2:]
		case *parse.VariableNode:
			if first.Ident[0] == "$" && len(first.Ident) > 1 {
				r.add(first.Ident[1], first.Pos, false)
			}
			arguments = arguments[2:]
		}
	}
	for _, argument := range arguments {
		r.node(argument, isRoot)
	}
}

func (r reader) add(name string, at parse.Pos, required bool) {
	found, known := r.uses[name]
	if !known || required && !found.required {
		found = use{r.source.place(at), required}
	}
	r.uses[name] = found
}
