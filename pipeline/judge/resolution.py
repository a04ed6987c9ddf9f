"""Values that are rounded to steps larger than the margin: their step, and a wider error.

Two values that differ by one step may be almost equal, and two equal ones may be almost a step
apart.  Pairs that all differ by the same step have no spread, but are no certain evidence.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from statistics import fmean

from pipeline.judge import scale
from pipeline.judge.constants import MIN_CONSTANT_VALUES, ROUNDING_SD
from pipeline.judge.stats.student import Estimate
from pipeline.model.metric import Metric, Scale

_NO_SPREAD = 0.1  # of the variance that rounding explains: pairs differ by the same number of steps
_ENOUGH_VALUES = 200  # of an arm, to find the step
_DIGITS = 12  # digits beyond are the rounding of doubles
_ROUNDING = 1e-9  # relative to the largest value
_MAX_MULTIPLE = 2.0**53  # every double beyond is a multiple
_STEP_TOLERANCE = 1e-3  # largest distance of a value from a multiple of the step, in steps


def allow_for_steps(
    metric: Metric,
    estimate: Estimate,
    before: Sequence[float],
    after: Sequence[float],
    *,
    counts_vary: bool = False,
) -> tuple[Estimate, float | None]:
    """Return an estimate with an error that covers rounding, and the step of the values.

    The estimate stays as it is, and the step is None, if the values are exact or if their step is
    at most the margin.  `counts_vary` says that another count of the same report
    `is_count_that_varies`: then a count that does not vary may be constant by chance.
    """
    if _is_exact(metric, estimate, before, after, counts_vary=counts_vary):
        return estimate, None
    step = step_above_margin(metric, before, after)
    if step is None:
        return estimate, None
    return _widen(metric, estimate, step, before, after), step


def step_above_margin(
    metric: Metric, before: Sequence[float], after: Sequence[float]
) -> float | None:
    """Return the step of the values, in the metric's unit, if it is larger than the margin."""
    smallest = min(min(arm) for arm in (before, after)) - metric.floor
    least = metric.margin * (smallest if metric.scale is Scale.RATIO else 1.0)
    step = common_step([*before[:_ENOUGH_VALUES], *after[:_ENOUGH_VALUES]], least)
    return step if step is not None and scale.is_above(step, least) else None


def is_count_that_varies(metric: Metric, before: Sequence[float], after: Sequence[float]) -> bool:
    """Return True if a count varies within an arm, in steps larger than its margin."""
    return (
        _is_count(metric)
        and not _is_constant(before, after)
        and step_above_margin(metric, before, after) is not None
    )


def common_step(values: Sequence[float], least: float) -> float | None:
    """Return the largest step of which all values are multiples; None if it is below `least`.

    The common step of only two different values may be as large as their difference.  Then the last
    significant digit is the step, if it is smaller: 1.0 and 1.5 come in steps of 0.1.  Without two
    different values there is no step.
    """
    sizes = sorted({abs(value) for value in values} - {0.0})
    different = len(set(values))
    if different < 2 or not sizes:
        return None
    step = sizes[0]
    nothing = _ROUNDING * sizes[-1]
    for value in sizes[1:]:
        common = _common_divisor(step, value, nothing)
        if common <= nothing:
            return None
        step = value / round(value / common)  # without the rounding that Euclid accumulates
        if step < least:
            return None
    if different == 2:
        step = min(step, *map(_last_decimal, sizes))
    if step <= 0 or sizes[-1] / step > _MAX_MULTIPLE:  # a last digit may underflow
        return None
    is_multiple = all(
        round(v / step) >= 1 and abs(v / step - round(v / step)) < _STEP_TOLERANCE for v in sizes
    )
    return step if is_multiple and step >= least else None


def _is_exact(
    metric: Metric,
    estimate: Estimate,
    before: Sequence[float],
    after: Sequence[float],
    *,
    counts_vary: bool,
) -> bool:
    """Return True if values look like counts, or like numbers that were not rounded."""
    if _is_constant(before, after):
        is_count = _is_count(metric) and not counts_vary
        return is_count or min(len(before), len(after)) >= MIN_CONSTANT_VALUES
    # Steps are unequal ratios of unequal values, so these are no steps; or nothing differs at all.
    is_one_change = estimate.standard_error**2 == estimate.fixed_variance
    return is_one_change and (metric.scale is Scale.RATIO or estimate.mean == 0)


def _is_count(metric: Metric) -> bool:
    return metric.scale is Scale.DIFFERENCE and metric.unit == "1"


def _is_constant(before: Sequence[float], after: Sequence[float]) -> bool:
    return all(min(arm) == max(arm) for arm in (before, after))


def _widen(
    metric: Metric, estimate: Estimate, step: float, before: Sequence[float], after: Sequence[float]
) -> Estimate:
    """Return an estimate with the rounding variance, which more rounded values do not shrink.

    If values vary by more than about a step, their rounding errors differ and average out: the
    spread covers them, and nothing is added.
    """
    is_ratio = metric.scale is Scale.RATIO
    rounding = fmean(
        fmean(
            (ROUNDING_SD * (math.log1p(step / (value - metric.floor)) if is_ratio else step)) ** 2
            for value in values
        )
        for values in (before, after)
    )
    squared_error = estimate.standard_error**2
    spread = (squared_error - estimate.fixed_variance) * min(len(before), len(after))
    added = max(0.0, rounding - spread / 2)
    if added == 0:
        return estimate
    degrees_of_freedom = estimate.degrees_of_freedom
    if spread < _NO_SPREAD * rounding:
        degrees_of_freedom = len(before) + len(after)
    return replace(
        estimate,
        standard_error=(squared_error + added) ** 0.5,
        degrees_of_freedom=degrees_of_freedom,
        fixed_variance=estimate.fixed_variance + added,
    )


def _common_divisor(one: float, other: float, nothing: float) -> float:
    """Return the largest common divisor of two numbers above 0, by Euclid's algorithm."""
    while other > nothing:
        rest = math.fmod(one, other)
        one, other = other, 0.0 if other - rest <= nothing else rest
    return one


def _last_decimal(value: float) -> float:
    """Return the place value of the last significant digit: 10 of 120, 0.01 of 0.12."""
    exponent = Decimal(f"{value:.{_DIGITS}g}").normalize().as_tuple().exponent
    return float(Decimal(1).scaleb(int(exponent)))
