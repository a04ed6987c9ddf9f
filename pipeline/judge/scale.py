"""The scale on which a metric is tested: logarithms of ratios, or differences; positive is worse.

On this scale a margin is as far to one side of 0 as to the other, and a metric of which more is
better mirrors one of which less is.
"""

import math
from collections.abc import Sequence
from statistics import fmean

from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Bound

_MOST = 700.0  # exp() of more is not a number; no real change comes near
_ROUNDING = 1e-9  # relative; a change of exactly the margin is not beyond it


def difference(metric: Metric, baseline: float, candidate: float) -> float:
    """Return how much worse the candidate is than the baseline, on the test's scale.

    Args:
        metric: Of both values; its floor is subtracted from them.
        baseline: In the metric's unit; above its floor on the ratio scale.
        candidate: The same.
    """
    return place(metric, candidate) - place(metric, baseline)


def place(metric: Metric, value: float) -> float:
    """Return where a value lies on the test's scale: the higher, the worse.

    Args:
        metric: Of the value; its floor is subtracted from it.
        value: In the metric's unit; above its floor on the ratio scale.
    """
    up = math.log(value - metric.floor) if metric.scale is Scale.RATIO else value
    return _oriented(metric, up)


def level(metric: Metric, before: Sequence[float], after: Sequence[float]) -> float:
    """Return what a share of a metric's level is to be multiplied by to be on the test's scale.

    On logarithms a share is a share everywhere.  On the scale of differences it is a share of the
    mean size of the values, both arms alike; of a metric that is always 0 it is nothing.

    Args:
        metric: Of the values.
        before: Of the baseline, at least one, in the metric's unit.
        after: Of the candidate, at least one.
    """
    if metric.scale is Scale.RATIO:
        return 1.0
    return fmean(fmean(map(abs, values)) for values in (before, after))


def worse(metric: Metric, change: float) -> float:
    """Return how much worse a change is, on the test's scale: the inverse of `change`."""
    if metric.scale is Scale.RATIO:
        return _oriented(metric, math.log1p(change) if change > -1 else -_MOST)
    return _oriented(metric, change)


def change(metric: Metric, worse: float) -> float:
    """Return a worsening on the test's scale as a ratio, or as an amount in the unit."""
    up = _oriented(metric, worse)
    return math.expm1(max(-_MOST, min(_MOST, up))) if metric.scale is Scale.RATIO else up


def mean(metric: Metric, values: Sequence[float]) -> float | None:
    """Return the mean on the test's scale as a value: that of two arms differ by their change.

    On the ratio scale it is the geometric mean of what is above the floor, with the floor added.
    Where no ratio can be taken, it is the arithmetic mean.

    Args:
        metric: Of all values.
        values: In its unit, shape (n,); None is returned for none.
    """
    if not values:
        return None
    if metric.scale is Scale.DIFFERENCE or min(values) <= metric.floor:
        return math.fsum(values) / len(values)
    logs = math.fsum(math.log(value - metric.floor) for value in values) / len(values)
    return math.exp(logs) + metric.floor


def margin(metric: Metric) -> float:
    """Return the metric's margin on the test's scale, above 0."""
    return math.log1p(metric.margin) if metric.scale is Scale.RATIO else metric.margin


def tolerance(metric: Metric) -> float:
    """Return the worsening that a pass must exclude, on the test's scale, at least the margin."""
    return math.log1p(metric.tolerated) if metric.scale is Scale.RATIO else metric.tolerated


def hides_the_worst(metric: Metric, bound: Bound) -> bool:
    """Return whether a deadline leaves it open how much worse a change is."""
    grows = Bound.AT_LEAST if metric.better is Better.LOWER else Bound.AT_MOST
    return bound is grows


def is_above(one: float, other: float) -> bool:
    """Whether one is larger, and not only by the rounding of doubles."""
    return one > other and not math.isclose(one, other, rel_tol=_ROUNDING)


def _oriented(metric: Metric, up: float) -> float:
    return up if metric.better is Better.LOWER else 0.0 - up
