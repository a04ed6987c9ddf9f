"""Evidence on one metric: how much worse the candidate is, and how certain that is.

Everything here is on the test scale (see `scale`), where positive is worse.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from pipeline.judge import scale
from pipeline.judge.stats.proportions import ProportionDifference, proportion_difference
from pipeline.judge.stats.student import Estimate, grouped_estimate, moderate, paired_estimate
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.subject import Arm

_DIGITS = 12  # of a difference; digits beyond are the rounding of doubles, not a spread

Counted = tuple[float, float]
"""(events, possible events) of one trial."""


@dataclass(frozen=True, slots=True)
class OneSided:
    """An estimate from values of which some are lower bounds, because a deadline cut them off.

    The values of one arm are too small, so the estimate is off in one known direction, and only
    what that direction allows can be concluded.

    Attributes:
        estimate: Estimate computed as if no value had been cut off.
        is_least: True if the true worsening is at least the estimate; otherwise it is at most that.

    Source:
        The mean of right-censored values is a lower bound: each value is at least its time of
        censoring.  Klein and Moeschberger, Survival Analysis, 2nd ed., section 3.2.
    """

    estimate: Estimate
    is_least: bool

    @property
    def mean(self) -> float:
        """Return the estimate."""
        return self.estimate.mean

    @property
    def standard_error(self) -> float:
        """Return the standard error of the estimate."""
        return self.estimate.standard_error

    @property
    def degrees_of_freedom(self) -> float:
        """Return the degrees of freedom of the standard error."""
        return self.estimate.degrees_of_freedom

    @property
    def fixed_variance(self) -> float:
        """Return the part of the squared error that more values do not shrink."""
        return self.estimate.fixed_variance

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return (low, high) at a two-sided confidence level; the open end is infinite."""
        low, high = self.estimate.interval(confidence)
        return (low, math.inf) if self.is_least else (-math.inf, high)

    def p_above_zero(self) -> float:
        """Return the one-sided p value of "the candidate is not worse"; 1 if it is unknown."""
        return self.estimate.p_above_zero() if self.is_least else 1.0


Evidence: TypeAlias = Estimate | OneSided | ProportionDifference
"""An estimate of how much worse the candidate is; all three have the same members."""


def of_pairs(metric: Metric, before: Sequence[float], after: Sequence[float]) -> Estimate:
    """Return the evidence of pairs.

    Args:
        metric: Metric of all values.
        before: Values of the baseline, shape (n,), n >= 2.
        after: Values of the candidate in the same pairs, shape (n,).
    """
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
    """Return the evidence of counted events.

    Args:
        metric: Metric that is a share of events.
        before: Trials of the baseline, at least one.
        after: Trials of the candidate, at least one.
        between_run_sd: Assumed standard deviation as for `of_groups`; 0 if the trials are pairs.
    """
    levels = [[events / possible for events, possible in trials] for trials in (before, after)]
    if metric.better is Better.HIGHER:
        before, after = after, before
    return proportion_difference(
        before, after, between_run_sd=between_run_sd * scale.level(metric, *levels)
    )


def with_cut_off(metric: Metric, estimate: Estimate, arm: Arm) -> OneSided:
    """Return the evidence if the values of one arm are lower bounds.

    Args:
        metric: Metric of the values.
        estimate: Estimate from the values as they are.
        arm: Arm whose values were cut off.
    """
    grows = arm is Arm.CANDIDATE
    return OneSided(estimate, is_least=grows == (metric.better is Better.LOWER))


def with_prior(
    evidence: Evidence, pairs: int, prior_variance: float, prior_degrees_of_freedom: float
) -> Evidence:
    """Return the evidence of pairs with a moderated error; see `stats.student.moderate`.

    Args:
        evidence: Evidence of pairs; any other is returned as it is.
        pairs: Number of pairs.
        prior_variance: Variance of a pair in earlier runs, on the test scale, above 0.
        prior_degrees_of_freedom: Weight of that variance.
    """
    match evidence:
        case Estimate():
            return moderate(evidence, pairs, prior_variance, prior_degrees_of_freedom)
        case OneSided(estimate, is_least):
            inner = moderate(estimate, pairs, prior_variance, prior_degrees_of_freedom)
            return OneSided(inner, is_least=is_least)
        case _:
            return evidence


def mirror(evidence: Evidence) -> Evidence:
    """Return the evidence with better and worse exchanged."""
    match evidence:
        case OneSided(estimate, is_least):
            return OneSided(replace(estimate, mean=0.0 - estimate.mean), is_least=not is_least)
        case ProportionDifference():
            (x0, x1), (n0, n1) = evidence.events, evidence.denominators
            return replace(evidence, events=(x1, x0), denominators=(n1, n0))
        case _:
            return Estimate(
                0.0 - evidence.mean,
                evidence.standard_error,
                evidence.degrees_of_freedom,
                evidence.fixed_variance,
            )


def _digits(metric: Metric, before: Sequence[float], after: Sequence[float]) -> int:
    """Return the number of decimals of a difference that are not the rounding of doubles."""
    if metric.scale is Scale.RATIO:
        return _DIGITS
    largest = max(abs(value) for values in (before, after) for value in values)
    return _DIGITS - (math.ceil(math.log10(largest)) if largest else 0)


def _round(values: Iterable[float], digits: int) -> "array[float]":
    """Return values rounded so that equal changes are equal numbers."""
    return array("d", (round(value, digits) for value in values))
