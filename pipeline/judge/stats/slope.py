"""How fast something rises: a line through points."""

import math
from collections.abc import Sequence
from statistics import fmean

FEWEST = 3
"""Points that a slope with an interval needs: a line through two fits them exactly."""


def slope_interval(
    at: Sequence[float], values: Sequence[float], confidence: float
) -> tuple[float, float, float]:
    """Return (low, slope, high) of the least-squares line, by a t interval.

    The interval holds for deviations from the line that are independent, normal and as large
    everywhere.

    Args:
        at: Shape (n,), n >= `FEWEST`, not all the same.
        values: Shape (n,), any unit; the results are in that unit for each unit of `at`.
        confidence: Of both sides together, between 0 and 1.

    Raises:
        ValueError: Too few points, or all at the same place.

    Source:
        Draper and Smith, Applied Regression Analysis, 3rd ed., section 1.4.
    """
    n = len(at)
    if n < FEWEST or n != len(values) or min(at) == max(at):
        raise ValueError(f"a slope needs at least {FEWEST} points at different places")
    from scipy.special import stdtrit

    centre, mean = fmean(at), fmean(values)
    spread = math.fsum((x - centre) ** 2 for x in at)
    slope = math.fsum((x - centre) * y for x, y in zip(at, values, strict=True)) / spread
    squares = math.fsum(
        (y - mean - slope * (x - centre)) ** 2 for x, y in zip(at, values, strict=True)
    )
    half = float(stdtrit(n - 2, (1 + confidence) / 2)) * math.sqrt(squares / (n - 2) / spread)
    return slope - half, slope, slope + half
