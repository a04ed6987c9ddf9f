"""Where subjects run.  A new one is a file here and a name in config.py."""
