"""What a t test with a margin can see: power, smallest detectable effect, pairs needed.

The rule looked at rejects when t is above its critical value and the mean is above the margin.
Effects, margins and errors share one unit; positive is the direction looked in.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pipeline.judge.stats.student import quantile

_NODES = 96
_NEGLIGIBLE = 1e-9  # a spread this small beside the margin is none


def power(effect: float, error: float, freedom: float, alpha: float, margin: float) -> float:
    """Return the chance that the rule rejects.

    Exact for normal values: the mean and its estimated standard error s are independent, so the
    chance is that of a normal mean above max(margin, t * s), averaged over s.  The two conditions
    taken one by one would promise too much, because both must hold.

    Args:
        effect: True mean.
        error: Its true standard error, above 0.
        freedom: Degrees of freedom that the error is known with; may be infinite.
        alpha: One-sided level of the t test.
        margin: At least 0.

    Source:
        The first condition alone is the noncentral t: Johnson and Welch, Biometrika 31 (1940).
    """
    thresholds, weights = _thresholds(error, freedom, alpha, margin)
    return _chance(effect / error, thresholds, weights)


def smallest_detectable(
    error: float, freedom: float, alpha: float, margin: float, wanted: float
) -> float:
    """Return the smallest effect that the rule rejects with the wanted power.

    Without any spread that is the margin itself: all above it is seen.

    Args:
        error: Standard error taken for the true one, such as the observed one over
            `median_share`; at least 0.
        freedom: Degrees of freedom that it is known with; may be infinite.
        alpha: One-sided level of the t test.
        margin: At least 0.
        wanted: The power, between 0 and 1.
    """
    if error <= _NEGLIGIBLE * margin:
        return margin
    thresholds, weights = _thresholds(error, freedom, alpha, margin)
    low, high = 0.0, max(1.0, 2 * margin / error)
    while _chance(high, thresholds, weights) < wanted:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        if _chance(middle, thresholds, weights) < wanted:
            low = middle
        else:
            high = middle
    return high * error


def detectable_at(
    error: float, freedom: float, alpha: float, margin: float, wanted: float
) -> float:
    """Return the smallest effect that is rejected by a run which shows just this error.

    Given the observed error, the rule is one threshold on the mean, and the mean is off the true
    effect by a t value times that error.  This holds for each observed error where its freedom
    counts a prior that the true variances follow; without one it holds only on average, and
    `smallest_detectable` says what the next run would see.

    Args:
        error: Standard error as the test uses it, such as a moderated one; at least 0.
        freedom: Degrees of freedom that it is known with; may be infinite.
        alpha: One-sided level of the t test.
        margin: At least 0.
        wanted: The power, between 0 and 1.

    Source:
        The posterior of a normal mean under a scaled inverse chi-squared prior of its variance:
        Gelman and others, Bayesian Data Analysis, 3rd ed., section 3.2.
    """
    threshold = max(margin, quantile(1 - alpha, freedom) * error)
    return threshold + quantile(wanted, freedom) * error


def smallest_limit(
    error: float, freedom: float, alpha: float, wanted: float, known: float = math.inf
) -> float:
    """Return the limit below which an interval around an effect of 0 ends so often.

    Args:
        error: Standard error as it was estimated before, from other values; at least 0.
        freedom: Degrees of freedom that the interval will have; may be infinite.
        alpha: Chance of one side of the interval.
        wanted: How often, between 0 and 1.
        known: Degrees of freedom that `error` is known with; infinite where it is the true one.
    """
    import numpy as np
    from scipy.special import gammaincinv, ndtr

    if error == 0:
        return 0.0
    thresholds, weights = _thresholds(1.0, freedom, alpha, 0.0)
    seen, parts = np.ones(1), np.ones(1)  # the estimated error, as shares of the true one
    if not math.isinf(known):
        nodes, parts = _legendre()
        seen = np.sqrt(2 * gammaincinv(known / 2, nodes) / known)
    low, high = 0.0, 1.0

    def reached(limit: float) -> float:
        return float(parts @ ndtr(limit * seen[:, None] - thresholds) @ weights)

    while reached(high) < wanted:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        if reached(middle) < wanted:
            low = middle
        else:
            high = middle
    return high * error


def median_share(freedom: float) -> float:
    """Return the median of an observed standard error, as a share of the true one.

    A few values show less than the true spread more often than not: with 4 degrees of freedom 92 %
    of it in the median.  Power promised from the observed spread would be missed as often.

    Args:
        freedom: Degrees of freedom of the error; may be infinite.
    """
    from scipy.special import gammaincinv

    if math.isinf(freedom):
        return 1.0
    return math.sqrt(2 * float(gammaincinv(freedom / 2, 0.5)) / freedom)


def pairs_needed(
    effect: float,
    deviation: float,
    *,
    alpha: float,
    margin: float,
    wanted: float,
    most: int,
    known: float = 0.0,
) -> int | None:
    """Return how many pairs reject with the wanted power; None when `most` are too few.

    Args:
        effect: Taken for the true mean.
        deviation: Taken for the true standard deviation of a difference, at least 0.
        alpha: One-sided level of the t test.
        margin: At least 0.
        wanted: The power, between 0 and 1.
        most: Where to give up.
        known: Degrees of freedom that the deviation is known with beside those of the pairs.
    """
    if effect <= margin:
        return None
    if deviation <= _NEGLIGIBLE * margin:
        return 2

    def suffice(pairs: int) -> bool:
        error = deviation / math.sqrt(pairs)
        return power(effect, error, pairs - 1 + known, alpha, margin) >= wanted

    return _fewest(suffice, most)


def values_needed(
    effect: float,
    error: float,
    freedom: float,
    values: int,
    *,
    alpha: float,
    margin: float,
    wanted: float,
    most: int,
    fixed: float = 0.0,
) -> int | None:
    """Return how many values of each group reject with the wanted power; None if `most` do not.

    More values shrink what varies between values, and leave what sets the groups apart.

    Args:
        effect: Taken for the true difference of the groups.
        error: Standard error of it now, taken for the true one; at least 0.
        freedom: Degrees of freedom of that error; may be infinite.
        values: Number of values of each group now, at least 2.
        alpha: One-sided level of the t test.
        margin: At least 0.
        wanted: The power, between 0 and 1.
        most: Where to give up, at least 2.
        fixed: The part of the error's square that more values do not shrink.
    """
    if effect <= margin or is_out_of_reach(
        effect, fixed, alpha=alpha, margin=margin, wanted=wanted
    ):
        return None
    shrinks = max(0.0, error**2 - fixed)

    def suffice(number: int) -> bool:
        variance = fixed + shrinks * values / number
        if variance <= (_NEGLIGIBLE * margin) ** 2:
            return True
        # Satterthwaite's, of as many times the values: only what shrinks is uncertain.
        share = 0.0 if error == 0 else error**2 / variance * values / number
        uncertain = share**2 / freedom * (values - 1) / (number - 1)
        known = 1 / uncertain if uncertain > 0 else math.inf
        return power(effect, math.sqrt(variance), known, alpha, margin) >= wanted

    return _fewest(suffice, most)


def is_out_of_reach(
    effect: float, fixed: float, *, alpha: float, margin: float, wanted: float
) -> bool:
    """Tell whether no number of values rejects with the wanted power.

    Args:
        effect: Taken for the true difference of two groups.
        fixed: The part of the error's square that more values do not shrink.
        alpha: One-sided level of the test.
        margin: At least 0.
        wanted: The power, between 0 and 1.
    """
    if fixed <= 0:
        return effect <= margin
    return effect < detectable_at(math.sqrt(fixed), math.inf, alpha, margin, wanted)


def _fewest(suffice: Callable[[int], bool], most: int) -> int | None:
    """Return the smallest number from 2 that suffices; None where `most` does not."""
    if not suffice(most):
        return None
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        if suffice(middle):
            high = middle
        else:
            low = middle
    return high


def _chance(standard: float, thresholds: Any, weights: Any) -> float:  # noqa: ANN401 (numpy loads late)
    from scipy.special import ndtr

    return float(weights @ ndtr(standard - thresholds))


def _thresholds(error: float, freedom: float, alpha: float, margin: float) -> tuple[Any, Any]:
    """Return what the standardized mean must exceed, with the chance of each; both (nodes,).

    Below the s at which the two conditions meet, the margin is the harder one and the threshold
    is constant: one node.  Above it, Gauss-Legendre over the distribution of s.
    """
    import numpy as np
    from scipy.special import gammainc, gammaincinv

    critical, least = quantile(1 - alpha, freedom), margin / error
    if math.isinf(freedom):
        return np.array([max(least, critical)]), np.ones(1)
    below = float(gammainc(freedom / 2, freedom / 2 * (least / critical) ** 2))
    nodes, weights = _legendre()
    chances = below + (1 - below) * nodes
    scale = np.sqrt(2 * gammaincinv(freedom / 2, chances) / freedom)
    return (
        np.concatenate(([least], np.maximum(least, critical * scale))),
        np.concatenate(([below], (1 - below) * weights)),
    )


@lru_cache(maxsize=1)
def _legendre() -> tuple[Any, Any]:
    """Return nodes and weights on 0 to 1, shape (nodes,) each."""
    import numpy as np

    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return (nodes + 1) / 2, weights / 2
