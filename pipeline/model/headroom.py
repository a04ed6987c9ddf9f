"""How much of a machine is left, and when that is too little."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MEMORY_RESERVE = 0.10
"""Share of the machine's memory that stays free: below it the kernel begins to kill and to wait."""

DISK_RESERVE = 2.0**30
"""Bytes of the disk that stay free."""

FILES_SHARE = 0.90
"""Share of the files that a process may open which it may reach."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a machine has left just now.

    Attributes:
        memory: Bytes that programs can still get without swapping.
        memory_total: Bytes of all memory that we may use.
        disk: Free bytes where the output goes.
        files: How many files one process may open at most.
        open_files: How many it has open, by component of the target.
    """

    memory: float
    memory_total: float
    disk: float
    files: float
    open_files: Mapping[str, int] = field(default_factory=dict)


def left(room: Room) -> dict[str, float]:
    """Return how much more of each quantity there may be; below zero where it is too much.

    The names are those of limits (see `QUANTITIES`): memory and `db` in bytes, files by component.
    """
    files = {
        f"files({component})": FILES_SHARE * room.files - count
        for component, count in room.open_files.items()
    }
    memory = room.memory - MEMORY_RESERVE * room.memory_total
    return {"memory": memory, "db": room.disk - DISK_RESERVE, **files}


def shortage(room: Room) -> str:
    """Return which reserve is used up, as a sentence; empty while all are there."""
    if room.memory < MEMORY_RESERVE * room.memory_total:
        return (
            f"the machine has {room.memory / 1e9:.1f} GB of memory left,"
            f" and {MEMORY_RESERVE:.0%} of its {room.memory_total / 1e9:.1f} GB are the reserve"
        )
    if room.disk < DISK_RESERVE:
        return (
            f"the disk has {room.disk / 1e9:.1f} GB left, and {DISK_RESERVE / 1e9:.1f} GB are"
            " the reserve"
        )
    for component, count in room.open_files.items():
        if count > FILES_SHARE * room.files:
            return (
                f"the {component} has {count} files open, and {room.files:.0f} is the limit of a"
                " process (`ulimit -Hn`)"
            )
    return ""
