"""Files that we keep or read: JSON, TOML, CSV, stored baselines, artifacts of other jobs."""
