"""Compare two builds byte for byte: equal builds need no measurement."""

import filecmp
from collections.abc import Mapping
from pathlib import Path

from pipeline.model.ports import Artifact
from pipeline.model.results import MINIMAL, PROFILE


def is_same_build(one: Artifact, other: Artifact, facts: Mapping[str, str]) -> bool:
    """Return whether two artifacts are the same program, started in the same way.

    Args:
        one: First artifact.
        other: Second artifact.
        facts: Facts of the environment.  Every start profile but `minimal` applies the manifests of
            the source tree, so these must be equal, too.
    """
    started = (
        (a.subject.digest, a.product, a.image, a.arguments, a.manager_arguments, dict(a.variables))
        for a in (one, other)
    )
    if next(started) != next(started):
        return False
    is_minimal = facts.get(PROFILE, MINIMAL) == MINIMAL
    return is_minimal or _is_same_folder(one.manifests, other.manifests)


def _is_same_folder(one: Path | None, other: Path | None) -> bool:
    """Return whether two folders have the same files with the same content."""
    if one is None or other is None:
        return one is other
    names, others = (
        sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        for folder in (one, other)
    )
    return names == others and all(
        filecmp.cmp(one / name, other / name, shallow=False) for name in names
    )
