"""Tell a leak from a cache that fills, in one build alone.

A resource is read at the end of each cycle of create, use and delete.  It is a level, a part that
fills up, and a straight line: the line is the leak.  A cache fills as 1 - exp(-x / tau).  Resident
memory has two parts: caches, and it creeps as log(1 + x / tau), because it follows the largest heap
until now, and a record is beaten less and less often.  Whatever filling explains is not called a
leak, so the interval of the leak covers each way to fill up, and every tau that fits the data.  A
cache that needs more than twice the soak to fill cannot be told from a leak.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.judge.stats.student import quantile
from pipeline.model.soak import (
    HISTORY_S,
    RESIDENT,
    SOAK_QUANTITIES,
    WITH_HISTORY,
    Growth,
    GrowthVerdict,
    Soak,
    SoakCycle,
)

FALSE_LEAK = 0.001
"""Largest probability of calling a resource without a leak one, on one side."""

MAX_GROWTH = 0.05
"""Largest growth over the soak that a plateau may hide, as a share of the last level."""

MIN_CYCLES = 12
"""Smallest number of cycles: the model has four parameters, and its error needs as many points."""

MIN_READY = 20
"""Smallest number of Projects whose p95 of the time to Ready is compared with a limit."""

_SLOWEST = 2.0  # tau of the slowest cache, as a share of the soak
_FASTEST = 0.02
_TAUS = 25
_FASTEST_OF_TWO = 0.3  # largest tau of the faster of two caches
_TAUS_OF_TWO = 6
_MAX_AUTOCORRELATION = 0.95
_LEAST_LEVEL = 1e-6  # of the largest value
_LEAST_SHARE = 1e-7
_ROUNDING = 1e-20  # relative to a sum of squares: the rounding of doubles

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _SlopeFit:
    """One least-squares fit, for one tau.

    Attributes:
        slope: Leak over the whole soak.
        slope_variance: Variance of the slope, in units of the variance of a residual.
        squares: Sum of squared residuals.
        residuals: Shape (n,).
        filled: Size of each part that fills up.  Below 0 the fit itself is not possible, but
            smaller slopes may be.
        filled_per_slope: Change of each of them for a unit of the slope, where the rest fits best.
    """

    slope: float
    slope_variance: float
    squares: float
    residuals: Floats
    filled: tuple[float, ...] = ()
    filled_per_slope: tuple[float, ...] = ()

    def can_have(self, slope: float) -> bool:
        """Return whether no part shrinks at a slope."""
        more = slope - self.slope
        parts = zip(self.filled, self.filled_per_slope, strict=True)
        return all(filled + per_slope * more >= 0 for filled, per_slope in parts)


def growth_of_resources(cycles: Sequence[SoakCycle]) -> dict[str, Growth]:
    """Return how each resource grew in the launch with the most cycles, per deleted Project.

    A resource that was read in too few cycles is left out, and so is the history of etcd while it
    fills.
    """
    launches = Counter(cycle.launch for cycle in cycles)
    if not launches:
        return {}
    longest = max(launches, key=lambda launch: (launches[launch], launch))
    growth = {}
    for name in SOAK_QUANTITIES:
        points = {
            float(cycle.deleted): cycle.values[name]
            for cycle in cycles
            if cycle.launch == longest
            and name in cycle.values
            and (name not in WITH_HISTORY or cycle.ended_s >= HISTORY_S)
        }
        if len(points) >= MIN_CYCLES:
            creeps = name in RESIDENT
            growth[name] = find_growth(list(points), list(points.values()), creeps=creeps)
    return growth


def broken_limits(soak: Soak) -> tuple[str, ...]:
    """Return the text of each limit that is broken: sizes at any cycle, `ready` as a p95 of all.

    A Project that was never Ready took at least as long as the deadline.
    """
    question = soak.question
    largest: dict[str, float] = {}
    for cycle in soak.cycles:
        for name, value in cycle.values.items():
            largest[name] = max(value, largest.get(name, value))
    ready_s = [s for cycle in soak.cycles for s in cycle.ready_s]
    ready_s += [question.deadline_s] * sum(cycle.never_ready for cycle in soak.cycles)
    if len(ready_s) >= MIN_READY:
        largest["ready"] = float(np.quantile(ready_s, 0.95))
    return tuple(
        limit.text
        for limit in question.limits
        if limit.quantity in largest and largest[limit.quantity] >= limit.below
    )


def find_growth(at: Sequence[float], values: Sequence[float], *, creeps: bool = False) -> Growth:
    """Return how a resource grew, and what that means.

    Args:
        at: Shape (n,), strictly ascending: Projects deleted until then, or hours.
        values: Shape (n,), n >= `MIN_CYCLES`, in the resource's unit, none negative.
        creeps: True if the resource may creep, as resident memory does.

    Raises:
        ValueError: There are too few points, or x does not ascend.

    Source:
        Profile likelihood: Bates and Watts, Nonlinear Regression Analysis and Its Applications
        (1988), section 6.1; the variance of autocorrelated residuals as that of an AR(1) process.
    """
    if len(at) < MIN_CYCLES or len(at) != len(values):
        raise ValueError(f"{len(at)} cycles: at least {MIN_CYCLES} are needed")
    x = np.asarray(at, dtype=np.float64)
    if not (np.diff(x) > 0).all():
        raise ValueError("the cycles are not in order")
    length = float(x[-1] - x[0])
    scale = max(values) or 1.0
    share, y = (x - x[0]) / length, np.asarray(values, dtype=np.float64) / scale
    fits = _fit_all(share, y, creeps=creeps)
    possible = (fit for fit in fits if fit.can_have(fit.slope))
    best = min(possible, key=lambda fit: fit.squares)
    low, high = map(_without_rounding, _slope_interval(fits, best, len(y)))
    fitted = y - best.residuals
    last = float(fitted[-1])
    if low > 0:
        verdict = GrowthVerdict.LEAK
    elif high <= MAX_GROWTH * max(last, _LEAST_LEVEL):
        verdict = GrowthVerdict.PLATEAU
    else:
        verdict = GrowthVerdict.CANNOT_TELL
    per_unit = scale / length
    return Growth(
        verdict=verdict,
        cycles=len(y),
        first=scale * float(fitted[0]),
        last=scale * last,
        per_unit=per_unit * _without_rounding(best.slope),
        low=per_unit * low,
        high=per_unit * high,
        filled=scale * _without_rounding(sum(best.filled)),
    )


def _without_rounding(value: float) -> float:
    """Return a share of the largest value, or 0 if it is only the rounding of doubles."""
    return value if abs(value) > _LEAST_SHARE else 0.0


def _fit_all(share: Floats, y: Floats, *, creeps: bool) -> list[_SlopeFit]:
    """Return the fits of a line alone, and of a line beside each way to fill up."""
    taus = np.geomspace(_FASTEST, _SLOWEST, _TAUS)
    caches = [-np.expm1(-share / tau) for tau in taus]
    fillings = [(), *((cache,) for cache in caches)]
    if creeps:
        first = np.geomspace(_FASTEST, _FASTEST_OF_TWO, _TAUS_OF_TWO)
        creeping = [np.log1p(share / tau) for tau in taus[::2]]
        slower = [*creeping, *caches[::2]]
        fillings += [(creep,) for creep in creeping]
        fillings += [(-np.expm1(-share / tau), other) for tau in first for other in slower]
    ones = np.ones_like(share)
    return [_fit(np.column_stack([ones, share, *filling]), y) for filling in fillings]


def _fit(columns: Floats, y: Floats) -> _SlopeFit:
    coefficients = np.linalg.lstsq(columns, y, rcond=None)[0]
    residuals = y - columns @ coefficients
    covariance = np.linalg.pinv(columns.T @ columns)
    return _SlopeFit(
        slope=float(coefficients[1]),
        slope_variance=float(covariance[1, 1]),
        squares=float(residuals @ residuals),
        residuals=residuals,
        filled=tuple(map(float, coefficients[2:])),
        filled_per_slope=tuple(map(float, covariance[1, 2:] / covariance[1, 1])),
    )


def _slope_interval(fits: list[_SlopeFit], best: _SlopeFit, n: int) -> tuple[float, float]:
    """Return the slopes that fit the data, over all fits, with one-sided error `FALSE_LEAK`."""
    parameters = 2 + 2 * len(best.filled)
    inflation = _inflation(best.residuals)
    degrees_of_freedom = max(2.0, n / inflation - parameters)
    variance = max(best.squares / (n - parameters), _ROUNDING) * inflation
    more = quantile(1 - FALSE_LEAK, degrees_of_freedom) ** 2 * variance
    ends = [
        end
        for fit in fits
        if (left := best.squares + more - fit.squares) >= 0
        for half in (-math.sqrt(left * fit.slope_variance), math.sqrt(left * fit.slope_variance))
        if fit.can_have(end := fit.slope + half)
    ]
    return min(ends, default=best.slope), max(ends, default=best.slope)


def _inflation(residuals: Floats) -> float:
    """Return how many times larger the variance of a mean is than without autocorrelation."""
    n, squares = len(residuals), float(residuals @ residuals)
    if squares <= n * _ROUNDING:
        return 1.0
    measured = float(residuals[1:] @ residuals[:-1]) / squares
    unbiased = measured + (1 + 4 * measured) / n
    rho = min(_MAX_AUTOCORRELATION, max(0.0, unbiased))
    return (1 + rho) / (1 - rho)
