"""Forecast what a build needs at more Projects than were measured, and say how far to believe it.

A quantity is a straight line of N with a curvature, which is probably small, and an error in
proportion to its size.  Where the data cannot tell how small, the interval is wider.  A forecast is
refused where the data cannot justify it: too few sizes, a quantity that shrinks or whose growth is
curved, or an N too far beyond the measured ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc, ndtr

from pipeline.judge.stats.student import quantile
from pipeline.model.capacity import Capacity, StepOutcome
from pipeline.model.forecast import BrokenBound, CapacityForecast, Forecast, MachineSize
from pipeline.model.headroom import MEMORY_RESERVE
from pipeline.model.limit import QUANTITIES

CONFIDENCE = 0.90
"""Probability with which a later measurement lies in the interval of a forecast."""

MIN_SIZES = 4
"""Smallest number of different N: a line has two parameters, and its error needs two more."""

BELIEVED_RATIO = 4.0
"""How many times the largest measured N a forecast may be, without a validation."""

CURVATURE = 0.05
"""Standard deviation, before the data, of the curvature's share of the growth up to the largest N,
for half of all quantities; the others may have up to 16 times as much.  Measured growth of Milo
from 5 to 320 Projects is straight within some percent."""

MIN_NOISE = 0.01
"""Smallest relative error that is assumed: counts repeat exactly, and other machines do not."""

MAX_DROP = 0.10
"""Largest share by which a quantity may shrink from one size to the next."""

KNEE_CHANCE = 0.01
"""Largest probability of finding a knee in a quantity that has none."""

CURVE_CHANCE = 0.02
"""Largest probability of refusing a quantity because its growth is curved, though it is not."""

_CURVATURES = ((1, 0.5), (2, 0.15), (4, 0.13), (8, 0.11), (16, 0.11))  # heavier than Cauchy's
_PRIOR = tuple(
    (float(noise), CURVATURE * scale, chance)
    for noise in np.geomspace(MIN_NOISE, 0.3, 14)
    for scale, chance in _CURVATURES
)
"""Each noise of one measurement, standard deviation of the curvature, and probability of these."""

_FAR = 10.0  # standard deviations
_HALVINGS = 60
_MIN_LEVEL = 0.05  # of the largest value: the least level by which an error is divided
_MIN_CURVATURE = 1e-9  # of the largest value
_ROUNDS = 5  # of fitting a line and dividing the errors by its level
_GROWING = frozenset({"memory", "db", "files", "goroutines", "idle_cpu", "ready"})

Floats = NDArray[np.float64]


class Measured(NamedTuple):
    """One measured value of a quantity at one N."""

    n: int
    value: float


def forecast_capacity(
    capacity: Capacity, n: int, machine: MachineSize | None = None
) -> CapacityForecast:
    """Return the forecast of every quantity that grows with N and was measured.

    Steps that are invalid, or in which the build failed, are left out.  Response times and errors
    are not forecast: they depend on the load of the hold, and rise suddenly near a limit.
    """
    growth = measured_growth(capacity)
    bounds = {limit.quantity: limit.below for limit in capacity.question.limits}
    for name, bound in machine_bounds(machine).items() if machine else ():
        bounds[name] = min(bound, bounds.get(name, bound))
    reached = [
        broken
        for name, bound in bounds.items()
        if name in growth and (broken := find_broken_bound(name, growth[name], bound))
    ]
    return CapacityForecast(
        things=capacity.question.things,
        subject=capacity.subject,
        n=n,
        confidence=CONFIDENCE,
        quantities=tuple(forecast_quantity(name, growth[name], n) for name in growth),
        machine=machine,
        reached=tuple(sorted(reached, key=lambda one: (one.earliest_n, one.quantity))),
    )


def measured_growth(capacity: Capacity) -> dict[str, list[Measured]]:
    """Return the measured values of each quantity that can be forecast, by its name."""
    steps = [
        step
        for step in capacity.steps
        if step.outcome is not StepOutcome.INVALID and not step.failed
    ]
    growth = {
        name: [Measured(step.n, step.values[name]) for step in steps if name in step.values]
        for name in QUANTITIES
        if grows_with_n(name)
    }
    return {name: measured for name, measured in growth.items() if measured}


def grows_with_n(quantity: str) -> bool:
    """Return whether a quantity grows with what exists, and not with the load of a hold."""
    return quantity.partition("(")[0] in _GROWING


def forecast_quantity(name: str, measured: Sequence[Measured], n: int) -> Forecast:
    """Return the forecast of one quantity, or the reason why there is none.

    Args:
        name: Key of `QUANTITIES`.
        measured: At least one value; several may have the same N.
        n: N of the forecast, at least 1.
    """
    means = _means(measured)
    result = Forecast(name, QUANTITIES[name], n, len(means), means[0].n, means[-1].n)
    if reason := _missing_sizes(len(means)) or _shrinks(means):
        return replace(result, refused=reason)
    scale = max(one.value for one in measured) or 1.0
    scaled = [Measured(one.n, one.value / scale) for one in measured]
    knee = _find_knee(scaled)
    used = [one for one in scaled if one.n >= knee]
    means = _means(used)
    result = replace(result, points=len(means), first_n=means[0].n, knee=knee)
    if knee and (reason := _missing_sizes(len(means))):
        return replace(result, refused=f"its growth changes at N = {knee:,}; above that, {reason}")
    if _is_curved(used):
        reason = (
            f"its growth is curved from N = {means[0].n:,} to {means[-1].n:,}, and only a straight"
            " line is continued; measure larger sizes"
        )
        return replace(result, refused=reason)
    fit = _fit_growth(used)
    believed_to = math.floor(means[-1].n * max(BELIEVED_RATIO, _validated_ratio(used)))
    if fit.interval(believed_to)[2] < means[-1].value:  # less than there is already
        return replace(result, refused=_shrinking(means[0], means[-1], means))
    result = replace(result, believed_to=believed_to, per_n=scale * fit.slope_at(means[-1].n))
    if n > believed_to:
        needed = math.ceil(n / BELIEVED_RATIO)
        reason = (
            f"N = {n:,} is more than {believed_to / means[-1].n:.3g} times the largest measured"
            f" one; measure up to N = {needed:,}"
        )
        return replace(result, refused=reason)
    low, value, high = (scale * end for end in fit.interval(n))
    return replace(result, low=low, value=value, high=high)


def find_broken_bound(name: str, measured: Sequence[Measured], bound: float) -> BrokenBound | None:
    """Return where a quantity reaches a bound.

    None if the quantity has no forecast, or does not reach the bound as far as the forecast is
    believed.
    """
    largest = max(one.n for one in measured)
    end = forecast_quantity(name, measured, largest)
    if end.refused:
        return None
    top = end.believed_to

    def first_n(reaches: str) -> int:
        low, high = 0, top + 1
        while high - low > 1:
            middle = (low + high) // 2
            value = getattr(forecast_quantity(name, measured, middle), reaches)
            low, high = (low, middle) if value >= bound else (middle, high)
        return high

    earliest, likely = first_n("high"), first_n("value")
    if earliest > top:
        return None
    return BrokenBound(name, bound, earliest, likely if likely <= top else None)


def machine_bounds(machine: MachineSize) -> dict[str, float]:
    """Return what a build can use of a machine, by quantity."""
    bounds = {"memory": (1 - MEMORY_RESERVE) * machine.memory}
    return bounds | ({"idle_cpu": machine.cores} if machine.cores else {})


def _missing_sizes(count: int) -> str:
    missing = MIN_SIZES - count
    if missing <= 0:
        return ""
    sizes = "1 more size" if missing == 1 else f"{missing} more sizes"
    return f"{sizes} must be measured; {MIN_SIZES} are needed"


def _shrinks(means: Sequence[Measured]) -> str:
    drops = [
        (before, after)
        for before, after in pairwise(means)
        if after.value < before.value * (1 - MAX_DROP)
    ]
    return _shrinking(*drops[-1], means) if drops else ""


def _shrinking(before: Measured, after: Measured, means: Sequence[Measured]) -> str:
    missing = max(1, MIN_SIZES - sum(one.n >= after.n for one in means))
    sizes = "1 more size" if missing == 1 else f"{missing} more sizes"
    return (
        f"it shrinks from N = {before.n:,} to N = {after.n:,}; measure these again, and {sizes}"
        f" above {means[-1].n:,}"
    )


def _means(measured: Sequence[Measured]) -> list[Measured]:
    sizes = sorted({one.n for one in measured})
    return [Measured(n, fmean(one.value for one in measured if one.n == n)) for n in sizes]


@dataclass(frozen=True, slots=True)
class _LineFit:
    """A weighted least-squares line, with N as a share of the largest one.

    Attributes:
        shares: Shape (n,).
        values: Shape (n,).
        levels: Fitted values, by which errors are divided, shape (n,).
        coefficients: Level at N = 0, and growth up to the largest N.
        squares: Sum of the squared relative errors.
    """

    shares: Floats
    values: Floats
    levels: Floats
    coefficients: Floats
    squares: float

    @property
    def degrees_of_freedom(self) -> int:
        return len(self.values) - 2


def _fit_line(measured: Sequence[Measured], largest: int) -> _LineFit:
    shares = np.array([one.n / largest for one in measured])
    values = np.array([one.value for one in measured])
    columns = np.column_stack([np.ones_like(shares), shares])
    levels = np.full_like(values, max(float(values.mean()), _MIN_LEVEL))
    coefficients = np.zeros(2)
    for _ in range(_ROUNDS):
        solved = np.linalg.lstsq(columns / levels[:, None], values / levels, rcond=None)
        coefficients = solved[0]
        levels = np.maximum(columns @ coefficients, _MIN_LEVEL)
    errors = (values - columns @ coefficients) / levels
    return _LineFit(shares, values, levels, coefficients, float(errors @ errors))


@dataclass(frozen=True, slots=True)
class _GrowthFit:
    """A line with a curvature, as a weighted sum of fits: one for each noise and prior curvature.

    Attributes:
        largest: Largest measured N.
        weights: Posterior probability of each fit, shape (k,).
        coefficients: Level at N = 0, growth and curvature up to the largest N, shape (k, 3).
        covariances: Shape (k, 3, 3).
        noises: Relative standard deviation of one measurement, shape (k,).
    """

    largest: int
    weights: Floats
    coefficients: Floats
    covariances: Floats
    noises: Floats

    def interval(self, n: int) -> tuple[float, float, float]:
        """Return (low, value, high) of one more measurement at N, none below 0."""
        share = n / self.largest
        at = np.array([1.0, share, share**2])
        values = self.coefficients @ at
        variances = np.einsum("i,kij,j->k", at, self.covariances, at)
        deviations = np.sqrt(variances + (self.noises * np.maximum(values, 0.0)) ** 2)
        low, value, high = (
            _mixture_quantile(chance, self.weights, values, deviations)
            for chance in ((1 - CONFIDENCE) / 2, 0.5, (1 + CONFIDENCE) / 2)
        )
        return max(0.0, low), max(0.0, value), max(0.0, high)

    def slope_at(self, n: int) -> float:
        """Return the growth per N at N."""
        _, slope, curvature = self.weights @ self.coefficients
        return float(slope + 2 * curvature * n / self.largest) / self.largest


def _fit_growth(measured: Sequence[Measured]) -> _GrowthFit:
    """Fit a line with a curvature that is shrunk towards 0; the largest value is 1.

    The prior of the curvature has heavy tails, as a weighted sum of normal ones, and the noise is
    averaged over.

    Source:
        Bayesian linear regression with a scale mixture of normal priors, on a grid: Gelman and
        others, Bayesian Data Analysis, 3rd ed., sections 14.8 and 17.2.
    """
    largest = max(one.n for one in measured)
    line = _fit_line(measured, largest)
    columns = np.column_stack([np.ones_like(line.shares), line.shares, line.shares**2])
    weighted = columns / line.levels[:, None]
    target = line.values / line.levels
    growth = max(abs(float(line.coefficients[1])), _MIN_CURVATURE)
    # Without the line: what is left are the curvature and the noise.
    straight, _ = np.linalg.qr(weighted[:, :2])
    bend = weighted[:, 2] - straight @ (straight.T @ weighted[:, 2])
    rest = target - straight @ (straight.T @ target)
    noises, deviations, chances = (np.array(column) for column in zip(*_PRIOR, strict=True))
    deviations = growth * deviations
    ratios = (deviations / noises) ** 2
    explained = ratios * float(bend @ rest) ** 2 / (1 + ratios * float(bend @ bend))
    squares = (float(rest @ rest) - explained) / noises**2
    logs = np.log(chances) - (len(target) - 2) * np.log(noises)
    logs -= np.log1p(ratios * float(bend @ bend)) / 2 + squares / 2
    weights = np.exp(logs - logs.max())
    precisions = weighted.T @ weighted / noises[:, None, None] ** 2
    precisions[:, 2, 2] += 1 / deviations**2
    covariances = np.linalg.inv(precisions)
    coefficients = covariances @ (weighted.T @ target) / noises[:, None] ** 2
    return _GrowthFit(largest, weights / weights.sum(), coefficients, covariances, noises)


def _mixture_quantile(chance: float, weights: Floats, means: Floats, deviations: Floats) -> float:
    """Return a quantile of a weighted sum of normal distributions."""
    far = _FAR * deviations
    low, high = float((means - far).min()), float((means + far).max())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = float(weights @ ndtr((middle - means) / deviations))
        low, high = (middle, high) if below < chance else (low, middle)
    return (low + high) / 2


def _is_curved(measured: Sequence[Measured]) -> bool:
    """Return whether the data contradict a curvature as small as is assumed.

    Source:
        Prior predictive check: Gelman and others, Bayesian Data Analysis, 3rd ed., section 6.3.
        Only the variance of the errors is estimated, not that of the curvature, so the sum has more
        degrees of freedom: Satterthwaite, An Approximate Distribution of Estimates of Variance
        Components, Biometrics Bulletin 2 (1946).
    """
    line = _fit_line(measured, max(one.n for one in measured))
    left = line.degrees_of_freedom - 1
    if left < 1:
        return False
    columns = np.column_stack([np.ones_like(line.shares), line.shares, line.shares**2])
    columns /= line.levels[:, None]
    target = line.values / line.levels
    inverse = np.linalg.pinv(columns)
    errors = target - columns @ (inverse @ target)
    estimated = max(float(errors @ errors) / left, MIN_NOISE**2) * float(inverse[2] @ inverse[2])
    variance = estimated + (CURVATURE * float(line.coefficients[1])) ** 2
    degrees_of_freedom = left * (variance / estimated) ** 2
    largest = quantile(1 - CURVE_CHANCE / 2, degrees_of_freedom) * math.sqrt(variance)
    return abs(float(inverse[2] @ target)) > largest


def _find_knee(measured: Sequence[Measured]) -> int:
    """Return the N at which the growth changes; 0 if one line fits as well as two.

    Source:
        An F test of a broken line, corrected for the number of places (Bonferroni): Draper and
        Smith, Applied Regression Analysis, 3rd ed., section 14.3.
    """
    sizes = sorted({one.n for one in measured})
    line = _fit_line(measured, sizes[-1])
    left = line.degrees_of_freedom - 1
    places = sizes[1:-1]
    if left < 1:
        return 0
    best, knee = KNEE_CHANCE / len(places), 0
    for place in places:
        bend = np.maximum(0.0, line.shares - place / sizes[-1])
        columns = np.column_stack([np.ones_like(bend), line.shares, bend]) / line.levels[:, None]
        target = line.values / line.levels
        errors = target - columns @ np.linalg.lstsq(columns, target, rcond=None)[0]
        squares = max(float(errors @ errors), left * MIN_NOISE**2)
        p = float(fdtrc(1, left, max(0.0, line.squares - squares) * left / squares))
        if p < best:
            best, knee = p, place
    return knee


def _validated_ratio(measured: Sequence[Measured]) -> float:
    """Return how many times their largest N the smaller sizes predicted the larger ones rightly.

    Each size from the fourth on is tried as the largest one; all larger measurements must lie in
    the interval.  It is 1 if none was validated.
    """
    sizes = sorted({one.n for one in measured})
    for size in sizes[MIN_SIZES - 1 : -1]:
        fit = _fit_growth([one for one in measured if one.n <= size])
        later = [one for one in measured if one.n > size]
        ends = [(one.value, *fit.interval(one.n)) for one in later]
        if all(low <= value <= high for value, low, _, high in ends):
            return sizes[-1] / size
    return 1.0
