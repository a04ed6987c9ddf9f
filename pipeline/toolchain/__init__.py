"""Get what a run needs: subjects and programs, built or found, and facts of this machine."""

from pipeline.toolchain.connections import shares_connections
from pipeline.toolchain.faults import FAULTS
from pipeline.toolchain.machine import machine
from pipeline.toolchain.milo import BASELINE_BINARY, BINARY
from pipeline.toolchain.programs import etcd, k6, ourselves
from pipeline.toolchain.reference import reference
from pipeline.toolchain.space import room
from pipeline.toolchain.subjects import artifact, check, pinned

__all__ = [
    "BASELINE_BINARY",
    "BINARY",
    "FAULTS",
    "artifact",
    "check",
    "etcd",
    "k6",
    "machine",
    "ourselves",
    "pinned",
    "reference",
    "room",
    "shares_connections",
]
