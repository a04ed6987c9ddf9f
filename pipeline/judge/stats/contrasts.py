"""Differences of levels within a series, and the largest of them.

A *contrast* compares a stretch [i, j) of a segment [s, e) with the rest of that segment.  A *split*
is a contrast whose stretch begins at the start of its segment: one step.  A *bump* lies inside its
segment: a step and a step back, which no split can detect while it is short.
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

_GROWTH = 2**0.25  # ratio of the lengths of two successive bumps
_PARTS = 8  # bumps begin at every eighth of their length
_ROUNDING = 1e-12  # a smaller variance of scores, which are about 1, is the rounding of doubles


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
    """Return every split that leaves at least `shortest` points on both sides.

    `bounds` are the first index of each segment, ascending from 0, and the number of points.
    """
    parts = []
    for start, end in itertools.pairwise(bounds):
        j = np.arange(start + shortest, end - shortest + 1, dtype=np.int64)
        parts.append((np.full_like(j, start), j, start, end))
    return _concatenate(parts)


def bumps(bounds: Sequence[int], shortest: int) -> Contrasts:
    """Return a grid of bumps: lengths grow by a ratio, starts are an eighth of the length apart.

    Source:
        Olshen, Venkatraman, Lucito and Wigler, Circular Binary Segmentation, Biostatistics 5
        (2004); a grid of intervals: Kovács, Bühlmann, Li and Munk, Seeded Binary Segmentation,
        Biometrika 110 (2023).
    """
    parts = []
    for start, end in itertools.pairwise(bounds):
        i, j = _stretches(end - start, shortest)
        parts.append((i + start, j + start, start, end))
    return _concatenate(parts)


def nearby_bumps(contrasts: Contrasts, number: int, shortest: int) -> Contrasts:
    """Return all bumps that are closer to a bump of the grid than to the next one."""
    parts = (contrasts.i, contrasts.j, contrasts.s, contrasts.e)
    i, j, s, e = (int(part[number]) for part in parts)
    reach = max(1, (j - i) // _PARTS)
    starts = np.arange(max(s + shortest, i - reach), i + reach + 1, dtype=np.int64)
    ends = np.arange(j - reach, min(e - shortest, j + reach) + 1, dtype=np.int64)
    first, last = (grid.ravel() for grid in np.meshgrid(starts, ends))
    is_long = last - first >= shortest
    return _concatenate([(first[is_long], last[is_long], s, e)])


def largest_contrast(
    series: Floats, contrasts: Contrasts, bounds: Sequence[int]
) -> tuple[Floats, Indexes]:
    """Return the largest standardized contrast of each row and its index, shape (rows,) each.

    The series have shape (rows, n), and the contrasts lie within the segments of `bounds`.  They
    are standardized by the residual spread about the levels with that contrast.
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
    strongest = difference[np.arange(rows), best]
    left = ((series - segment_means(series, bounds)) ** 2).sum(axis=1) - strongest**2
    return strongest / np.sqrt(np.maximum(left, _ROUNDING * n) / max(1, n - len(bounds))), best


def segment_means(series: Floats, bounds: Sequence[int]) -> Floats:
    """Return the mean of its segment at every point, shape (..., n) as the series."""
    levels = np.empty_like(series)
    for start, end in itertools.pairwise(bounds):
        levels[..., start:end] = series[..., start:end].mean(axis=-1, keepdims=True)
    return levels


def _concatenate(parts: Sequence[tuple[Indexes, Indexes, int, int]]) -> Contrasts:
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
