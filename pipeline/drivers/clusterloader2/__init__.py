"""ClusterLoader2, the second load driver; `settings.py` is what a suite declares."""
