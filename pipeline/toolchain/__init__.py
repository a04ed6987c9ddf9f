"""Get what a run needs: subjects and programs, built or found, and facts of this machine."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from pipeline.model.ports import Program
from pipeline.model.results import Machine
from pipeline.toolchain.ahead import first_builds
from pipeline.toolchain.clusterloader2 import clusterloader2
from pipeline.toolchain.connections import shares_connections
from pipeline.toolchain.expand import expander
from pipeline.toolchain.faults import FAULTS
from pipeline.toolchain.free_resources import headroom
from pipeline.toolchain.kind import kind, kubectl
from pipeline.toolchain.load_agent import load_agent
from pipeline.toolchain.machine import machine
from pipeline.toolchain.milo import BASELINE_BINARY, BINARY
from pipeline.toolchain.monitoring import gateway, prometheus
from pipeline.toolchain.programs import etcd, k6, ourselves
from pipeline.toolchain.reference import reference
from pipeline.toolchain.subjects import artifact, check, pinned

PROGRAMS: Mapping[str, Callable[[], Program]] = MappingProxyType(
    {
        "etcd": etcd,
        "k6": k6,
        "clusterloader2": clusterloader2,
        "expand": expander,
        "gateway": gateway,
        "prometheus": prometheus,
        "load-agent": load_agent,
        "kind": kind,
        "kubectl": kubectl,
    }
)
"""What finds or builds each program that a run may want, by its name."""


def programs_of(names: Iterable[str]) -> dict[str, Program]:
    """Return programs by their names, each built if it is not yet.

    Raises:
        PipelineError: One is missing, something else, or cannot be built.
    """
    return {name: PROGRAMS[name]() for name in names}


def machine_with(programs: Mapping[str, Program], facts: Mapping[str, str]) -> Machine:
    """Return this machine; its fingerprint has the versions of programs, and facts of where we run.

    Args:
        programs: By name, those that take part.
        facts: Of the environment.
    """
    found = machine()
    versions = {name: program.version for name, program in programs.items()}
    return Machine({**found.fingerprint, **versions, **facts}, found.facts)


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
    "first_builds",
    "gateway",
    "headroom",
    "k6",
    "kind",
    "kubectl",
    "load_agent",
    "machine",
    "machine_with",
    "ourselves",
    "pinned",
    "programs_of",
    "prometheus",
    "reference",
    "shares_connections",
]
