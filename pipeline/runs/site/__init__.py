"""Build a static site of nights: read histories, render pages, write what changed."""
