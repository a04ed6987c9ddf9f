"""`releases`: each release of a product, measured against the one before."""
