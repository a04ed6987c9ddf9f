"""Whether a build of Milo shares its connections to etcd: before v0.30.0 it opened thousands."""

import mmap
import re
from functools import cache
from pathlib import Path

from pipeline.model.subject import Spec, SpecKind

_FLAG = b"shared-etcd-client-pool-size"
_SHARED_FROM = (0, 30, 0)


@cache
def shares_connections(spec: Spec) -> bool | None:
    """Return whether a build does, or None where that cannot be known without building it.

    A binary has the flag that sets how many; a source has a revision that may be a version.
    """
    if spec.kind is SpecKind.BINARY and spec.place:
        return _has_flag(Path(spec.place))
    version = re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)", spec.revision)
    if spec.kind is not SpecKind.SOURCE or version is None:
        return None
    return (int(version[1]), int(version[2]), int(version[3])) >= _SHARED_FROM


def _has_flag(path: Path) -> bool | None:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            return text.find(_FLAG) >= 0
    except (OSError, ValueError):  # missing, or empty; whoever starts it says so better
        return None
