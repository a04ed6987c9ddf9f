"""`evaluate`: the same workloads by k6 and by ClusterLoader2, compared."""
