"""`history`: runs of many nights, and when a metric changed."""
