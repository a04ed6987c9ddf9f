"""What a person asks `capacity` for."""

DEFAULT_BUDGET = "30m"
