"""Readers of foreign bytes under arbitrary input: each refuses in one sentence, or understands."""
