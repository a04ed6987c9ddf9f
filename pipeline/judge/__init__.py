"""From samples to findings: evidence first, then policy."""
