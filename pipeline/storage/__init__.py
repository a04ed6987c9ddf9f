"""Files that we keep or are given: JSON, TOML, CSV, stored baselines, and artifacts of other jobs."""
