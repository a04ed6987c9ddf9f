"""The series of a history, as read from a file."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.judge.history import MAX_POINTS
from pipeline.model.history import CommitRef, HistorySeries
from pipeline.model.metric import Better, Scale

FindRefs: TypeAlias = Callable[[AbstractSet[int], AbstractSet[str]], Mapping[int, CommitRef]]
"""Returns the time and commit of some rows of the source, and of all rows of some commits.  They
are looked up at the end, because those of ten million rows would fill the memory."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """Scale and direction of the values of a series."""

    scale: Scale = Scale.RATIO
    better: Better = Better.LOWER


@dataclass(frozen=True, slots=True)
class SeriesPoints:
    """The points of one series that are analysed, and the row of the source of each, shape (n,)."""

    series: HistorySeries
    rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Source:
    """Every series of a file, and the lookup of times and commits."""

    series: tuple[SeriesPoints, ...]
    find_refs: FindRefs


def newest_points(
    name: str,
    meaning: Meaning,
    values: NDArray[np.float64],
    rows: NDArray[np.int64],
    notes: tuple[str, ...] = (),
    *,
    days: NDArray[np.int64] | None = None,
) -> SeriesPoints:
    """Return the newest points of a series, at most `MAX_POINTS`.

    Values, rows and days (since 1970-01-01 in UTC) have the shape (n,), and are in the order of
    time.
    """
    left_out = max(0, len(values) - MAX_POINTS)
    newest = tuple(values[left_out:].tolist())
    dated = () if days is None else tuple(days[left_out:].tolist())
    series = HistorySeries(name, newest, meaning.scale, meaning.better, left_out, notes, dated)
    return SeriesPoints(series, rows[left_out:])
