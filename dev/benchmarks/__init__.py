"""Speed, memory and sensitivity of the pipeline itself, measured; never part of a timed test."""
