"""Get what a run needs: subjects and programs, built or found, and facts of this machine."""

from collections.abc import Iterable, Mapping

from pipeline.model.ports import Program
from pipeline.model.results import Machine
from pipeline.toolchain.machine import headroom, read_machine
from pipeline.toolchain.milo import BASELINE_BINARY, BINARY, shares_etcd_connections
from pipeline.toolchain.programs import (
    PROGRAMS,
    clusterloader2,
    etcd,
    expander,
    first_builds,
    gateway,
    k6,
    kind,
    kubectl,
    load_agent,
    own_version,
    prometheus,
    tools_of,
)
from pipeline.toolchain.reference import FAULTS, build_reference
from pipeline.toolchain.subjects import artifact, check, pin


def programs_of(names: Iterable[str]) -> dict[str, Program]:
    """Return programs by their names, each built if it is not in the cache.

    Raises:
        PipelineError: One is missing, is another program, or cannot be built.
    """
    return {name: PROGRAMS[name]() for name in names}


def machine_with(programs: Mapping[str, Program], facts: Mapping[str, str]) -> Machine:
    """Return this machine, with versions of programs and facts of the environment as fingerprint.

    Args:
        programs: Programs that take part, by name.
        facts: Facts of the environment.
    """
    machine = read_machine()
    versions = {name: program.version for name, program in programs.items()}
    return Machine({**machine.fingerprint, **versions, **facts}, machine.facts)


__all__ = [
    "BASELINE_BINARY",
    "BINARY",
    "FAULTS",
    "PROGRAMS",
    "artifact",
    "build_reference",
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
    "machine_with",
    "own_version",
    "pin",
    "programs_of",
    "prometheus",
    "read_machine",
    "shares_etcd_connections",
    "tools_of",
]
