"""Turn the spec of any product into a build that can be started."""

from pathlib import Path
from typing import assert_never

from pipeline.model.ports import Artifact
from pipeline.model.subject import Product, Spec, SpecKind, Subject, parse_spec
from pipeline.toolchain import milo, reference


def check(spec: Spec) -> None:
    """Return if a build accepts every setting of a spec; builds and starts nothing.

    Raises:
        ConfigError: Naming the setting, and an accepted one.
    """
    if spec.product is Product.REFERENCE:
        reference.check(spec)
    else:
        milo.check(spec)


def artifact(spec: Spec, build: str = "") -> Artifact:
    """Return the build of a spec, built if it is not in the cache.

    Args:
        spec: Spec of any kind.
        build: Command that builds a source; see `milo.source`.

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
            check(spec)
            subject = Subject(str(spec), spec.revision)
            return milo.with_settings(spec, subject, Path(), f"{spec.place}@{spec.revision}")
        case _:
            assert_never(spec.kind)


def pin(subject: Subject) -> Subject:
    """Return a subject whose spec means the same build for as long as it can be built.

    Raises:
        BaselineError: The build cannot be repeated.
    """
    if parse_spec(subject.spec).product is Product.REFERENCE:
        return reference.pin(subject)
    return milo.pin(subject)
