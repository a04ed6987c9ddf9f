"""Differences of levels within a series, and the largest of them.

A *contrast* sets a stretch [i, j) of a segment [s, e) against the rest of that segment.  A *split*
is a contrast whose stretch begins with its segment: one step.  A *bump* lies inside it: a step and
a step back, which no split can see while it is short.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.judge.stats.noise import Floats

Indexes: TypeAlias = NDArray[np.int64]

_GROWTH = 2**0.25  # from one length of a bump to the next
_PARTS = 8  # bumps begin at every eighth of their length
_NONE = 1e-12  # a variance of scores, which are of size 1, below it is rounding


@dataclass(frozen=True, slots=True)
class Contrasts:
    """Stretches [i, j) in segments [s, e), shape (contrasts,) each."""

    i: Indexes
    j: Indexes
    s: Indexes
    e: Indexes

    def __len__(self) -> int:
        return len(self.i)


def splits(bounds: Sequence[int], shortest: int) -> Contrasts:
    """Return every split that leaves at least `shortest` points on both sides."""
    parts = []
    for start, end in itertools.pairwise(bounds):
        j = np.arange(start + shortest, end - shortest + 1, dtype=np.int64)
        parts.append((np.full_like(j, start), j, start, end))
    return _joined(parts)


def bumps(bounds: Sequence[int], shortest: int) -> Contrasts:
    """Return bumps of lengths in ratios, at places in eighths of the length, as for `splits`.

    Source:
        Olshen, Venkatraman, Lucito and Wigler, Circular Binary Segmentation, Biostatistics 5
        (2004); a grid of intervals: Kovács, Bühlmann, Li and Munk, Seeded Binary Segmentation,
        Biometrika 110 (2023).
    """
    parts = []
    for start, end in itertools.pairwise(bounds):
        i, j = _stretches(end - start, shortest)
        parts.append((i + start, j + start, start, end))
    return _joined(parts)


def near(contrasts: Contrasts, number: int, shortest: int) -> Contrasts:
    """Return the bumps of which one on the grid may be a coarse picture."""
    i, j, s, e = (int(part[number]) for part in _parts(contrasts))
    reach = max(1, (j - i) // _PARTS)
    starts = np.arange(max(s + shortest, i - reach), i + reach + 1, dtype=np.int64)
    ends = np.arange(j - reach, min(e - shortest, j + reach) + 1, dtype=np.int64)
    first, last = (grid.ravel() for grid in np.meshgrid(starts, ends))
    is_long = last - first >= shortest
    return _joined([(first[is_long], last[is_long], s, e)])


def largest(series: Floats, contrasts: Contrasts, bounds: Sequence[int]) -> tuple[Floats, Indexes]:
    """Return the largest standardized contrast of each row, and its number; shape (rows,) each.

    Standardized by what varies about the levels once that contrast is taken away, too.

    Args:
        series: Shape (rows, n).
        contrasts: At least one, within the segments of `bounds`.
        bounds: First index of each segment, ascending from 0, and n.
    """
    rows, n = series.shape
    sums = np.concatenate((np.zeros((rows, 1)), np.cumsum(series, axis=1)), axis=1)
    inside, size = contrasts.j - contrasts.i, contrasts.e - contrasts.s
    difference = sums[:, contrasts.e]
    difference -= sums[:, contrasts.s]
    difference *= -inside / size
    difference += sums[:, contrasts.j]
    difference -= sums[:, contrasts.i]
    difference *= np.sqrt(size / (inside * (size - inside)))
    np.abs(difference, out=difference)
    best = difference.argmax(axis=1)
    found = difference[np.arange(rows), best]
    left = ((series - means(series, bounds)) ** 2).sum(axis=1) - found**2
    return found / np.sqrt(np.maximum(left, _NONE * n) / max(1, n - len(bounds))), best


def means(series: Floats, bounds: Sequence[int]) -> Floats:
    """Return the mean of its segment at every point, in the shape of the series: (…, n)."""
    found = np.empty_like(series)
    for start, end in itertools.pairwise(bounds):
        found[..., start:end] = series[..., start:end].mean(axis=-1, keepdims=True)
    return found


def _parts(contrasts: Contrasts) -> tuple[Indexes, Indexes, Indexes, Indexes]:
    return contrasts.i, contrasts.j, contrasts.s, contrasts.e


def _joined(parts: Sequence[tuple[Indexes, Indexes, int, int]]) -> Contrasts:
    return Contrasts(
        np.concatenate([i for i, _, _, _ in parts]),
        np.concatenate([j for _, j, _, _ in parts]),
        np.concatenate([np.full_like(i, s) for i, _, s, _ in parts]),
        np.concatenate([np.full_like(i, e) for i, _, _, e in parts]),
    )


@lru_cache(maxsize=64)
def _stretches(size: int, shortest: int) -> tuple[Indexes, Indexes]:
    """Return the starts and the ends of the bumps in a segment."""
    lengths: list[int] = []
    length = float(shortest)
    while int(length) <= size - 2 * shortest:
        lengths.append(int(length))
        length = max(length * _GROWTH, int(length) + 1.0)
    starts = [np.zeros(0, dtype=np.int64)]
    ends = [np.zeros(0, dtype=np.int64)]
    for n in lengths:
        start = np.arange(shortest, size - shortest - n + 1, max(1, n // _PARTS), dtype=np.int64)
        starts.append(start)
        ends.append(start + n)
    return np.concatenate(starts), np.concatenate(ends)
