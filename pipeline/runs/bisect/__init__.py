"""`bisect`: the commit that changed a metric, found by measuring."""
