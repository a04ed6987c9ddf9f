"""Get what a run needs: subjects and programs, built or found, and facts of this machine."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pipeline.ports import Program
from pipeline.toolchain.clusterloader2 import clusterloader2
from pipeline.toolchain.connections import shares_connections
from pipeline.toolchain.expand import expander
from pipeline.toolchain.faults import FAULTS
from pipeline.toolchain.kind import kind, kubectl
from pipeline.toolchain.machine import machine
from pipeline.toolchain.milo import BASELINE_BINARY, BINARY
from pipeline.toolchain.monitoring import gateway, prometheus
from pipeline.toolchain.programs import etcd, k6, ourselves
from pipeline.toolchain.reference import reference
from pipeline.toolchain.space import room
from pipeline.toolchain.subjects import artifact, check, pinned

PROGRAMS: Mapping[str, Callable[[], Program]] = MappingProxyType(
    {
        "etcd": etcd,
        "k6": k6,
        "clusterloader2": clusterloader2,
        "expand": expander,
        "gateway": gateway,
        "prometheus": prometheus,
        "kind": kind,
        "kubectl": kubectl,
    }
)
"""What finds or builds each program that a run may want, by its name."""

__all__ = [
    "BASELINE_BINARY",
    "BINARY",
    "FAULTS",
    "PROGRAMS",
    "artifact",
    "check",
    "clusterloader2",
    "etcd",
    "expander",
    "gateway",
    "k6",
    "kind",
    "kubectl",
    "machine",
    "ourselves",
    "pinned",
    "prometheus",
    "reference",
    "room",
    "shares_connections",
]
