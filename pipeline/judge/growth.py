"""Tell a leak from a cache that fills, in one build alone.

A resource is read at the end of each cycle of create, use and delete.  It is a level, a part that
fills up as 1 - exp(-x / tau), and a straight line: the line is the leak.  Whatever filling explains
is not called a leak, so the interval of the leak covers every tau that fits the data.  A cache that
needs more than twice the soak to fill cannot be told from a leak.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pipeline.judge.stats.student import quantile

FALSE_LEAK = 0.001
"""Largest probability of calling a resource without a leak one, on one side."""

MAX_GROWTH = 0.05
"""Largest growth over the soak that a plateau may hide, as a share of the last level."""

MIN_CYCLES = 12
"""Smallest number of cycles: the model has four parameters, and its error needs as many points."""

_SLOWEST = 2.0  # tau of the slowest cache, as a share of the soak
_FASTEST = 0.02
_TAUS = 25
_MAX_AUTOCORRELATION = 0.95
_LEAST_LEVEL = 1e-6  # of the largest value
_ROUNDING = 1e-20  # relative to a sum of squares: the rounding of doubles

Floats = NDArray[np.float64]


class GrowthVerdict(StrEnum):
    """What a resource does under steady churn."""

    PLATEAU = "plateau"
    LEAK = "leak"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Growth:
    """How a resource grew.

    Attributes:
        verdict: Verdict about the resource.
        cycles: Number of points.
        first: Fitted level at the first point, in the resource's unit.
        last: Fitted level at the last point.
        per_unit: Most likely leak, in the resource's unit per unit of x.
        low: Lower end of the leak's interval.
        high: Upper end of the leak's interval.
        filled: Size of the part that fills up, in the resource's unit; 0 without one.
    """

    verdict: GrowthVerdict
    cycles: int
    first: float
    last: float
    per_unit: float
    low: float
    high: float
    filled: float


@dataclass(frozen=True, slots=True)
class _SlopeFit:
    """One least-squares fit, for one tau.

    Attributes:
        slope: Leak over the whole soak.
        slope_variance: Variance of the slope, in units of the variance of a residual.
        squares: Sum of squared residuals.
        residuals: Shape (n,).
        filled: Size of the part that fills up.
    """

    slope: float
    slope_variance: float
    squares: float
    residuals: Floats
    filled: float = 0.0


def find_growth(at: Sequence[float], values: Sequence[float]) -> Growth:
    """Return how a resource grew, and what that means.

    Args:
        at: Shape (n,), strictly ascending: Projects deleted until then, or hours.
        values: Shape (n,), n >= `MIN_CYCLES`, in the resource's unit, none negative.

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
    fits = _fit_all(share, y)
    best = min(fits, key=lambda fit: fit.squares)
    low, high = _slope_interval(fits, best, len(y))
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
        per_unit=per_unit * best.slope,
        low=per_unit * low,
        high=per_unit * high,
        filled=scale * best.filled,
    )


def _fit_all(share: Floats, y: Floats) -> list[_SlopeFit]:
    """Return the fits of a line alone, and of a line beside a cache of each tau that grows."""
    ones = np.ones_like(share)
    fits = [_fit(np.column_stack([ones, share]), y)]
    for tau in np.geomspace(_FASTEST, _SLOWEST, _TAUS):
        columns = np.column_stack([ones, share, -np.expm1(-share / tau)])
        fit = _fit(columns, y)
        if fit.filled >= 0:
            fits.append(fit)
    return fits


def _fit(columns: Floats, y: Floats) -> _SlopeFit:
    coefficients = np.linalg.lstsq(columns, y, rcond=None)[0]
    residuals = y - columns @ coefficients
    variance = float(np.linalg.inv(columns.T @ columns)[1, 1])
    filled = float(coefficients[2]) if len(coefficients) > 2 else 0.0
    return _SlopeFit(
        float(coefficients[1]), variance, float(residuals @ residuals), residuals, filled
    )


def _slope_interval(fits: list[_SlopeFit], best: _SlopeFit, n: int) -> tuple[float, float]:
    """Return the slopes that fit the data, over all fits, with one-sided error `FALSE_LEAK`."""
    parameters = 4 if best.filled else 2
    inflation = _inflation(best.residuals)
    degrees_of_freedom = max(2.0, n / inflation - parameters)
    variance = max(best.squares / (n - parameters), _ROUNDING) * inflation
    more = quantile(1 - FALSE_LEAK, degrees_of_freedom) ** 2 * variance
    ends = [
        (fit.slope, math.sqrt(left * fit.slope_variance))
        for fit in fits
        if (left := best.squares + more - fit.squares) >= 0
    ]
    return min(slope - half for slope, half in ends), max(slope + half for slope, half in ends)


def _inflation(residuals: Floats) -> float:
    """Return how many times larger the variance of a mean is than without autocorrelation."""
    n, squares = len(residuals), float(residuals @ residuals)
    if squares <= n * _ROUNDING:
        return 1.0
    measured = float(residuals[1:] @ residuals[:-1]) / squares
    unbiased = measured + (1 + 4 * measured) / n
    rho = min(_MAX_AUTOCORRELATION, max(0.0, unbiased))
    return (1 + rho) / (1 - rho)
