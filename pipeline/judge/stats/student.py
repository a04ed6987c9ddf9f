"""Student's t: means with standard errors, their intervals and tests, and moderated variances."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from statistics import fmean, median


class EstimateBound(Enum):
    """The side on which an estimate bounds the true value."""

    LOWER = "lower"
    UPPER = "upper"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its standard error.

    Attributes:
        mean: Estimated mean, any unit.
        standard_error: Standard error of the mean, in the same unit, at least 0.
        degrees_of_freedom: Degrees of freedom of the standard error, above 0; infinite where the
            error is known.
        fixed_variance: Part of the squared standard error that more values do not shrink, such as
            the variance between two machines; at most the square.
        bound: Side on which the mean bounds the true one, if values were cut off; otherwise None.

    Source:
        Student, The Probable Error of a Mean, Biometrika 6 (1908).  The mean of right-censored
        values is a lower bound: Klein and Moeschberger, Survival Analysis, 2nd ed., section 3.2.
    """

    mean: float
    standard_error: float
    degrees_of_freedom: float
    fixed_variance: float = 0.0
    bound: EstimateBound | None = None

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the two-sided interval (low, high) of the mean; a bound has one infinite end."""
        half = self.standard_error * quantile((1 + confidence) / 2, self.degrees_of_freedom)
        low = -math.inf if self.bound is EstimateBound.UPPER else self.mean - half
        return low, math.inf if self.bound is EstimateBound.LOWER else self.mean + half

    def p_above_zero(self) -> float:
        """Return the one-sided p value of the null hypothesis that the mean is at most 0.

        It is 1 if the mean is an upper bound.  Without any spread there is nothing to test against:
        p is 0 if the mean is above 0, else 1.  That is the limit of the t test, and the right
        answer for a count that never varies.
        """
        if self.bound is EstimateBound.UPPER:
            return 1.0
        if self.standard_error == 0:
            return 0.0 if self.mean > 0 else 1.0
        return upper_tail(self.mean / self.standard_error, self.degrees_of_freedom)


def paired_estimate(differences: Sequence[float]) -> Estimate:
    """Return the mean of two or more paired differences."""
    mean, deviation = mean_and_sd(differences)
    return Estimate(mean, deviation / math.sqrt(len(differences)), len(differences) - 1)


def grouped_estimate(
    before: Sequence[float], after: Sequence[float], *, between_run_sd: float = 0.0
) -> Estimate:
    """Return the difference of the means of two groups with unequal variances (Welch).

    Args:
        before: Shape (m,), m >= 2, any unit.
        after: Shape (n,), n >= 2, the same unit.
        between_run_sd: Standard deviation between two groups of equal builds, such as that of the
            machines they were measured on, in the same unit; taken as known.

    Raises:
        ValueError: A group has fewer than two values.

    Source:
        Welch, The Generalization of `Student's` Problem when Several Different Population
        Variances are Involved, Biometrika 34 (1947); degrees of freedom by Satterthwaite,
        Biometrics Bulletin 2 (1946), to which a known variance adds none.
    """
    (mean_before, sd_before), (mean_after, sd_after) = mean_and_sd(before), mean_and_sd(after)
    first, second = sd_before**2 / len(before), sd_after**2 / len(after)
    variance = first + second + between_run_sd**2
    uncertain = 0.0  # in shares of the variance, whose squares neither overflow nor vanish
    if variance > 0:
        uncertain = (first / variance) ** 2 / (len(before) - 1)
        uncertain += (second / variance) ** 2 / (len(after) - 1)
    degrees_of_freedom = 1 / uncertain if uncertain > 0 else math.inf
    return Estimate(
        mean_after - mean_before,
        math.sqrt(variance),
        degrees_of_freedom,
        fixed_variance=between_run_sd**2,
    )


def sum_of_estimates(estimates: Sequence[Estimate]) -> Estimate | None:
    """Return the sum of independent estimates: means and variances add.

    If some are bounds, so is the sum; None if they bound it on different sides.

    Args:
        estimates: Shape (n,), n >= 1, all in one unit.

    Source:
        Satterthwaite, Biometrics Bulletin 2 (1946), for the degrees of freedom.
    """
    bounds = {one.bound for one in estimates if one.bound is not None}
    if len(bounds) > 1:
        return None
    variance = math.fsum(one.standard_error**2 for one in estimates)
    uncertain = 0.0  # in shares of the variance, as in `grouped_estimate`
    if variance > 0:
        uncertain = math.fsum(
            (one.standard_error**2 / variance) ** 2 / one.degrees_of_freedom for one in estimates
        )
    return Estimate(
        math.fsum(one.mean for one in estimates),
        math.sqrt(variance),
        1 / uncertain if uncertain > 0 else math.inf,
        math.fsum(one.fixed_variance for one in estimates),
        next(iter(bounds), None),
    )


MIN_SLOPE_POINTS = 3
"""Smallest number of points of a slope with an interval: a line through two points fits exactly."""


def slope_interval(
    at: Sequence[float], values: Sequence[float], confidence: float
) -> tuple[float, float, float]:
    """Return (low, slope, high) of the least-squares line, with a t interval.

    The interval assumes independent normal residuals of constant variance.

    Args:
        at: Shape (n,), n >= `MIN_SLOPE_POINTS`, not all equal.
        values: Shape (n,), any unit; the results are in that unit per unit of `at`.
        confidence: Two-sided confidence level, between 0 and 1.

    Raises:
        ValueError: There are too few points, or all are at the same place.

    Source:
        Draper and Smith, Applied Regression Analysis, 3rd ed., section 1.4.
    """
    n = len(at)
    if n < MIN_SLOPE_POINTS or n != len(values) or min(at) == max(at):
        raise ValueError(f"a slope needs at least {MIN_SLOPE_POINTS} points at different places")
    centre, mean = fmean(at), fmean(values)
    spread = math.fsum((x - centre) ** 2 for x in at)
    slope = math.fsum((x - centre) * y for x, y in zip(at, values, strict=True)) / spread
    squares = math.fsum(
        (y - mean - slope * (x - centre)) ** 2 for x, y in zip(at, values, strict=True)
    )
    half = quantile((1 + confidence) / 2, n - 2) * math.sqrt(squares / (n - 2) / spread)
    return slope - half, slope, slope + half


def moderate(
    estimate: Estimate, pairs: int, prior_variance: float, prior_degrees_of_freedom: float
) -> Estimate:
    """Return a paired estimate whose variance is averaged with a prior one ("moderated" variance).

    With three to five pairs, most of an interval's width is the uncertainty of the standard
    deviation itself, which earlier runs of the same metric know better.  Each variance is weighted
    by its degrees of freedom, and the degrees of freedom add up.  `fixed_variance` is no variance
    of pairs, and stays.

    Args:
        estimate: Mean of paired differences.
        pairs: Number of pairs.
        prior_variance: Variance of a paired difference in earlier runs, above 0.
        prior_degrees_of_freedom: Weight of that variance, above 0.

    Source:
        Smyth, Linear Models and Empirical Bayes Methods for Assessing Differential Expression in
        Microarray Experiments, Statist. Appl. Genet. Mol. Biol. 3 (2004), section 3.
    """
    both = prior_degrees_of_freedom + estimate.degrees_of_freedom
    observed = (estimate.standard_error**2 - estimate.fixed_variance) * pairs
    variance = (
        prior_degrees_of_freedom * prior_variance + estimate.degrees_of_freedom * observed
    ) / both
    standard_error = math.sqrt(variance / pairs + estimate.fixed_variance)
    return replace(estimate, standard_error=standard_error, degrees_of_freedom=both)


@dataclass(frozen=True, slots=True)
class ObservedVariance:
    """The variance of one metric in this run beside that in earlier runs.

    Attributes:
        variance: Variance of the paired differences of this run, at least 0.
        degrees_of_freedom: Degrees of freedom of that variance, above 0.
        prior: Mean variance in earlier runs, above 0, in the same unit.
    """

    variance: float
    degrees_of_freedom: float
    prior: float


def variance_inflation(observed: Sequence[ObservedVariance]) -> float:
    """Return how many times larger the variances of a run are than in earlier runs, at least 1.

    That is the median over metrics, which vary together, of the observed variance over the prior
    one, each ratio divided by its median under chance.  It is at least 1, so that a quiet run is
    not taken to be quieter than it has shown; and 1 without metrics.
    """
    from scipy.special import gammaincinv

    ratios = [
        one.variance
        / one.prior
        / (2 * float(gammaincinv(one.degrees_of_freedom / 2, 0.5)) / one.degrees_of_freedom)
        for one in observed
    ]
    return max(1.0, median(ratios)) if ratios else 1.0


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Return (mean, standard deviation); the deviation of equal values is exactly 0.

    Raises:
        ValueError: There are fewer than two values.
    """
    if len(values) < 2:
        raise ValueError("a spread needs at least two values")
    if min(values) == max(values):
        return values[0], 0.0
    mean = fmean(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(squares / (len(values) - 1))


def quantile(probability: float, degrees_of_freedom: float) -> float:
    """Return a quantile of Student's distribution; infinite degrees of freedom are the normal."""
    from scipy.special import ndtri, stdtrit

    if math.isinf(degrees_of_freedom):
        return float(ndtri(probability))
    return float(stdtrit(degrees_of_freedom, probability))


def upper_tail(t: float, degrees_of_freedom: float) -> float:
    """Return the probability of more than t under Student's distribution, or the normal one."""
    from scipy.special import ndtr, stdtr

    return float(ndtr(-t) if math.isinf(degrees_of_freedom) else stdtr(degrees_of_freedom, -t))
