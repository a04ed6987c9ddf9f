"""Tools for developers of this project: benchmarks and fuzzing. Nothing here is installed."""
