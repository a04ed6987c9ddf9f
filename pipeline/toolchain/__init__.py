"""Get what a run needs: subjects and programs, built or found, and facts of this machine."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import assert_never

from pipeline.model.ports import Artifact, Program
from pipeline.model.results import Machine
from pipeline.model.subject import Product, Spec, SpecKind, Subject, parse_spec
from pipeline.toolchain import milo, reference
from pipeline.toolchain.first_run import first_builds
from pipeline.toolchain.git import tags as git_tags
from pipeline.toolchain.machine import headroom, read_machine
from pipeline.toolchain.milo import (
    BASELINE_BINARY,
    BINARY,
    built_trees,
    shares_etcd_connections,
)
from pipeline.toolchain.programs import (
    own_version,
    program,
    require_found,
    tools_of,
)


def check_settings(spec: Spec) -> None:
    """Raise ConfigError if a build does not accept a setting of its spec; start nothing."""
    if spec.product is Product.REFERENCE:
        reference.check_settings(spec)
    else:
        milo.check_settings(spec)


def require_buildable(spec: Spec, build: str = "") -> None:
    """Return if a build can be got, as far as that is known before anything is built.

    Args:
        spec: Spec of any kind.
        build: Command that builds a source.

    Raises:
        ConfigError: A setting is wrong, or a source has no usable command.
        LaunchError: A binary is missing, not executable or not Milo.
    """
    match spec.kind:
        case SpecKind.SOURCE:
            milo.build_argv(spec, build)
        case SpecKind.BINARY:
            milo.binary(spec)
        case SpecKind.REFERENCE | SpecKind.IMAGE:
            check_settings(spec)
        case _:
            assert_never(spec.kind)


def artifact(spec: Spec, build: str = "") -> Artifact:
    """Return the build of a spec, built if it is not in the cache.

    Raises:
        PipelineError: The subject is missing, or its build failed.
    """
    match spec.kind:
        case SpecKind.REFERENCE:
            return reference.build_reference(spec)
        case SpecKind.BINARY:
            return milo.binary(spec)
        case SpecKind.SOURCE:
            return milo.source(spec, build)
        case SpecKind.IMAGE:  # only a cluster can start it
            check_settings(spec)
            subject = Subject(str(spec), spec.revision)
            return milo.with_settings(spec, subject, Path(), f"{spec.place}@{spec.revision}")
        case _:
            assert_never(spec.kind)


def pin(subject: Subject) -> Subject:
    """Return a subject whose spec means the same build for as long as it can be built.

    Raises:
        BaselineError: The build cannot be repeated.
    """
    is_reference = parse_spec(subject.spec).kind is SpecKind.REFERENCE
    return reference.pin(subject) if is_reference else milo.pin(subject)


def pin_to_source(subject: Subject, source: str) -> Subject:
    """Return a subject that is named by its source; see `milo.pin_to_source`."""
    return milo.pin_to_source(subject, source)


def programs_of(names: Iterable[str]) -> dict[str, Program]:
    """Return programs by their names; see `program`."""
    return {name: program(name) for name in names}


def machine_with(programs: Mapping[str, Program], facts: Mapping[str, str]) -> Machine:
    """Return this machine; versions of programs and facts of the environment identify it, too."""
    machine = read_machine()
    versions = {name: program.version for name, program in programs.items()}
    return Machine({**machine.fingerprint, **versions, **facts}, machine.facts)


__all__ = [
    "BASELINE_BINARY",
    "BINARY",
    "artifact",
    "built_trees",
    "check_settings",
    "first_builds",
    "git_tags",
    "headroom",
    "machine_with",
    "own_version",
    "pin",
    "pin_to_source",
    "program",
    "programs_of",
    "read_machine",
    "require_buildable",
    "require_found",
    "shares_etcd_connections",
    "tools_of",
]
