"""`explain`: extra pairs with profiles, and what they say of the metrics that moved."""
