"""The residuals of a series about its levels: their robust spread and their autocorrelation."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.judge.stats.student import Estimate

Floats: TypeAlias = NDArray[np.float64]

CLIP = 3.0
"""Largest score of a point, in standard deviations from its level: one spike makes no step."""

_MAX_RHO = 0.99
_MOST_SPIKES = 2  # a step has three points
_RHO_CRITICAL = 1.645  # one-sided 5 %: an autocorrelation above this / sqrt(n) is not chance
_MAD_TO_SD = 1.4826  # standard deviation per median absolute deviation of normal noise
_ROUNDING = 1e-12  # relative: a spread below it is the rounding of doubles


@dataclass(frozen=True, slots=True)
class RobustResiduals:
    """A series as levels and clipped scores about them.

    Attributes:
        levels: Median of its segment at every point, shape (n,), in the unit of the series.
        scores: Standard deviations from the level, shape (n,), clipped to +-`CLIP`.
        deviations: Standard deviation at every point, shape (n,), in the unit of the series;
            above 0.
    """

    levels: Floats
    scores: Floats
    deviations: Floats

    @property
    def bounded(self) -> Floats:
        """The series without its spikes, shape (n,), in its unit."""
        return self.levels + self.scores * self.deviations


def robust_residuals(
    values: Floats, bounds: Sequence[int], spread: Floats
) -> RobustResiduals | None:
    """Return the levels of a series and its residuals about them; None if it does not vary.

    Args:
        values: Shape (n,), finite.
        bounds: First index of each segment, ascending from 0, and n.
        spread: Relative standard deviation of each point, shape (n,), above 0.

    Source:
        Bounded scores by the median absolute deviation: Huber, Robust Statistics (1981).
    """
    levels = _levels(values, bounds)
    residuals = (values - levels) / spread
    deviation = robust_deviation(residuals, _rounding(values))
    if not deviation:
        return None
    scores = np.clip(residuals / deviation, -CLIP, CLIP)
    return RobustResiduals(levels, scores, deviation * spread)


def autocorrelation(residuals: Floats) -> float:
    """Return the lag-1 autocorrelation: 0 where that may be chance, at most 0.99.

    Args:
        residuals: Shape (n,), of mean 0 in every segment.

    Source:
        The bias that is removed: Kendall, Note on Bias in the Estimation of Autocorrelation,
        Biometrika 41 (1954).
    """
    n, squares = len(residuals), float(residuals @ residuals)
    if squares <= 0 or n < 3:
        return 0.0
    rho = float(residuals[1:] @ residuals[:-1]) / squares
    rho += (1 + 3 * rho) / n
    return min(rho, _MAX_RHO) if rho > _RHO_CRITICAL / math.sqrt(n) else 0.0


def step_sizes(values: Floats, steps: Sequence[int], spread: Floats) -> list[Estimate]:
    """Return the change of the level at each step.

    Levels are means of the series without its spikes.  Apart from `spread`, all segments share one
    variance, because some may have only a few points.  With autocorrelation rho, n points count as
    n(1 - rho)/(1 + rho) independent ones.  A step is where the change is largest, so a step that
    is recent or barely significant is overstated.

    Args:
        values: Shape (n,), any unit.
        steps: First index of each new level, ascending.
        spread: Relative standard deviation of each point, shape (n,), above 0.

    Source:
        Effective number of dependent points: Bayley and Hammersley, The "Effective" Number of
        Independent Observations in an Autocorrelated Time Series, Supplement to JRSS 8 (1946).
    """
    bounds = [0, *steps, len(values)]
    segments = [slice(start, end) for start, end in itertools.pairwise(bounds)]
    robust = robust_residuals(values, bounds, spread)
    if robust is None:
        levels = [float(np.median(values[one])) for one in segments]
        return [Estimate(b - a, 0.0, math.inf) for a, b in itertools.pairwise(levels)]
    levels = [float(robust.bounded[one].mean()) for one in segments]
    sizes = [one.stop - one.start for one in segments]
    residuals = (robust.bounded - np.repeat(levels, sizes)) / spread
    rho = autocorrelation(residuals)
    share = (1 - rho) / (1 + rho)
    degrees_of_freedom = max(1.0, len(values) * share - len(segments))
    variance = float(residuals @ residuals) * share / degrees_of_freedom
    errors = [
        variance * float((spread[one] ** 2).mean()) / (size * share)
        for one, size in zip(segments, sizes, strict=True)
    ]
    return [
        Estimate(after - before, math.sqrt(left + right), degrees_of_freedom)
        for (before, after), (left, right) in zip(
            itertools.pairwise(levels), itertools.pairwise(errors), strict=True
        )
    ]


def robust_deviation(values: Floats, least: float) -> float:
    """Return the robust standard deviation of values; 0 if they are constant but for spikes.

    If most values are equal, the typical size of the others becomes the largest score, `CLIP`, so
    that a spike among them does not hide them.  One or two others are spikes.

    Args:
        values: Shape (n,).
        least: Largest deviation from the median that may be the rounding of doubles.
    """
    sizes = np.abs(values - np.median(values))
    typical = float(np.median(sizes))
    if typical > least:
        return _MAD_TO_SD * typical
    sizes = sizes[sizes > least]
    return float(np.median(sizes)) / CLIP if len(sizes) > _MOST_SPIKES else 0.0


def is_mostly_constant(values: Floats, bounds: Sequence[int]) -> bool:
    """Return True if at least half of the values equal the median of their segment."""
    residuals = values - _levels(values, bounds)
    return float(np.median(np.abs(residuals))) <= _rounding(values)


def _levels(values: Floats, bounds: Sequence[int]) -> Floats:
    """Return the median of its segment at every point, shape (n,)."""
    levels = np.empty_like(values)
    for start, end in itertools.pairwise(bounds):
        levels[start:end] = np.median(values[start:end])
    return levels


def _rounding(values: Floats) -> float:
    """Return the largest difference between values that may be the rounding of doubles."""
    size = float(np.abs(values).max(initial=0.0))
    return _ROUNDING * max(size, float(np.finfo(np.float64).tiny))
