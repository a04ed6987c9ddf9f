"""Load the Milo API server, measure it, and judge one build against another."""
