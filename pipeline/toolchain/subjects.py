"""From a spec to a build that can be started, whatever its kind."""

from pathlib import Path
from typing import assert_never

from pipeline.model.ports import Artifact
from pipeline.model.subject import Product, Spec, SpecKind, Subject, parse_spec
from pipeline.toolchain import faults, milo
from pipeline.toolchain.reference import pinned as pinned_reference
from pipeline.toolchain.reference import reference


def check(spec: Spec) -> None:
    """Return if a build would accept every setting of a spec; builds and starts nothing.

    Raises:
        ConfigError: Naming the setting, and what would do.
    """
    if spec.product is Product.REFERENCE:
        faults.check(spec)
    else:
        milo.check(spec)


def artifact(spec: Spec, build: str = "") -> Artifact:
    """Return the build that a spec names, made if it is not there yet.

    Args:
        spec: Of any kind.
        build: Command that builds a source; see `milo.source`.

    Raises:
        PipelineError: See `reference.reference`, `milo.binary` and `milo.source`.
    """
    match spec.kind:
        case SpecKind.REFERENCE:
            return reference(spec)
        case SpecKind.BINARY:
            return milo.binary(spec)
        case SpecKind.SOURCE:
            return milo.source(spec, build)
        case SpecKind.IMAGE:
            return _image(spec)
        case _:
            assert_never(spec.kind)


def _image(spec: Spec) -> Artifact:
    """Return Milo as a container image, which only a cluster can start."""
    check(spec)
    subject = Subject(str(spec), spec.revision)
    return milo.given_to(spec, subject, Path(), f"{spec.place}@{spec.revision}")


def pinned(subject: Subject) -> Subject:
    """Return a subject whose spec means the same build for as long as it can be made.

    Raises:
        BaselineError: It could not be made again.
    """
    if parse_spec(subject.spec).product is Product.REFERENCE:
        return pinned_reference(subject)
    return milo.pinned(subject)
