"""Find a slow drift and a weekly rhythm in a series: changes that are not steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.special import fdtrc

from pipeline.judge.stats.noise import (
    Floats,
    autocorrelation,
    is_mostly_constant,
    robust_residuals,
)
from pipeline.judge.stats.student import upper_tail

DRIFT_CHANCE = 0.001
"""Largest probability of finding a drift in a series without one."""

MIN_DRIFT_POINTS = 20
"""Smallest number of points in which a drift can be found."""

_PARTS = 4  # a drift may begin or end at a quarter of the series
_STEP_COST = 2.0  # penalty of a step, times log n: for its size and its place
_MARGIN = 3.0  # by how much a drift must be better than steps alone, which alarm
_EDGE_COST = 4.0  # penalty of beginning or ending within the series
_ROUNDS = 4  # of fitting and clipping the spikes about the fit
_MIN_DEGREES_OF_FREEDOM = 3
_ROUNDING = 1e-20  # relative to a sum of squares: the rounding of doubles


@dataclass(frozen=True, slots=True)
class DriftFit:
    """A steady change from one point to the next.

    Attributes:
        slope: Change from one point to the next, in the unit of the series.
    """

    start: int
    end: int
    slope: float
    standard_error: float
    degrees_of_freedom: float

    def path(self, n: int) -> Floats:
        """Return the cumulative change at each of n points, shape (n,); 0 before the drift."""
        return self.slope * _ramp(n, self.start, self.end)


def fit_drift(values: Floats, spread: Floats, steps: Sequence[int]) -> DriftFit | None:
    """Return the drift that fits a series better than its steps do; None if none does.

    Both are fitted by least squares to the series without its spikes, and are compared by a
    penalized residual variance, which allows for autocorrelation.

    Args:
        values: Shape (n,), on the scale on which levels are compared.
        spread: Relative standard deviation of each point, shape (n,).
        steps: Indexes of the steps that were found without a drift, ascending.

    Source:
        A cost of 2 log n for each change point: Yao, Estimating the Number of Change-Points via
        Schwarz' Criterion, Statistics and Probability Letters 6 (1988).
    """
    n = len(values)
    if n < MIN_DRIFT_POINTS or is_mostly_constant(values, [0, *steps, n]):
        return None  # what drifts is different at each point
    stretches = {(0, n - 1)}
    for part in range(1, _PARTS):
        middle = part * n // _PARTS
        stretches |= {
            (s, e) for s, e in ((0, middle), (middle, n - 1)) if e - s >= MIN_DRIFT_POINTS
        }
    best: tuple[float, DriftFit] | None = None
    for start, end in sorted(stretches):
        candidate = _compare_with_steps(values, spread, list(steps), start, end)
        if candidate is not None and (best is None or candidate[0] > best[0]):
            best = candidate
    return best[1] if best else None


def _compare_with_steps(
    values: Floats, spread: Floats, steps: list[int], start: int, end: int
) -> tuple[float, DriftFit] | None:
    """Return the gain of a drift over the steps alone, and the drift; None if it gains nothing.

    Steps that explain too little beside the drift are removed, the smallest first.
    """
    n = len(values)
    ramp = _ramp(n, start, end)
    columns = np.column_stack(
        [np.ones(n), *((np.arange(n) >= k).astype(float) for k in steps), ramp]
    )
    weighted = columns / spread[:, None]
    fit = _fit(values, spread, [0, *steps, n], weighted)
    if fit is None:
        return None
    clean, residuals = fit
    rho = autocorrelation(residuals)
    variance = float(residuals @ residuals) / (n - len(steps) - 2) * (1 + rho) / (1 - rho)
    square = float(clean @ clean)
    variance = max(variance, _ROUNDING * square, float(np.finfo(np.float64).tiny))
    gram, product = weighted.T @ weighted, weighted.T @ clean
    price = _STEP_COST * math.log(n)
    slope_at = len(steps) + 1
    levels = np.linalg.solve(gram[:slope_at, :slope_at], product[:slope_at])
    alone = (square - float(product[:slope_at] @ levels)) / variance + price * len(steps)
    kept, coefficients, inverse = _drop_weak_steps(gram, product, variance, price)
    now = (square - float(product[kept] @ coefficients)) / variance
    edges = int(start > 0) + int(end < n - 1)
    cost = now + price * (len(kept) - 1) + _EDGE_COST * edges + _MARGIN
    if steps and cost >= alone:
        return None
    slope = float(coefficients[-1])
    standard_error = math.sqrt(max(0.0, float(inverse[-1, -1]) * variance))
    degrees_of_freedom = max(1.0, n * (1 - rho) / (1 + rho) - len(kept))
    if standard_error:
        p = 2 * upper_tail(abs(slope) / standard_error, degrees_of_freedom)
        if p > DRIFT_CHANCE:
            return None
    return alone - cost, DriftFit(start, end, slope, standard_error, degrees_of_freedom)


def _drop_weak_steps(
    gram: Floats, product: Floats, variance: float, price: float
) -> tuple[list[int], Floats, Floats]:
    """Remove the steps that explain less than their price beside a drift, the smallest first.

    Args:
        gram: Products of the columns: a constant, the steps, and the drift.
        product: Products of the columns and the series.
        variance: Variance of the residuals.
        price: Squares that a step must explain, in variances.

    Returns:
        The columns that are left, their coefficients, and the inverse of their products.
    """
    kept = list(range(len(gram)))
    while True:
        inverse = np.linalg.pinv(gram[np.ix_(kept, kept)]).astype(np.float64, copy=False)
        coefficients: Floats = inverse @ product[kept]
        if len(kept) == 2:
            return kept, coefficients, inverse
        explained = coefficients[1:-1] ** 2 / np.diag(inverse)[1:-1] / variance
        weakest = int(explained.argmin())
        if explained[weakest] >= price:
            return kept, coefficients, inverse
        del kept[1 + weakest]


def _fit(
    values: Floats, spread: Floats, bounds: list[int], columns: Floats
) -> tuple[Floats, Floats] | None:
    """Return the series without its spikes and its residuals, both divided by `spread`.

    None if the series does not vary, or has hardly more points than parameters.
    """
    robust = robust_residuals(values, bounds, spread)
    n, parameters = columns.shape
    if robust is None or n - parameters < _MIN_DEGREES_OF_FREEDOM:
        return None
    raw, clean = values / spread, robust.bounded / spread
    solve = np.linalg.pinv(columns)
    for _ in range(_ROUNDS):
        fitted = columns @ (solve @ clean)
        off = robust_residuals(raw - fitted, [0, n], np.ones(n))
        if off is None:  # the fit is exact, up to the rounding of doubles
            return raw, np.zeros(n)
        clean = fitted + off.bounded
    return clean, clean - columns @ (solve @ clean)


def _ramp(n: int, start: int, end: int) -> Floats:
    ramp: Floats = np.clip(np.arange(n, dtype=np.float64), start, end) - start
    return ramp


DAYS = 7
RHYTHM_CHANCE = 0.001
"""Largest probability of finding a rhythm in a series without one."""

MIN_RHYTHM_DAYS = 3 * DAYS
"""Fewest days, and points, in which a rhythm can be found: three weeks."""

_MIN_TIMES = 3  # that a day of the week must be there


def weekly_rhythm(values: Floats, days: NDArray[np.int64]) -> Floats | None:
    """Return the difference of each day of the week from a typical day; None without a rhythm.

    Days of the week are compared by their residuals about the running median of seven days, which
    follows steps and drifts and includes every day once, with all its points.  The result has shape
    (7,) by `day % 7` and the unit of the series; it is 0 for a day that is there fewer than three
    times.

    Args:
        values: Shape (n,).
        days: Number of the day of each point, ascending, shape (n,).

    Source:
        Analysis of variance: Fisher, Statistical Methods for Research Workers (1925); the running
        median of one period: Cleveland and others, STL, Journal of Official Statistics 6 (1990).
    """
    n = len(values)
    if n < MIN_RHYTHM_DAYS or days[-1] - days[0] < MIN_RHYTHM_DAYS - 1:
        return None
    around = values - _medians_of_weeks(values, days)
    robust = robust_residuals(around, [0, n], np.ones(n))
    if robust is None:
        return None
    rhythm = np.zeros(DAYS)
    weekdays = days % DAYS
    times = np.bincount(np.unique(days) % DAYS, minlength=DAYS)
    often = [day for day in range(DAYS) if times[day] >= _MIN_TIMES]
    if len(often) < 2:
        return None
    is_in = np.isin(weekdays, often)
    scores = robust.scores[is_in]
    scores = scores - scores.mean()
    of_days = [scores[weekdays[is_in] == day] for day in often]
    between = sum(len(one) * float(one.mean()) ** 2 for one in of_days)
    within = float(scores @ scores) - between
    top, bottom = len(often) - 1, len(scores) - len(often)
    ratio = between / top / max(within / bottom, 1e-12)
    if float(fdtrc(top, bottom, ratio)) > RHYTHM_CHANCE:
        return None
    for day in often:
        rhythm[day] = float(np.median(around[weekdays == day]))
    rhythm[often] -= float(np.median(rhythm[often]))
    return rhythm


def _medians_of_weeks(values: Floats, days: NDArray[np.int64]) -> Floats:
    """Return the median of the seven days around each point, shape (n,)."""
    if (np.diff(days) == 1).all():
        medians: Floats = median_filter(values, DAYS, mode="nearest")
        return medians
    first = np.clip(days - DAYS // 2, days[0], days[-1] - DAYS + 1)
    starts, ends = np.searchsorted(days, first), np.searchsorted(days, first + DAYS)
    pairs = zip(starts, ends, strict=True)
    return np.array([np.median(values[start:end]) for start, end in pairs])
