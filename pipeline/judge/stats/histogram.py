"""What a histogram tells of the values that it counted."""

import math
from collections.abc import Mapping
from itertools import pairwise


def quantile(at_most: Mapping[float, float], q: float) -> tuple[float, float] | None:
    """Return a quantile and the width of the bucket that it lies in, in the unit of the bounds.

    Within its bucket the value is a guess, as if the values lay there evenly: the width is how far
    it can be off.  None where there is no value, and where the quantile is beyond the last bound.

    Args:
        at_most: How many values were at most each bound, bounds rising, the last one infinite.
        q: Between 0 and 1.

    Source:
        Prometheus' `histogram_quantile`.
    """
    bounds = [(0.0, 0.0), *at_most.items()]
    rank = q * bounds[-1][1]
    if rank <= 0:
        return None
    for (low, below), (high, count) in pairwise(bounds):
        if count >= rank and count > below:
            if math.isinf(high):
                return None
            return low + (high - low) * (rank - below) / (count - below), high - low
    return None
