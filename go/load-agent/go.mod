// Runs a load generator in a Pod, and serves its results until they are downloaded.
module github.com/milo-os/milo-perf/go/load-agent

go 1.24.0
