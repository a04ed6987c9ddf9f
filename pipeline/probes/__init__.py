"""What watches a target while a workload runs, from outside."""
