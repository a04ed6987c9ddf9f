// Spreads TCP connections over the replicas of a component, as a Kubernetes Service does.
module github.com/milo-os/milo-perf/go/balancer

go 1.24.0
