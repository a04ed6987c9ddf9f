"""Get what a run needs: subjects and programs, built or found, and facts of this machine."""

from pipeline.toolchain.faults import FAULTS, check
from pipeline.toolchain.machine import machine
from pipeline.toolchain.programs import etcd, k6, ourselves
from pipeline.toolchain.reference import pinned, reference

__all__ = ["FAULTS", "check", "etcd", "k6", "machine", "ourselves", "pinned", "reference"]
