"""CPU, memory and other quantities over time, with all pairs on one time axis."""

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.model.subject import Arm
from pipeline.model.traces import Track, TrackPair
from pipeline.system.sanitize import truncate

if TYPE_CHECKING:
    import numpy as np

BINS = 60
"""Bins of the time axis: half a minute has one sample every half second."""

MAX_NAMES = 100
"""Most quantities in one file: ours have at most 18."""

Points = list[tuple[float, float]]
"""Unix time in s, and a value."""

_UNITS = {"cpu": "cores", "memory": "B", "heap": "B"}
_COMPONENTS = ("server", "manager", "etcd")
_QUANTITIES = ("cpu", "memory", "goroutines", "heap", "files", "keys")
_MAX_ERROR = 200  # characters

# Column and quantity of each file of a probe; None for files of `series,time_s,value`.  A quantity
# in two files is read from the last one, which samples more often.
_FILES: Mapping[str, Mapping[str, str] | None] = {
    "goroutines.csv": None,
    "containers.csv": {"cpu_s": "cpu", "memory": "memory"},
    "process.csv": {"cpu_s": "cpu", "memory": "memory", "files": "files"},
    "series.csv": None,
}


class TextBudget:
    """Number of bytes of probes' files that may still be read."""

    def __init__(self, size: int = 2**40) -> None:
        """Allow so many bytes."""
        self.size = size

    def read(self, path: Path) -> str:
        """Return the text of a file, and reduce the budget by its size.

        Raises:
            ValueError: The file exceeds the budget, or is not UTF-8.
            OSError: The file cannot be read.
        """
        self.size -= path.stat().st_size
        if self.size < 0:
            raise ValueError("too large to be read")
        return path.read_bytes().decode()


def read_tracks(
    workload: str, folders: Mapping[Arm, Sequence[Path]], unread: list[str], budget: TextBudget
) -> list[TrackPair]:
    """Return every quantity that the probes recorded over time.

    Args:
        workload: Workload of the folders.
        folders: Folders of each arm, one for each pair.
        unread: List that gets a sentence for each file that cannot be read.
        budget: Bytes that may be read; reduced by what was read.
    """
    by_name: dict[str, dict[Arm, list[Points]]] = {}
    for arm, arm_folders in folders.items():
        for folder in arm_folders:
            for name, points in _read_folder(folder, unread, budget).items():
                if len(points) > 1:
                    by_name.setdefault(name, {}).setdefault(arm, []).append(points)
    pairs = []
    for name in sorted(by_name, key=_order):
        unit = _UNITS.get(name.rpartition(".")[2], "1")
        tracks = {
            arm: track(points, is_counter=unit == "cores") for arm, points in by_name[name].items()
        }
        pairs.append(TrackPair(workload, name, unit, tracks))
    return pairs


def track(pairs: Sequence[Points], *, is_counter: bool) -> Track:
    """Return the median and the extremes of the pairs at each time.

    Each pair begins at its own first sample.  Times with samples of fewer than half of the pairs
    are left out, because one late pair does not show the shape of all.

    Args:
        pairs: Points of at least one pair, at least two each.
        is_counter: Whether the values count seconds of CPU, so that their rate is taken.
    """
    import numpy as np

    bins = max(2, min(BINS, max(len(points) for points in pairs) - 1))
    longest = max(points[-1][0] - points[0][0] for points in pairs)
    edges = np.linspace(0.0, max(longest, 1e-9), bins + 1)
    rows = np.vstack([_bin_values(points, edges, is_counter=is_counter) for points in pairs])
    is_used = np.isfinite(rows).sum(axis=0) * 2 >= len(pairs)
    centres = (edges[:-1] + edges[1:]) / 2 if bins > 2 else edges[[0, -1]]
    rows, times = rows[:, is_used], centres[is_used]
    return Track(
        times_s=tuple(map(float, times)),
        low=tuple(map(float, np.nanmin(rows, axis=0))),
        middle=tuple(map(float, np.nanmedian(rows, axis=0))),
        high=tuple(map(float, np.nanmax(rows, axis=0))),
    )


def _bin_values(
    points: Points, edges: "np.ndarray[Any, np.dtype[np.float64]]", *, is_counter: bool
) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return one value for each bin; NaN if the pair has no sample in it."""
    import numpy as np

    times = np.array([time_s for time_s, _ in points]) - points[0][0]
    values = np.array([value for _, value in points])
    if is_counter:
        counted = np.interp(edges, times, values, right=np.nan)
        rates: np.ndarray[Any, np.dtype[np.float64]] = np.diff(counted) / np.diff(edges)
        return rates
    where = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, len(edges) - 2)
    sums, counts = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)
    np.add.at(sums, where, values)
    np.add.at(counts, where, 1)
    means = np.full_like(sums, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def _read_folder(folder: Path, unread: list[str], budget: TextBudget) -> dict[str, Points]:
    """Return the points in the files of one folder, by component and quantity."""
    points: dict[str, Points] = {}
    for name, columns in _FILES.items():
        path = folder / name
        if not path.is_file():
            continue
        try:
            rows = csv.DictReader(io.StringIO(budget.read(path), newline=""))
            points |= _read_rows(rows, columns)
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            reason = truncate(f"{error!r}", _MAX_ERROR)
            unread.append(f"{path.parent.name}/{name} cannot be read: {reason}")
    return points


def _read_rows(
    rows: Iterable[dict[str, str]], columns: Mapping[str, str] | None
) -> dict[str, Points]:
    """Return the points of a file.

    Raises:
        ValueError: A value is not a number, or the file has too many quantities.
    """
    points: dict[str, Points] = defaultdict(list)
    for row in rows:
        if columns is None:
            values = {row["series"]: row["value"]}
        else:
            values = {f"{row['component']}.{name}": row[key] for key, name in columns.items()}
        for name, text in values.items():
            if columns is not None and not text:  # the probe could not read it
                continue
            point = (float(row["time_s"]), float(text))
            if not all(map(math.isfinite, point)):
                raise ValueError(f"{name} is not a number")
            points[name].append(point)
        if len(points) > MAX_NAMES:
            raise ValueError(f"more than {MAX_NAMES} quantities")
    return dict(points)


def _order(name: str) -> tuple[int, int, str]:
    component, _, quantity = name.rpartition(".")
    ranks = [
        known.index(one) if one in known else len(known)
        for one, known in ((component, _COMPONENTS), (quantity, _QUANTITIES))
    ]
    return ranks[0], ranks[1], name
