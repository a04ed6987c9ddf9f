"""Evidence on one metric: how much worse the candidate is, and how certain that is.

Everything here is on the test scale (see `scale`), where positive is worse.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from pipeline.judge import scale
from pipeline.judge.stats.proportions import ProportionDifference, proportion_difference
from pipeline.judge.stats.student import Estimate, EstimateBound, grouped_estimate, paired_estimate
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.subject import Arm

_DIGITS = 12  # of a difference; digits beyond are the rounding of doubles, not a spread

Counted = tuple[float, float]
"""(events, possible events) of one trial."""


Evidence: TypeAlias = Estimate | ProportionDifference
"""An estimate of how much worse the candidate is; both have the same members."""


def of_pairs(metric: Metric, before: Sequence[float], after: Sequence[float]) -> Estimate:
    """Return the evidence of two or more pairs: values of the baseline and of the candidate."""
    worse = (scale.difference(metric, *pair) for pair in zip(before, after, strict=True))
    return paired_estimate(_round(worse, _digits(metric, before, after)))


def of_groups(
    metric: Metric, before: Sequence[float], after: Sequence[float], between_run_sd: float
) -> Estimate:
    """Return the evidence of two groups that were not measured side by side.

    Args:
        metric: Metric of all values.
        before: Values of the baseline, shape (m,), m >= 2.
        after: Values of the candidate, shape (n,), n >= 2.
        between_run_sd: Assumed standard deviation between two groups of equal builds, as a ratio
            (0.1 is 10 %).  On the difference scale it is that share of the metric's level.
    """
    digits = _digits(metric, before, after)
    first, second = (
        _round((scale.position(metric, value) for value in values), digits)
        for values in (before, after)
    )
    return grouped_estimate(
        first, second, between_run_sd=between_run_sd * scale.level(metric, before, after)
    )


def of_proportions(
    metric: Metric,
    before: Sequence[Counted],
    after: Sequence[Counted],
    *,
    between_run_sd: float = 0.0,
) -> ProportionDifference:
    """Return the evidence of counted events: trials of the baseline and the candidate, one or more.

    `between_run_sd` is that of `of_groups`; it is 0 if the trials are pairs.
    """
    levels = [[events / possible for events, possible in trials] for trials in (before, after)]
    if metric.better is Better.HIGHER:
        before, after = after, before
    return proportion_difference(
        before, after, between_run_sd=between_run_sd * scale.level(metric, *levels)
    )


def with_cut_off(metric: Metric, estimate: Estimate, arm: Arm) -> Estimate:
    """Return the evidence if the values of one arm are lower bounds.

    The values of that arm are too small, so the estimate is off in a known direction, and only
    what that direction allows can be concluded.
    """
    is_lower = (arm is Arm.CANDIDATE) == (metric.better is Better.LOWER)
    return replace(estimate, bound=EstimateBound.LOWER if is_lower else EstimateBound.UPPER)


def mirror(evidence: Evidence) -> Evidence:
    """Return the evidence with better and worse exchanged."""
    if isinstance(evidence, ProportionDifference):
        (x0, x1), (n0, n1) = evidence.events, evidence.denominators
        return replace(evidence, events=(x1, x0), denominators=(n1, n0))
    lower, upper = EstimateBound
    bound = {None: None, lower: upper, upper: lower}[evidence.bound]
    return replace(evidence, mean=0.0 - evidence.mean, bound=bound)


def _digits(metric: Metric, before: Sequence[float], after: Sequence[float]) -> int:
    """Return the number of decimals of a difference that are not the rounding of doubles."""
    if metric.scale is Scale.RATIO:
        return _DIGITS
    largest = max(abs(value) for values in (before, after) for value in values)
    return _DIGITS - (math.ceil(math.log10(largest)) if largest else 0)


def _round(values: Iterable[float], digits: int) -> "array[float]":
    """Return values rounded so that equal changes are equal numbers."""
    return array("d", (round(value, digits) for value in values))
