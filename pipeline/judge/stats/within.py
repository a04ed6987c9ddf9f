"""Within one trial: what dependent values are worth, and how far chance moves a quantile.

Never the error term of a comparison, which is the spread between launches: only a check that a
trial was long enough.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Values = np.ndarray[Any, np.dtype[np.float64]]

_DRAWS = 100
_MOST = 20_000  # values drawn from: of more, the error follows from the number


def effective(values: "Values", quantile: float) -> float:
    """Return how many independent values tell a quantile as well as these do.

    What counts for a quantile is which values are above it, so the autocorrelation is that.

    Args:
        values: Shape (n,), n >= 2, in the order of time, any unit.
        quantile: Between 0 and 1.

    Source:
        Geyer, Practical Markov Chain Monte Carlo, Statist. Sci. 7 (1992): the initial positive
        sequence.
    """
    import numpy as np

    above = (values > np.quantile(values, quantile)).astype(float)
    above -= above.mean()
    n, variance = len(above), float(above @ above)
    if variance == 0:
        return float(n)
    total = 1.0
    for lag in range(1, n - 1, 2):
        pair = float(above[lag:] @ above[:-lag] + above[lag + 1 :] @ above[: -lag - 1]) / variance
        if pair <= 0:
            break
        total += 2 * pair
    return min(float(n), n / total)


def quantile_errors(values: "Values", quantiles: Sequence[float]) -> list[float]:
    """Return the standard error of each quantile, by a bootstrap of blocks.

    Args:
        values: Shape (n,), n >= 2, in the order of time, any unit; the results have the same.
        quantiles: Between 0 and 1.

    Source:
        Politis and Romano, The Stationary Bootstrap, J. Amer. Statist. Assoc. 89 (1994).
    """
    import numpy as np

    part = values[:_MOST]
    n = len(part)
    random = np.random.default_rng(n)  # the same values give the same error
    chance = 1 / block_length(part)
    starts = random.random((_DRAWS, n)) < chance
    starts[:, 0] = True
    jumps = random.integers(0, n, (_DRAWS, n))
    at = np.arange(n)
    began = np.maximum.accumulate(np.where(starts, at, 0), axis=1)
    indices = (np.take_along_axis(jumps, began, axis=1) + at - began) % n
    found = np.quantile(part[indices], list(quantiles), axis=1)
    return [float(e) * math.sqrt(n / len(values)) for e in found.std(axis=1, ddof=1)]


def block_length(values: "Values") -> float:
    """Return the mean length of the blocks that keep the dependence of values, at least 1.

    Args:
        values: Shape (n,), n >= 2, in the order of time.

    Source:
        Politis and White, Automatic Block-Length Selection for the Dependent Bootstrap,
        Econometric Reviews 23 (2004), with the correction of Patton, Politis and White (2009).
    """
    import numpy as np

    n = len(values)
    centred = values - float(values.mean())
    most = min(n - 1, math.ceil(math.sqrt(n)) + 5)
    moments = np.array([float(centred[lag:] @ centred[: n - lag]) / n for lag in range(most + 1)])
    if moments[0] <= 0:
        return 1.0
    limit = 2 * math.sqrt(math.log10(n) / n)
    small = np.abs(moments[1:] / moments[0]) < limit
    run = max(5, math.ceil(math.sqrt(math.log10(n))))
    last = next((lag for lag in range(len(small)) if small[lag : lag + run].all()), len(small))
    lags = np.arange(-min(2 * last, most), min(2 * last, most) + 1)
    taper = np.clip(2 * (1 - np.abs(lags) / max(1, 2 * last)), 0, 1)
    spectrum = float((taper * moments[np.abs(lags)]).sum())
    slope = float((taper * np.abs(lags) * moments[np.abs(lags)]).sum())
    if spectrum <= 0:
        return 1.0
    longest = min(3 * math.sqrt(n), n / 3)
    length: float = (n * (slope / spectrum) ** 2) ** (1 / 3)  # of a ratio: squares underflow
    return max(1.0, min(longest, length))
