"""The history of metrics, night after night: kept, read, and searched for steps."""
