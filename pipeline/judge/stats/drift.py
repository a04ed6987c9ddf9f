"""A slow drift of a series, told apart from steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.judge.stats.noise import Floats, autocorrelation, noise
from pipeline.judge.stats.student import tail

CHANCE = 0.001
"""Chance of calling a series without a drift a drifting one, at most."""

FEWEST = 20
"""Points that a drift takes, at least."""

_PARTS = 4  # a drift may begin or end at a quarter of the series
_STEP_COST = 2.0  # of a step, in logarithms of n: its size, and its place
_MARGIN = 3.0  # by which a drift must be better than steps alone, which alarm
_EDGE_COST = 4.0  # of beginning or ending within the series
_ROUNDS = 4  # of fitting, and of cutting off what is a spike beside the fit
_LEAST_FREEDOM = 3
_NOTHING = 1e-20  # of a sum of squares: the rounding of doubles


@dataclass(frozen=True, slots=True)
class Drift:
    """A steady change from one point to the next.

    Attributes:
        start: Index of its first point.
        end: Index of its last point.
        slope: Change from one point to the next, in the unit of the series.
        error: Standard error of the slope, in the same unit.
        freedom: Degrees of freedom of the error.
    """

    start: int
    end: int
    slope: float
    error: float
    freedom: float

    def path(self, n: int) -> Floats:
        """Return what the drift adds to each of n points, 0 before it."""
        return self.slope * _ramp(n, self.start, self.end)


def drift(values: Floats, spread: Floats, steps: Sequence[int]) -> Drift | None:
    """Return the drift that explains a series better than its steps do; None where none does.

    Both are fitted by least squares to the series without its spikes.  A step costs what its size
    and its place could explain by chance.  Where neighbours are alike, everything explains less.

    Args:
        values: Shape (n,), on the scale on which levels are set against each other.
        spread: How much each point varies, relative to the others, shape (n,).
        steps: That were found without a drift, ascending.

    Source:
        A cost of 2 log n for each change point: Yao, Estimating the Number of Change-Points via
        Schwarz' Criterion, Statistics and Probability Letters 6 (1988).
    """
    n = len(values)
    if n < FEWEST:
        return None
    stretches = {(0, n - 1)}
    for part in range(1, _PARTS):
        middle = part * n // _PARTS
        stretches |= {(s, e) for s, e in ((0, middle), (middle, n - 1)) if e - s >= FEWEST}
    best: tuple[float, Drift] | None = None
    for start, end in sorted(stretches):
        found = _against(values, spread, list(steps), start, end)
        if found is not None and (best is None or found[0] > best[0]):
            best = found
    return best[1] if best else None


def _against(
    values: Floats, spread: Floats, steps: list[int], start: int, end: int
) -> tuple[float, Drift] | None:
    """Return by how much a drift is better than the steps alone, and the drift.

    Steps that explain too little beside the drift are given up, the least one first.
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
    variance = max(variance, _NOTHING * square, float(np.finfo(np.float64).tiny))
    gram, product = weighted.T @ weighted, weighted.T @ clean
    price = _STEP_COST * math.log(n)
    slope_at = len(steps) + 1
    levels = np.linalg.solve(gram[:slope_at, :slope_at], product[:slope_at])
    alone = (square - float(product[:slope_at] @ levels)) / variance + price * len(steps)
    kept = list(range(slope_at + 1))
    while True:
        inverse = np.linalg.pinv(gram[np.ix_(kept, kept)])
        coefficients = inverse @ product[kept]
        if len(kept) == 2:
            break
        # what a step explains beside all others
        explained = coefficients[1:-1] ** 2 / np.diag(inverse)[1:-1] / variance
        least = int(explained.argmin())
        if explained[least] >= price:
            break
        del kept[1 + least]
    now = (square - float(product[kept] @ coefficients)) / variance
    edges = int(start > 0) + int(end < n - 1)
    cost = now + price * (len(kept) - 1) + _EDGE_COST * edges + _MARGIN
    if steps and cost >= alone:
        return None
    slope = float(coefficients[-1])
    error = math.sqrt(max(0.0, float(inverse[-1, -1]) * variance))
    freedom = max(1.0, n * (1 - rho) / (1 + rho) - len(kept))
    if error and 2 * tail(abs(slope) / error, freedom) > CHANCE:
        return None
    return alone - cost, Drift(start, end, slope, error, freedom)


def _fit(
    values: Floats, spread: Floats, bounds: list[int], columns: Floats
) -> tuple[Floats, Floats] | None:
    """Return the series without its spikes, and what the fit leaves of it, both by `spread`.

    None where nothing varies, or where there are hardly more points than parameters.
    """
    about = noise(values, bounds, spread)
    n, parameters = columns.shape
    if about is None or n - parameters < _LEAST_FREEDOM:
        return None
    raw, clean = values / spread, about.bounded / spread
    solve = np.linalg.pinv(columns)
    for _ in range(_ROUNDS):
        fitted = columns @ (solve @ clean)
        off = noise(raw - fitted, [0, n], np.ones(n))
        if off is None:  # it is this line, to the rounding of doubles
            return raw, np.zeros(n)
        clean = fitted + off.bounded
    return clean, clean - columns @ (solve @ clean)


def _ramp(n: int, start: int, end: int) -> Floats:
    ramp: Floats = np.clip(np.arange(n, dtype=np.float64), start, end) - start
    return ramp
