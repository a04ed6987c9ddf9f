"""`deploy` and `load`: two builds that stay up, and loads that are applied to them later."""
