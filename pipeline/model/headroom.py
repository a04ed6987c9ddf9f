"""The resources that a machine has left, and the reserves below which a measurement stops."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

MEMORY_RESERVE = 0.10
"""Share of the memory that must stay free: below it the kernel begins to reclaim and kill."""

DISK_RESERVE = 2.0**30
"""Bytes of the disk that must stay free."""

FILES_SHARE = 0.90
"""Share of the open file limit that a process may reach."""


class HeadroomExhaustedError(Exception):
    """A reserve of the machine is exhausted; the message says which."""


@dataclass(frozen=True, slots=True)
class Headroom:
    """The resources that a machine has left at one moment.

    Attributes:
        memory: Bytes of memory that programs can still get without swapping.
        memory_total: Bytes of memory that we may use in total.
        disk: Free bytes of the disk of the output folder.
        files: Limit of open files of one process.
        open_files: Open files of each component of the target.
    """

    memory: float
    memory_total: float
    disk: float
    files: float
    open_files: Mapping[str, int] = field(default_factory=dict)


def remaining(headroom: Headroom) -> dict[str, float]:
    """Return how far each quantity can grow; negative if its reserve is exhausted.

    The names are those of limits (see `QUANTITIES`): memory and `db` in bytes, files by component.
    What has no bound is left out.
    """
    files = {
        f"files({component})": FILES_SHARE * headroom.files - count
        for component, count in headroom.open_files.items()
    }
    memory = headroom.memory - MEMORY_RESERVE * headroom.memory_total
    left = {"memory": memory, "db": headroom.disk - DISK_RESERVE, **files}
    return {name: value for name, value in left.items() if math.isfinite(value)}


def require_reserves(headroom: Headroom) -> None:
    """Raise HeadroomExhaustedError if a reserve of the machine is exhausted."""
    if headroom.memory < MEMORY_RESERVE * headroom.memory_total:
        raise HeadroomExhaustedError(
            f"the machine has {headroom.memory / 1e9:.1f} GB of memory left, and the reserve is"
            f" {MEMORY_RESERVE:.0%} of its {headroom.memory_total / 1e9:.1f} GB"
        )
    if headroom.disk < DISK_RESERVE:
        raise HeadroomExhaustedError(
            f"the disk has {headroom.disk / 1e9:.1f} GB left, and the reserve is"
            f" {DISK_RESERVE / 1e9:.1f} GB"
        )
    for component, count in headroom.open_files.items():
        if count > FILES_SHARE * headroom.files:
            raise HeadroomExhaustedError(
                f"the {component} has {count} files open, and the limit of a process is"
                f" {headroom.files:.0f} (`ulimit -Hn`)"
            )
