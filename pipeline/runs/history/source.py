"""Where the points of a history come from, and what is known of each."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.judge.history import NEWEST
from pipeline.model.history import Line, Place
from pipeline.model.metric import Better, Scale

Look: TypeAlias = Callable[[AbstractSet[int], AbstractSet[str]], Mapping[int, Place]]
"""From rows of the source and from commits to the places of those rows, and of all rows of those
commits.  Places are looked up in the end, because ten million of them would fill the memory."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the values of a series mean."""

    scale: Scale = Scale.RATIO
    better: Better = Better.LOWER


@dataclass(frozen=True, slots=True)
class Dated:
    """The points of one series.

    Attributes:
        line: Its values.
        rows: Row of the source of every point that is looked at, shape (n,).
    """

    line: Line
    rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Source:
    """Every series of a file."""

    series: tuple[Dated, ...]
    look: Look


def dated(
    name: str,
    meaning: Meaning,
    values: NDArray[np.float64],
    rows: NDArray[np.int64],
    notes: tuple[str, ...] = (),
    *,
    days: NDArray[np.int64] | None = None,
) -> Dated:
    """Return the newest points of a series.

    Args:
        name: Of the series.
        meaning: Of its values.
        values: Shape (n,), in the order of time.
        rows: Shape (n,), of the source.
        notes: What a reader should know.
        days: Days since 1970-01-01 of each point, in UTC, shape (n,); None where there are no
            dates.
    """
    left_out = max(0, len(values) - NEWEST)
    newest = tuple(values[left_out:].tolist())
    # the first of January 1970 was a Thursday, and Monday is 0
    weekdays = () if days is None else tuple(((days[left_out:] + 3) % 7).tolist())
    line = Line(name, newest, meaning.scale, meaning.better, left_out, notes, weekdays)
    return Dated(line, rows[left_out:])
