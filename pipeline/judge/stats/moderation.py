"""Tests of thousands of paired differences, whose variances inform each other.

With four pairs, the variance of one function is hardly known.  But the functions of a profile are
measured alike, so their variances follow their level, and the rest is a distribution that the
functions themselves tell.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.judge.stats.multiple import holm

Floats: TypeAlias = NDArray[np.float64]

MAX_PRIOR_DEGREES_OF_FREEDOM = 8.0
"""Largest weight of the prior: functions of one launch vary together, so they know less than their
number says."""

_MIN_VARIANCES = 12  # fewer say nothing of a distribution
_MAX_STEPS = 60
_FULL_WEIGHT = 100.0  # events; their sampling alone varies by 10 %


@dataclass(frozen=True, slots=True)
class VariancePrior:
    """What the variances of all rows say of that of one.

    Attributes:
        variances: Prior variance of each row, shape (n,).
        degrees_of_freedom: Weight of the prior; 0 if the rows are too few.
    """

    variances: Floats
    degrees_of_freedom: float


@dataclass(frozen=True, slots=True)
class PairedTests:
    """Tests of the rows of a table, shape (n,) each.

    Attributes:
        means: Mean difference of the pairs.
        standard_errors: Standard error of the mean, from the moderated variance.
        degrees_of_freedom: Degrees of freedom of all standard errors.
        p_values: Two-sided p values, not adjusted.
    """

    means: Floats
    standard_errors: Floats
    degrees_of_freedom: float
    p_values: Floats


def moderated_tests(
    differences: Floats, levels: Floats, sampling: Floats | None = None
) -> PairedTests:
    """Return the moderated paired t test of each row.

    Args:
        differences: Shape (n, pairs), pairs >= 2, any unit.
        levels: Level of each row, shape (n,), above 0; the prior variance is a power of it.
        sampling: Variance that sampling alone causes, shape (n,); no variance counts as smaller.
            None for 0.

    Source:
        Smyth, Statist. Appl. Genet. Mol. Biol. 3 (2004): d0 and s0 are estimated from the rows;
        the trend: Law, Chen, Shi and Smyth, voom, Genome Biology 15 (2014).
    """
    from scipy.special import stdtr

    rows, pairs = differences.shape
    if not rows:
        empty = np.zeros(0)
        return PairedTests(empty, empty, float(pairs - 1), empty)
    own = pairs - 1.0
    means = differences.mean(axis=1)
    observed = differences.var(axis=1, ddof=1)
    observed[np.ptp(differences, axis=1) == 0] = 0.0  # equal values have no rounding error
    if sampling is not None:
        observed = np.maximum(observed, sampling)
    prior = variance_prior(observed, levels, own)
    weight = min(prior.degrees_of_freedom, (independent_rows(differences) - 1) * own)
    degrees_of_freedom = weight + own
    pooled = (weight * prior.variances + own * observed) / degrees_of_freedom
    errors = np.sqrt(pooled / pairs)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(means == 0, 0.0, np.abs(means) / errors)
    return PairedTests(means, errors, degrees_of_freedom, 2 * stdtr(degrees_of_freedom, -t))


def independent_rows(differences: Floats) -> float:
    """Return how many independent rows would vary together by chance as much as these do.

    It is 1 if all rows of a pair move together.  Their variances are one then, however many they
    are, and say of it what the pairs of one row say.

    Args:
        differences: Shape (n, pairs), any unit.
    """
    rest = differences - differences.mean(axis=1, keepdims=True)
    spread = np.sqrt((rest**2).mean(axis=1))
    shown = rest[spread > 0] / spread[spread > 0, None]
    if not len(shown):
        return 1.0
    shared = float((shown.mean(axis=0) ** 2).mean())
    return 1 / max(shared, 1 / len(shown))


def logarithmic(values: Floats, event: Floats) -> Floats:
    """Return values on a scale that is logarithmic above one event, and linear around zero.

    On it, the noise of a rate hardly depends on its level, and a change from nothing is finite.

    Args:
        values: Shape (n, pairs), any unit; may be below zero.
        event: Value of the smallest event, shape (pairs,), above zero, in the same unit.
    """
    scaled: Floats = np.arcsinh(values / (2 * event))
    return scaled


def sampling_variance(before: Floats, after: Floats) -> Floats:
    """Return the variance of the difference of two counts of events on the scale of `logarithmic`.

    Args:
        before: Mean number of events, shape (n,), at least 0.
        after: The same of the other arm.

    Source:
        The delta method, for Poisson counts.
    """
    variance: Floats = before / (before**2 + 4) + after / (after**2 + 4)
    return variance


def common_change(differences: Floats, events: Floats) -> Floats:
    """Return the change that the rows of a pair share, shape (pairs,).

    The launches of a pair differ as a whole, by a few percent: every row then moves together, and
    their number would pass for certainty.  The common change is the median over the rows, weighted
    by what their counts say.  No row weighs more than one of `_FULL_WEIGHT` events, so one that
    moves alone stays as it is, also where it is most of the profile.

    Args:
        differences: Shape (n, pairs), on a logarithmic scale.
        events: Mean number of events of each row, shape (n,), above 0.
    """
    weights = 1 / (1 / events + 1 / _FULL_WEIGHT)
    return np.array([_weighted_median(of_pair, weights) for of_pair in differences.T])


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    rising = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(rising, rising[-1] / 2)])


def variance_prior(observed: Floats, levels: Floats, degrees_of_freedom: float) -> VariancePrior:
    """Return the prior of variances that follow their level.

    Args:
        observed: Variance of each row, shape (n,), at least 0; rows with 0 do not count.
        levels: Level of each row, shape (n,), above 0.
        degrees_of_freedom: Degrees of freedom of each variance.
    """
    from scipy.special import digamma, polygamma

    is_used = observed > 0
    count = int(is_used.sum())
    if count < _MIN_VARIANCES:
        return VariancePrior(np.zeros_like(observed), 0.0)
    logs, at = np.log(observed[is_used]), np.log(levels[is_used])
    slope, intercept = np.polyfit(at, logs, 1) if np.ptp(at) > 1e-9 else (0.0, float(logs.mean()))
    trend = intercept + slope * np.log(levels)
    rest = logs - trend[is_used]
    excess = float(rest.var()) * count / (count - 2) - float(polygamma(1, degrees_of_freedom / 2))
    weight = 2 * _inverse_trigamma(excess) if excess > 0 else math.inf
    weight = min(weight, MAX_PRIOR_DEGREES_OF_FREEDOM)
    # The mean of the logarithm of a variance is below the logarithm of its mean.
    shift = math.log(degrees_of_freedom / 2) - float(digamma(degrees_of_freedom / 2))
    shift += float(digamma(weight / 2)) - math.log(weight / 2)
    return VariancePrior(np.exp(trend + shift), weight)


def holm_adjusted(p_values: Floats) -> Floats:
    """Return p values adjusted by Holm's method; see `multiple.holm`."""
    return np.array(holm(p_values.tolist()))


def _inverse_trigamma(value: float) -> float:
    """Return x with trigamma(x) = value, above 0, by Newton's method (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    if value > 1e7:
        return 1 / math.sqrt(value)
    if value < 1e-6:
        return 1 / value
    x = 0.5 + 1 / value
    for _ in range(_MAX_STEPS):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x
