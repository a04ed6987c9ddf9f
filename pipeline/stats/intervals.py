"""The mean of paired differences: its t interval and its one-sided p."""

import math
from collections.abc import Sequence
from statistics import fmean


def moments(values: Sequence[float]) -> tuple[float, float]:
    """Return (mean, standard deviation); the deviation of equal values is exactly 0.

    Args:
        values: Shape (n,), n >= 2, any unit; the results have the same unit.

    Raises:
        ValueError: Fewer than two values, which have no spread.
    """
    if len(values) < 2:
        raise ValueError("a spread needs at least two values")
    if min(values) == max(values):
        return values[0], 0.0
    mean = fmean(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(squares / (len(values) - 1))


def mean_interval(values: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Return (low, mean, high), where the mean of differences lies with the given confidence.

    Args:
        values: Shape (n,), n >= 2, any unit; the results have the same unit.
        confidence: Of both sides together, between 0 and 1.

    Raises:
        ValueError: Fewer than two values.

    Source:
        Student, The Probable Error of a Mean, Biometrika 6 (1908).
    """
    mean, deviation = moments(values)
    half = half_width(deviation, len(values), confidence)
    return mean - half, mean, mean + half


def half_width(deviation: float, n: int, confidence: float) -> float:
    """Return how far a t interval reaches to each side of the mean of n values."""
    return deviation / math.sqrt(n) * _quantile(n, confidence)


def deviation_of(half: float, n: int, confidence: float) -> float:
    """Return the standard deviation that gave a half width: the inverse of `half_width`."""
    return half * math.sqrt(n) / _quantile(n, confidence)


def p_above_zero(values: Sequence[float]) -> float:
    """Return the one-sided p that the mean is not above 0.

    Equal values have no spread to test against: p is 0 when they are above 0, else 1.  That is
    the limit of the t test as the spread goes to 0, and it is what a count that never varies
    asks for.

    Args:
        values: Shape (n,), n >= 2, any unit.

    Raises:
        ValueError: Fewer than two values.
    """
    mean, deviation = moments(values)
    if deviation == 0:
        return 0.0 if mean > 0 else 1.0
    from scipy.special import stdtr

    return float(stdtr(len(values) - 1, -mean / deviation * math.sqrt(len(values))))


def _quantile(n: int, confidence: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, (1 + confidence) / 2))
