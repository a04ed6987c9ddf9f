"""A weekly rhythm of a series, which is no row of steps."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.special import fdtrc

from pipeline.judge.stats.noise import Floats, noise

DAYS = 7
CHANCE = 0.001
"""Chance of seeing a rhythm in a series without one, at most."""

FEWEST = 3 * DAYS
"""Points that a rhythm takes, at least: three weeks."""

_FEWEST_OF_A_DAY = 3


def rhythm(values: Floats, days: NDArray[np.int64]) -> Floats | None:
    """Return by how much each day of the week differs from a typical day; None without a rhythm.

    Days are compared by what they are off the running median of a week, which follows steps and
    drifts but has every day in it once.

    Args:
        values: Shape (n,), finite, on the scale on which levels are set against each other.
        days: Day of the week of each point, 0 to 6, shape (n,).

    Returns:
        Shape (7,), in the unit of the series; 0 for a day with fewer than three points.

    Source:
        Analysis of variance: Fisher, Statistical Methods for Research Workers (1925); the running
        median of one period: Cleveland and others, STL, Journal of Official Statistics 6 (1990).
    """
    n = len(values)
    if n < FEWEST:
        return None
    around = values - median_filter(values, DAYS, mode="nearest")
    about = noise(around, [0, n], np.ones(n))
    if about is None:
        return None
    found = np.zeros(DAYS)
    often = [day for day in range(DAYS) if (days == day).sum() >= _FEWEST_OF_A_DAY]
    if len(often) < 2:
        return None
    is_in = np.isin(days, often)
    scores = about.scores[is_in]
    scores = scores - scores.mean()
    of_days = [scores[days[is_in] == day] for day in often]
    between = sum(len(one) * float(one.mean()) ** 2 for one in of_days)
    within = float(scores @ scores) - between
    top, bottom = len(often) - 1, len(scores) - len(often)
    ratio = between / top / max(within / bottom, 1e-12)
    if float(fdtrc(top, bottom, ratio)) > CHANCE:
        return None
    for day in often:
        found[day] = float(np.median(around[days == day]))
    found[often] -= float(np.median(found[often]))
    return found
