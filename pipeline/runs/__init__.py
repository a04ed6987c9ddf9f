"""A run, from the request to the report: plan, measure, keep, resume."""
