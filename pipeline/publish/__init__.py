"""Tell GitHub what a run found: a summary, a check, a comment, an issue."""
