// Holds thousands of watches over Secrets and ConfigMaps while it writes them, and accounts for every event.
module github.com/milo-os/milo-perf/go/watch-herd

go 1.24.0
