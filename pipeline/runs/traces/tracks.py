"""CPU, memory and what else was looked at over time, all pairs on one axis of time."""

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.model.subject import Arm
from pipeline.model.traces import Track, TrackPair
from pipeline.system.sanitize import truncate

if TYPE_CHECKING:
    import numpy as np

BINS = 60
"""Of the axis of time: half a minute has a look every half second."""

_UNITS = {"cpu": "cores", "memory": "B", "heap": "B"}
_QUANTITIES = ("cpu", "memory", "goroutines", "heap", "files", "keys")
_CONTAINER = {"cpu_s": "cpu", "memory": "memory"}
_SENTENCE = 200  # characters of what is wrong with a file
_PROCESS = {**_CONTAINER, "files": "files"}

Points = list[tuple[float, float]]
"""Unix time in s, and a value."""

MOST_NAMES = 100
"""Of quantities in one file: ours have at most 18."""


class LooksAllowance:
    """How many bytes of looks may still be read."""

    def __init__(self, size: int = 2**40) -> None:
        """Allow so many bytes."""
        self.size = size

    def text(self, path: Path) -> str:
        """Return the text of a file, which is taken from what is allowed.

        Raises:
            ValueError: It is larger than what is left, or is not UTF-8.
            OSError: It cannot be read.
        """
        self.size -= path.stat().st_size
        if self.size < 0:
            raise ValueError("it is larger than is read")
        return path.read_bytes().decode()


def tracked(
    workload: str,
    places: Mapping[Arm, Sequence[Path]],
    unread: list[str],
    allowed: LooksAllowance | None = None,
) -> list[TrackPair]:
    """Return every quantity that both the probes and the folder kept over time.

    Args:
        workload: Whose folders they are.
        places: By arm, one folder for each pair.
        unread: Gets a sentence for each file that cannot be read.
        allowed: How much may be read, which is taken from it; None for what was written here.
    """
    allowed = allowed or LooksAllowance()
    seen: dict[str, dict[Arm, list[Points]]] = {}
    for arm, folders in places.items():
        for folder in folders:
            for name, points in _looks(folder, unread, allowed).items():
                if len(points) > 1:
                    seen.setdefault(name, {}).setdefault(arm, []).append(points)
    found = []
    for name in sorted(seen, key=_order):
        unit = _UNITS.get(_quantity(name), "1")
        tracks = {
            arm: track(pairs, is_counter=unit == "cores") for arm, pairs in seen[name].items()
        }
        found.append(TrackPair(workload, name, unit, tracks))
    return found


def track(pairs: Sequence[Points], *, is_counter: bool) -> Track:
    """Return the median and the extremes of the pairs at each time.

    Each pair begins at its own first look.  A time at which fewer than half of the pairs were
    looked at is left out: the shape of one late pair is not the shape of all.

    Args:
        pairs: At least one, of at least two looks each.
        is_counter: Whether the values count seconds of CPU, of which the rate is taken.
    """
    import numpy as np

    bins = max(2, min(BINS, max(len(points) for points in pairs) - 1))
    longest = max(points[-1][0] - points[0][0] for points in pairs)
    edges = np.linspace(0.0, max(longest, 1e-9), bins + 1)
    rows = np.vstack([_row(points, edges, is_counter=is_counter) for points in pairs])
    kept = np.isfinite(rows).sum(axis=0) * 2 >= len(pairs)
    centres = (edges[:-1] + edges[1:]) / 2 if bins > 2 else edges[[0, -1]]
    rows, times = rows[:, kept], centres[kept]
    return Track(
        times_s=tuple(map(float, times)),
        low=tuple(map(float, np.nanmin(rows, axis=0))),
        middle=tuple(map(float, np.nanmedian(rows, axis=0))),
        high=tuple(map(float, np.nanmax(rows, axis=0))),
    )


def _row(
    points: Points, edges: "np.ndarray[Any, np.dtype[np.float64]]", *, is_counter: bool
) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return one value for each bin, not a number where the pair was not looked at."""
    import numpy as np

    at = np.array([time_s for time_s, _ in points]) - points[0][0]
    values = np.array([value for _, value in points])
    if is_counter:
        counted = np.interp(edges, at, values, right=np.nan)
        rates: np.ndarray[Any, np.dtype[np.float64]] = np.diff(counted) / np.diff(edges)
        return rates
    where = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, len(edges) - 2)
    sums, counts = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)
    np.add.at(sums, where, values)
    np.add.at(counts, where, 1)
    found = np.full_like(sums, np.nan)
    np.divide(sums, counts, out=found, where=counts > 0)
    return found


def _looks(folder: Path, unread: list[str], allowed: LooksAllowance) -> dict[str, Points]:
    """Return what the files of one folder say, the closer look where two have a quantity."""
    found: dict[str, Points] = {}
    for name, read in (
        ("goroutines.csv", _series),
        ("containers.csv", _container),
        ("process.csv", _process),
        ("series.csv", _series),
    ):
        path = folder / name
        if not path.is_file():
            continue
        try:
            found |= read(csv.DictReader(io.StringIO(allowed.text(path), newline="")))
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            said = truncate(f"{error!r}", _SENTENCE)
            unread.append(f"{path.parent.name}/{name} cannot be read: {said}")
    return found


def _process(rows: "csv.DictReader[str]") -> dict[str, Points]:
    return _columns(rows, _PROCESS)


def _container(rows: "csv.DictReader[str]") -> dict[str, Points]:
    return _columns(rows, _CONTAINER)


def _columns(rows: "csv.DictReader[str]", columns: Mapping[str, str]) -> dict[str, Points]:
    found: dict[str, Points] = defaultdict(list)
    for row in rows:
        for column, quantity in columns.items():
            if value := row[column]:  # empty where the probe might not know it
                _add(found, f"{row['component']}.{quantity}", row["time_s"], value)
    return dict(found)


def _series(rows: "csv.DictReader[str]") -> dict[str, Points]:
    found: dict[str, Points] = defaultdict(list)
    for row in rows:
        _add(found, row["series"], row["time_s"], row["value"])
    return dict(found)


def _add(found: dict[str, Points], name: str, time_s: str, value: str) -> None:
    """Add a look.

    Raises:
        ValueError: It is no number, or it is of more quantities than there can be.
    """
    point = (float(time_s), float(value))
    if not all(map(math.isfinite, point)):
        raise ValueError(f"{name} is not a number")
    found[name].append(point)
    if len(found) > MOST_NAMES:
        raise ValueError(f"it has more than {MOST_NAMES} quantities")


def _quantity(name: str) -> str:
    return name.rpartition(".")[2]


def _order(name: str) -> tuple[int, int, str]:
    component, quantity = name.rpartition(".")[::2]
    known: Iterator[str] = iter(("server", "manager", "etcd"))
    place = next((i for i, one in enumerate(known) if one == component), 3)
    rank = _QUANTITIES.index(quantity) if quantity in _QUANTITIES else len(_QUANTITIES)
    return place, rank, name
