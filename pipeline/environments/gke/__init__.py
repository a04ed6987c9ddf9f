"""Google Kubernetes Engine: make, list, delete and sweep clusters, within a budget."""
