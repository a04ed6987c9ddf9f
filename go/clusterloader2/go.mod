// Programs that run beside ClusterLoader2: a gateway and a checker of configs.
module github.com/milo-os/milo-perf/clusterloader2

go 1.24.0

require go.yaml.in/yaml/v3 v3.0.4
