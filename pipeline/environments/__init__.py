"""Environments start subjects: processes of this machine, or Pods of a cluster."""
