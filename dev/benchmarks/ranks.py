"""Rank tests and order-statistic intervals as benchstat has them: a second opinion on our t."""

from collections import Counter
from collections.abc import Sequence
from math import comb

from scipy.stats import binom, rankdata


def mann_whitney(before: Sequence[float], after: Sequence[float]) -> float:
    """Return the exact two-sided p of Mann and Whitney's test, ties included.

    Args:
        before: Shape (m,), m >= 1.
        after: Shape (n,), n >= 1.

    Source:
        Mann and Whitney, Ann. Math. Statist. 18 (1947); ties by counting every assignment of the
        midranks: Klotz, Technometrics 8 (1966).
    """
    doubled = [round(2 * rank) for rank in rankdata([*before, *after])]
    observed = sum(doubled[: len(before)])
    ways: list[Counter[int]] = [Counter({0: 1})] + [Counter() for _ in before]
    for rank in doubled:
        for size in range(len(before), 0, -1):
            for total, count in ways[size - 1].items():
                ways[size][total + rank] += count
    sums = ways[len(before)]
    every = comb(len(doubled), len(before))
    below = sum(count for total, count in sums.items() if total <= observed) / every
    above = sum(count for total, count in sums.items() if total >= observed) / every
    return min(1.0, 2 * min(below, above))


def median_interval(values: Sequence[float], confidence: float) -> tuple[float, float] | None:
    """Return the narrowest symmetric order statistics that hold the median; None with too few.

    Args:
        values: Shape (n,), n >= 1.
        confidence: At least this much of it.

    Source:
        David and Nagaraja, Order Statistics, 3rd ed., section 7.1.
    """
    ordered, n = sorted(values), len(values)
    for low in range((n - 1) // 2, -1, -1):  # from the middle outwards
        if binom.cdf(n - low - 1, n, 0.5) - binom.cdf(low, n, 0.5) >= confidence:
            return ordered[low], ordered[n - 1 - low]
    return None
