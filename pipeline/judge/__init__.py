"""Compare samples and decide verdicts: evidence first, then policy; pure."""
