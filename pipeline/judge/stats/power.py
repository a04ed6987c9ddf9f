"""Power of a t test with a margin: chance to reject, smallest detectable effect, pairs needed.

The test rejects if t is above its critical value and the mean is above the margin.  Effects,
margins and errors share one unit; positive is the direction tested.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pipeline.judge.stats.student import Estimate, quantile

_NODES = 96
_NEGLIGIBLE = 1e-9  # an error this small, relative to the margin, counts as 0


@dataclass(frozen=True, slots=True)
class MarginTest:
    """The test, and the power that is wanted of it.

    Attributes:
        alpha: One-sided level of the t test.
        margin: Smallest mean that is rejected, at least 0.
        wanted: Wanted power, between 0 and 1.
    """

    alpha: float
    margin: float
    wanted: float

    def power(self, effect: float, standard_error: float, degrees_of_freedom: float) -> float:
        """Return the probability that the test rejects a true effect with a true standard error.

        Exact for normal values: the mean and its estimated standard error s are independent, so the
        power is the probability of a normal mean above max(margin, t * s), averaged over s.

        Source:
            The first condition alone is the noncentral t: Johnson and Welch, Biometrika 31 (1940).
        """
        least = self.margin / standard_error
        thresholds, weights = _thresholds(degrees_of_freedom, self.alpha, least)
        return _power_at(effect / standard_error, thresholds, weights)

    def smallest_detectable_effect(self, standard_error: float, degrees_of_freedom: float) -> float:
        """Return the smallest effect that is rejected with the wanted power.

        The standard error is taken as the true one; use the observed one over `median_error_ratio`.
        Without any spread the effect is the margin itself.
        """
        if standard_error <= _NEGLIGIBLE * self.margin:
            return self.margin
        least = self.margin / standard_error
        thresholds, weights = _thresholds(degrees_of_freedom, self.alpha, least)
        smallest = _smallest_with_power(
            lambda standard: _power_at(standard, thresholds, weights),
            self.wanted,
            max(1.0, 2 * self.margin / standard_error),
        )
        return smallest * standard_error

    def detectable_effect_at(self, standard_error: float, degrees_of_freedom: float) -> float:
        """Return the smallest effect that a run with exactly this observed error rejects.

        Given the observed error, the test is one threshold on the mean, and the mean differs from
        the true effect by a t value times that error.  This holds for each observed error if its
        degrees of freedom include a prior that the true variances follow.  Without one it holds
        only on average; use `smallest_detectable_effect` there.

        Source:
            The posterior of a normal mean under a scaled inverse chi-squared prior of its variance:
            Gelman and others, Bayesian Data Analysis, 3rd ed., section 3.2.
        """
        critical = quantile(1 - self.alpha, degrees_of_freedom)
        threshold = max(self.margin, critical * standard_error)
        return threshold + quantile(self.wanted, degrees_of_freedom) * standard_error

    def pairs_needed(
        self, effect: float, deviation: float, *, most: int, known: float = 0.0
    ) -> int | None:
        """Return the number of pairs that gives the wanted power; None if `most` pairs do not.

        Effect and deviation of a difference are taken as the true ones; `known` are degrees of
        freedom of the deviation in addition to those of the pairs.
        """
        if effect <= self.margin:
            return None
        if deviation <= _NEGLIGIBLE * self.margin:
            return 2

        def suffice(pairs: int) -> bool:
            standard_error = deviation / math.sqrt(pairs)
            return self.power(effect, standard_error, pairs - 1 + known) >= self.wanted

        return _smallest_number(suffice, most)

    def values_needed(self, effect: float, now: Estimate, values: int, *, most: int) -> int | None:
        """Return the number of values per group that gives the wanted power; None if `most` do not.

        More values than the present ones shrink the standard error, but not the part of it that is
        `fixed_variance`.  Effect and present error are taken as the true ones.
        """
        if effect <= self.margin or self.is_out_of_reach(effect, now.fixed_variance):
            return None
        shrinks = max(0.0, now.standard_error**2 - now.fixed_variance)

        def suffice(number: int) -> bool:
            variance = now.fixed_variance + shrinks * values / number
            if variance <= (_NEGLIGIBLE * self.margin) ** 2:
                return True
            # Satterthwaite's degrees of freedom: only the part that shrinks is uncertain.
            share = 0.0
            if now.standard_error:
                share = now.standard_error**2 / variance * values / number
            uncertain = share**2 / now.degrees_of_freedom * (values - 1) / (number - 1)
            known = 1 / uncertain if uncertain > 0 else math.inf
            return self.power(effect, math.sqrt(variance), known) >= self.wanted

        return _smallest_number(suffice, most)

    def is_out_of_reach(self, effect: float, fixed_variance: float) -> bool:
        """Return True if no number of values gives the wanted power, at a true effect."""
        if fixed_variance <= 0:
            return effect <= self.margin
        return effect < self.detectable_effect_at(math.sqrt(fixed_variance), math.inf)


def smallest_passing_limit(
    standard_error: float,
    degrees_of_freedom: float,
    alpha: float,
    wanted: float,
    known: float = math.inf,
) -> float:
    """Return the limit that an interval about a true effect of 0 stays below, with a probability.

    Args:
        standard_error: Standard error estimated before, from other values; at least 0.
        degrees_of_freedom: Degrees of freedom that the interval will have; may be infinite.
        alpha: One-sided level of the interval.
        wanted: Wanted probability, between 0 and 1.
        known: Degrees of freedom of `standard_error`; infinite if it is the true one.
    """
    import numpy as np
    from scipy.special import gammaincinv, ndtr

    if standard_error == 0:
        return 0.0
    thresholds, weights = _thresholds(degrees_of_freedom, alpha, 0.0)
    ratios, parts = np.ones(1), np.ones(1)  # of the estimated error to the true one
    if not math.isinf(known):
        nodes, parts = _legendre()
        ratios = np.sqrt(2 * gammaincinv(known / 2, nodes) / known)
    smallest = _smallest_with_power(
        lambda limit: float(parts @ ndtr(limit * ratios[:, None] - thresholds) @ weights),
        wanted,
        1.0,
    )
    return smallest * standard_error


def median_error_ratio(degrees_of_freedom: float) -> float:
    """Return the median of an observed standard error, as a ratio of the true one.

    A few values underestimate the spread more often than not: with 4 degrees of freedom the median
    is 92 % of it.  Power computed from the observed spread alone would be too optimistic.
    """
    from scipy.special import gammaincinv

    if math.isinf(degrees_of_freedom):
        return 1.0
    return math.sqrt(2 * float(gammaincinv(degrees_of_freedom / 2, 0.5)) / degrees_of_freedom)


def _smallest_with_power(power_of: Callable[[float], float], wanted: float, high: float) -> float:
    """Return the smallest number with the wanted power, by doubling `high` and then bisection."""
    low = 0.0
    while power_of(high) < wanted:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        if power_of(middle) < wanted:
            low = middle
        else:
            high = middle
    return high


def _smallest_number(suffices: Callable[[int], bool], most: int) -> int | None:
    """Return the smallest whole number from 2 that suffices; None if `most` does not."""
    if not suffices(most):
        return None
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        if suffices(middle):
            high = middle
        else:
            low = middle
    return high


def _power_at(standard: float, thresholds: Any, weights: Any) -> float:  # noqa: ANN401 (numpy loads late)
    from scipy.special import ndtr

    return float(weights @ ndtr(standard - thresholds))


def _thresholds(degrees_of_freedom: float, alpha: float, least: float) -> tuple[Any, Any]:
    """Return thresholds of the standardized mean and their probabilities, shape (nodes,) each.

    `least` is the margin over the standard error.

    Below the s at which the two conditions meet, the margin decides and the threshold is constant:
    one node.  Above it, Gauss-Legendre quadrature over the distribution of s.
    """
    import numpy as np
    from scipy.special import gammainc, gammaincinv

    critical = quantile(1 - alpha, degrees_of_freedom)
    if math.isinf(degrees_of_freedom):
        return np.array([max(least, critical)]), np.ones(1)
    half = degrees_of_freedom / 2
    below = float(gammainc(half, half * (least / critical) ** 2))
    nodes, weights = _legendre()
    scale = np.sqrt(2 * gammaincinv(half, below + (1 - below) * nodes) / degrees_of_freedom)
    return (
        np.concatenate(([least], np.maximum(least, critical * scale))),
        np.concatenate(([below], (1 - below) * weights)),
    )


@lru_cache(maxsize=1)
def _legendre() -> tuple[Any, Any]:
    """Return Gauss-Legendre nodes and weights on 0 to 1, shape (nodes,) each."""
    import numpy as np

    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return (nodes + 1) / 2, weights / 2
