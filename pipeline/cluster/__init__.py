"""Make a cluster for a night, delete it, and sweep up what nights have left behind."""
