"""The test scale: logarithms of ratios, or differences; positive is worse.

On this scale margins are symmetric about 0, and a metric that improves upwards is the mirror image
of one that improves downwards.
"""

import math
from collections.abc import Sequence
from statistics import fmean

from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Bound

_MAX_EXPONENT = 700.0  # exp() of more is not a number; no real change comes near
_ROUNDING = 1e-9  # relative; a change of exactly the margin is not beyond it


def difference(metric: Metric, baseline: float, candidate: float) -> float:
    """Return the worsening from the baseline to the candidate, on the test scale."""
    return position(metric, candidate) - position(metric, baseline)


def position(metric: Metric, value: float) -> float:
    """Return the position of a value on the test scale: the higher, the worse.

    A value on the ratio scale is above the floor, which is subtracted.
    """
    up = math.log(value - metric.floor) if metric.scale is Scale.RATIO else value
    return _orient(metric, up)


def level(metric: Metric, before: Sequence[float], after: Sequence[float]) -> float:
    """Return the factor from a share of a metric's level to the test scale.

    For ratios it is 1.  For differences it is the mean size of the values, with equal weights of
    both arms; it is 0 for a metric that is always 0.
    """
    if metric.scale is Scale.RATIO:
        return 1.0
    return fmean(fmean(map(abs, values)) for values in (before, after))


def worse(metric: Metric, change: float) -> float:
    """Return a change as a worsening on the test scale: the inverse of `change`."""
    if metric.scale is Scale.RATIO:
        return _orient(metric, math.log1p(change) if change > -1 else -_MAX_EXPONENT)
    return _orient(metric, change)


def change(metric: Metric, worse: float) -> float:
    """Return a worsening on the test scale as a ratio, or as an amount in the unit."""
    up = _orient(metric, worse)
    return math.expm1(bounded_exponent(up)) if metric.scale is Scale.RATIO else up


def bounded_exponent(exponent: float) -> float:
    """Return an exponent whose power is finite and above zero."""
    return max(-_MAX_EXPONENT, min(_MAX_EXPONENT, exponent))


def mean(metric: Metric, values: Sequence[float]) -> float | None:
    """Return the mean on the test scale as a value, so that the change is that of two means.

    On the ratio scale it is the geometric mean above the floor, plus the floor; or the arithmetic
    mean if a value is not above the floor.  None without values.
    """
    if not values:
        return None
    if metric.scale is Scale.DIFFERENCE or min(values) <= metric.floor:
        return math.fsum(values) / len(values)
    logs = math.fsum(math.log(value - metric.floor) for value in values) / len(values)
    return math.exp(logs) + metric.floor


def margin(metric: Metric) -> float:
    """Return the metric's margin on the test scale, above 0."""
    return math.log1p(metric.margin) if metric.scale is Scale.RATIO else metric.margin


def tolerance(metric: Metric) -> float:
    """Return the worsening that a pass must exclude, on the test scale, at least the margin."""
    return math.log1p(metric.tolerated) if metric.scale is Scale.RATIO else metric.tolerated


def hides_the_worst(metric: Metric, bound: Bound) -> bool:
    """Return True if a deadline hides how much worse a change is."""
    grows = Bound.AT_LEAST if metric.better is Better.LOWER else Bound.AT_MOST
    return bound is grows


def is_above(one: float, other: float) -> bool:
    """Return True if one number is larger by more than the rounding of doubles."""
    return one > other and not math.isclose(one, other, rel_tol=_ROUNDING)


def _orient(metric: Metric, up: float) -> float:
    return up if metric.better is Better.LOWER else 0.0 - up
