"""What the numbers of two arms show of one metric: how much worse, and how surely.

Everything here is on the test's scale (see `scale`), where positive is worse.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pipeline.judge import scale
from pipeline.judge.stats import moderated as variances
from pipeline.judge.stats import shares, student
from pipeline.judge.stats.shares import Shares
from pipeline.judge.stats.student import Estimate
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.subject import Arm

_DIGITS = 12  # of a difference; what is beyond is the rounding of doubles, not a spread

Counted = tuple[float, float]
"""How many events, of how many that could have been."""


class Evidence(Protocol):
    """An estimate of how much worse the candidate is."""

    @property
    def mean(self) -> float:
        """Return the estimate."""

    @property
    def error(self) -> float:
        """Return its standard error."""

    @property
    def freedom(self) -> float:
        """Return the degrees of freedom of the error."""

    @property
    def fixed(self) -> float:
        """Return the part of the error's square that more values do not shrink."""

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return (low, high) at a two-sided confidence."""

    def p_above_zero(self) -> float:
        """Return the one-sided p that the candidate is not worse."""


@dataclass(frozen=True, slots=True)
class OneSided:
    """An estimate from values of which some are lower bounds, because a deadline cut them off.

    The values of one arm were replaced by something smaller, so the estimate is off in one known
    direction, and only what that direction allows can be concluded.

    Attributes:
        estimate: Computed as if no value had been cut off.
        is_least: True if the true worsening is at least the estimate; otherwise it is at most.

    Source:
        The bound is that of the mean of right-censored values: each is at least its time of
        censoring.  Klein and Moeschberger, Survival Analysis, 2nd ed., section 3.2.
    """

    estimate: Estimate
    is_least: bool

    @property
    def mean(self) -> float:
        """Return the estimate."""
        return self.estimate.mean

    @property
    def error(self) -> float:
        """Return its standard error."""
        return self.estimate.error

    @property
    def freedom(self) -> float:
        """Return the degrees of freedom of the error."""
        return self.estimate.freedom

    @property
    def fixed(self) -> float:
        """Return the part of the error's square that more values do not shrink."""
        return self.estimate.fixed

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return (low, high) at a two-sided confidence; the open end is infinite."""
        low, high = self.estimate.interval(confidence)
        return (low, math.inf) if self.is_least else (-math.inf, high)

    def p_above_zero(self) -> float:
        """Return the one-sided p that the candidate is not worse; 1 where it cannot be known."""
        return self.estimate.p_above_zero() if self.is_least else 1.0


def cut_off(metric: Metric, estimate: Estimate, arm: Arm) -> OneSided:
    """Return what an estimate shows where values of one arm are lower bounds.

    Args:
        metric: Of the values.
        estimate: Of the values as they are.
        arm: Whose values were cut off.
    """
    grows = arm is Arm.CANDIDATE
    return OneSided(estimate, is_least=grows == (metric.better is Better.LOWER))


def of_pairs(metric: Metric, before: Sequence[float], after: Sequence[float]) -> Estimate:
    """Return what pairs show.

    Args:
        metric: Of all values, which its scale allows.
        before: Of the baseline, shape (n,), n >= 2.
        after: Of the candidate in the same pairs.
    """
    worse = (scale.difference(metric, *pair) for pair in zip(before, after, strict=True))
    return student.of_pairs(_rounded(worse, _digits(metric, before, after)))


def moderated(evidence: Evidence, pairs: int, prior: float, freedom: float) -> Evidence:
    """Return evidence of pairs whose error leans on earlier runs; see `stats.moderated`.

    Args:
        evidence: An estimate from pairs, or what a deadline leaves of one.
        pairs: Number of them.
        prior: Variance of a pair by earlier runs on the test's scale, above 0.
        freedom: Degrees of freedom that it counts for.
    """
    match evidence:
        case Estimate():
            return variances.moderated(evidence, pairs, prior, freedom)
        case OneSided(estimate, is_least):
            inner = variances.moderated(estimate, pairs, prior, freedom)
            return OneSided(inner, is_least=is_least)
        case _:
            return evidence


def of_groups(
    metric: Metric, before: Sequence[float], after: Sequence[float], apart: float
) -> Estimate:
    """Return what two groups show that were not measured side by side.

    Args:
        metric: Of all values, which its scale allows.
        before: Of the baseline, shape (m,), m >= 2.
        after: Of the candidate, shape (n,), n >= 2.
        apart: What sets two groups apart though nothing changed, as a ratio (0.1 is 10 %); on the
            scale of differences it is that share of the metric's level, so nothing where all
            values are 0.
    """
    known = apart * scale.level(metric, before, after)
    digits = _digits(metric, before, after)
    first, second = (
        _rounded((scale.place(metric, value) for value in values), digits)
        for values in (before, after)
    )
    return student.of_groups(first, second, apart=known)


def of_shares(
    metric: Metric, before: Sequence[Counted], after: Sequence[Counted], *, apart: float = 0.0
) -> Shares:
    """Return what counted events show; at least one trial of each arm.

    Args:
        metric: A share of events.
        before: Of the baseline.
        after: Of the candidate.
        apart: See `of_groups`; nothing where the trials are pairs.
    """
    levels = [[events / of for events, of in trials] for trials in (before, after)]
    if metric.better is Better.HIGHER:
        before, after = after, before
    return shares.of_trials(before, after, apart=apart * scale.level(metric, *levels))


def mirrored(evidence: Evidence) -> Evidence:
    """Return the same with better for worse."""
    match evidence:
        case OneSided(estimate, is_least):
            mirror = replace(estimate, mean=0.0 - estimate.mean)
            return OneSided(mirror, is_least=not is_least)
        case Shares():
            (x0, x1), (n0, n1) = evidence.events, evidence.of
            return replace(evidence, events=(x1, x0), of=(n1, n0))
        case _:
            return Estimate(
                0.0 - evidence.mean, evidence.error, evidence.freedom, fixed=evidence.fixed
            )


def _digits(metric: Metric, before: Sequence[float], after: Sequence[float]) -> int:
    """Return the decimals of a difference that are more than the rounding of doubles."""
    if metric.scale is Scale.RATIO:
        return _DIGITS
    largest = max(abs(value) for values in (before, after) for value in values)
    return _DIGITS - (math.ceil(math.log10(largest)) if largest else 0)


def _rounded(values: Iterable[float], digits: int) -> "array[float]":
    """Return values rounded so that equal changes are equal numbers."""
    return array("d", (round(value, digits) for value in values))
