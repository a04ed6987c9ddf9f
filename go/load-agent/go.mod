// What runs a load generator in a Pod, and keeps what it measured.
module github.com/milo-os/milo-perf/keeper

go 1.24.0
