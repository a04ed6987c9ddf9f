"""Values that come in steps larger than the margin: what such values can show, and what not.

Two values that differ by one step may be almost equal, and two equal ones may be almost a step
apart.  Pairs that all differ by the same step have no spread, but are no certain evidence.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from pipeline.judge import scale
from pipeline.judge.stats import resolution
from pipeline.judge.stats.student import Estimate
from pipeline.model.metric import Metric, Scale

HALF = 0.5
"""Of a step: how surely a difference is known that is read in steps, as a standard deviation.

Rounding two values to whole steps is worth 0.41 of a step (the variance of each is step^2 / 12).
It is taken for a little more, so that one step alone never is evidence.
"""

LEAST_CONSTANT = 5
"""An arm that has so many values, all equal, is exact: of equal builds that are rounded, one arm
is all one value and the other all the next in at most 1 of 4^5 comparisons."""

_NO_SPREAD = 0.1  # of the variance that rounding explains: pairs differ by the same number of steps
_ENOUGH = 200  # values of an arm tell the step as well as all of them


def allowed_for(
    metric: Metric,
    estimate: Estimate,
    before: Sequence[float],
    after: Sequence[float],
    *,
    counts_vary: bool = False,
) -> tuple[Estimate, list[str]]:
    """Return an estimate that allows for the steps of its values, and what a reader must know.

    Args:
        metric: Of all values, which its scale allows.
        estimate: As if the values were exact.
        before: Of the baseline, as the estimate has them.
        after: Of the candidate.
        counts_vary: Whether another count of the same report is one that `is_count_that_varies`:
            then one that does not vary may be so by chance.
    """
    if _is_exact(metric, estimate, before, after, counts_vary=counts_vary):
        return estimate, []
    step = step_of(metric, before, after)
    if step is None:
        return estimate, []
    return _widened(metric, estimate, step, before, after), [_said(metric, step)]


def step_of(metric: Metric, before: Sequence[float], after: Sequence[float]) -> float | None:
    """Return the step in which values come, in the metric's unit, where it exceeds the margin.

    Args:
        metric: Of all values, which its scale allows.
        before: Of the baseline, at least one.
        after: Of the candidate, at least one.
    """
    smallest = min(min(arm) for arm in (before, after)) - metric.floor
    least = metric.margin * (smallest if metric.scale is Scale.RATIO else 1.0)
    step = resolution.step_of([*before[:_ENOUGH], *after[:_ENOUGH]], least)
    return step if step is not None and scale.is_above(step, least) else None


def is_count_that_varies(metric: Metric, before: Sequence[float], after: Sequence[float]) -> bool:
    """Tell whether a count varies within an arm, in steps larger than its margin.

    Args:
        metric: Of all values, which its scale allows.
        before: Of the baseline, at least one.
        after: Of the candidate, at least one.
    """
    return (
        _is_count(metric)
        and not _is_constant(before, after)
        and step_of(metric, before, after) is not None
    )


def _is_exact(
    metric: Metric,
    estimate: Estimate,
    before: Sequence[float],
    after: Sequence[float],
    *,
    counts_vary: bool,
) -> bool:
    """Tell whether values look like counts, or like numbers that were not rounded."""
    if _is_constant(before, after):
        is_count = _is_count(metric) and not counts_vary
        return is_count or min(len(before), len(after)) >= LEAST_CONSTANT
    # Steps are unequal ratios of unequal values, so these are no steps; or nothing differs at all.
    is_one_change = estimate.error**2 == estimate.fixed
    return is_one_change and (metric.scale is Scale.RATIO or estimate.mean == 0)


def _is_count(metric: Metric) -> bool:
    return metric.scale is Scale.DIFFERENCE and metric.unit == "1"


def _is_constant(before: Sequence[float], after: Sequence[float]) -> bool:
    return all(min(arm) == max(arm) for arm in (before, after))


def _widened(
    metric: Metric, estimate: Estimate, step: float, before: Sequence[float], after: Sequence[float]
) -> Estimate:
    """Return an estimate with the part of its error that no number of rounded values shrinks.

    Where values vary by more than about a step, their rounding errors differ, too, and average out:
    the spread says all, and nothing is added.
    """
    rounding = fmean(
        fmean((HALF * _one_step(metric, value, step)) ** 2 for value in values)
        for values in (before, after)
    )
    spread = (estimate.error**2 - estimate.fixed) * min(len(before), len(after))
    added = max(0.0, rounding - spread / 2)
    if added == 0:
        return estimate
    is_known_by_values = spread < _NO_SPREAD * rounding
    return replace(
        estimate,
        error=(estimate.error**2 + added) ** 0.5,
        freedom=len(before) + len(after) if is_known_by_values else estimate.freedom,
        fixed=estimate.fixed + added,
    )


def _one_step(metric: Metric, value: float, step: float) -> float:
    """Return how far a value moves by one step up, on the test's scale."""
    return math.log1p(step / (value - metric.floor)) if metric.scale is Scale.RATIO else step


def _said(metric: Metric, step: float) -> str:
    """Return what a reader must know of values in steps, and what to do."""
    unit = "" if metric.unit == "1" else f" {metric.unit}"
    margin = f"{metric.margin:.3g}{unit}"
    if metric.scale is Scale.RATIO:
        margin = f"{100 * metric.margin:.3g} %"
    return (
        f"the values come in steps of {step:.3g}{unit}, which is more than the margin of {margin}:"
        " one step proves nothing; record more digits, or make the margin at least one step"
    )
