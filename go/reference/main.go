// Reference is a small control plane in the shape of Milo. A benchmark pipeline
// tests itself with it: it starts from nothing, and it can be made worse by a
// known amount.
package main

import (
	"os"

	"github.com/milo-os/milo-perf/reference/internal/app"
)

func main() { os.Exit(app.Main()) }
