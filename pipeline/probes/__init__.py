"""Probes: programs that watch a target from outside while a workload runs."""
