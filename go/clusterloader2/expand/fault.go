package main

import (
	"fmt"
	"strconv"
)

// place is a line of a file.
type place struct {
	file string
	line int
}

func (p place) String() string { return p.file + ":" + strconv.Itoa(p.line) }

// fault is a part of a file that ClusterLoader2 could not use.
type fault struct {
	at   place
	text string
}

func (f fault) Error() string { return f.at.String() + ": " + f.text }

func faultf(at place, format string, values ...any) error {
	return fault{at, fmt.Sprintf(format, values...)}
}
