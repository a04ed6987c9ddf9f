"""Percentiles of one trial: of its values or of a histogram, with standard errors and readings.

The errors are never the error term of a comparison, which is the spread between launches.  They
only check that a trial was long enough.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pipeline.model.results import Reading

if TYPE_CHECKING:
    import numpy as np

    Values = np.ndarray[Any, np.dtype[np.float64]]
    Mask = np.ndarray[Any, np.dtype[np.bool_]]

QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p97": 0.97, "p99": 0.99}

ERROR = "_error"
"""Suffix of the reading with the standard error of a percentile, in the percentile's unit."""

EFFECTIVE = "_effective"
"""Suffix of the reading with the effective sample size of a percentile."""

_OUTSIDE = 0.025  # chance that the quantile is beyond the largest value, or the smallest
_DRAWS = 100
_MAX_BOOTSTRAP_VALUES = 20_000  # of more values, the error follows from the number


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a summary, and whether it is only a lower bound."""

    value: float
    at_least: bool = False


def timing_readings(
    name: str, times: "Values", cut_off: "Mask", unit: str = "s"
) -> Iterator[Reading]:
    """Yield the readings of measured times: count, mean, percentiles and their errors.

    Args:
        name: Name of the timed operation, such as `projects.gone`.
        times: Times in `unit`, shape (n,), in the order in which they were measured.
        cut_off: True for each time that a deadline cut off, shape (n,).
        unit: `s`, or `1` for times relative to another time.
    """
    for key, figure in summarize(times, cut_off).items():
        is_count = key == "count" or key.endswith(EFFECTIVE)
        yield Reading(
            f"{name}/{key}", figure.value, "1" if is_count else unit, at_least=figure.at_least
        )


def timing_units(name: str, unit: str = "s") -> dict[str, str]:
    """Return the unit of every reading that `timing_readings` may yield, by name."""
    values = ("mean", *QUANTILES, *(f"{key}{ERROR}" for key in QUANTILES))
    counts = ("count", *(f"{key}{EFFECTIVE}" for key in QUANTILES))
    return {f"{name}/{key}": unit for key in values} | {f"{name}/{key}": "1" for key in counts}


def summarize(values: "Values", cut_off: "Mask | None" = None) -> dict[str, Figure]:
    """Return `count`, and if there are values the `mean` and the percentiles that n supports.

    Each percentile comes with its standard error and its effective sample size: `p50_error`,
    `p50_effective` and so on.

    A value that was cut off is right-censored: the true one is at least as large.  A percentile is
    exact if every value up to it is exact; otherwise it, and the mean, are lower bounds.

    Args:
        values: Shape (n,), in the order of time, any unit; all results except counts have the same
            unit.
        cut_off: True for each value that was cut off, shape (n,); None if none was.

    Source:
        Hyndman and Fan, Sample quantiles in statistical packages, 1996: type 7, as numpy does.
        Right-censoring: Klein and Moeschberger, Survival Analysis, 2nd ed., section 3.2.
    """
    import numpy as np

    count = int(values.size)
    if not count:
        return {"count": Figure(0.0)}
    is_cut = cut_off is not None and bool(cut_off.any())
    first_cut = float(values[cut_off].min()) if is_cut else math.inf
    figures = {
        "count": Figure(float(count)),
        "mean": Figure(math.fsum(values) / count, at_least=is_cut),
    }
    supported = {name: q for name, q in QUANTILES.items() if count >= min_values(q)}
    errors = quantile_standard_errors(values, [*supported.values()]) if supported else []
    ordered = np.sort(values)
    for (name, q), error in zip(supported.items(), errors, strict=True):
        # numpy interpolates between two values: both have to be exact.
        upper = float(ordered[math.ceil(q * (count - 1))])
        figures[name] = Figure(float(np.quantile(values, q)), at_least=upper >= first_cut)
        figures[f"{name}{ERROR}"] = Figure(error)
        figures[f"{name}{EFFECTIVE}"] = Figure(effective_sample_size(values, q))
    return figures


def min_values(quantile: float) -> int:
    """Return the number of independent values that a quantile needs for a 95 % interval.

    With fewer values the interval would end beyond the largest one: 6 for the median, 368 for p99.

    Source:
        David and Nagaraja, Order Statistics, 3rd ed., section 7.1.
    """
    return math.ceil(math.log(_OUTSIDE) / math.log(max(quantile, 1 - quantile)))


def histogram_quantile(
    cumulative: Mapping[float, float], quantile: float
) -> tuple[float, float] | None:
    """Return (value, bucket width) of a quantile of a histogram, in the unit of the bounds.

    `cumulative` has the number of values at or below each bound; bounds rise to infinity.  The
    value is interpolated as if the values of its bucket were spread evenly, so it can be off by the
    width of the bucket.  None if the histogram is empty, or if the quantile is beyond the last
    finite bound.

    Source:
        Prometheus' `histogram_quantile`.
    """
    bounds = [(0.0, 0.0), *cumulative.items()]
    rank = quantile * bounds[-1][1]
    if rank <= 0:
        return None
    for (low, below), (high, count) in pairwise(bounds):
        if count >= rank and count > below:
            if math.isinf(high):
                return None
            return low + (high - low) * (rank - below) / (count - below), high - low
    return None


def effective_sample_size(values: "Values", quantile: float) -> float:
    """Return the number of independent values that would estimate a quantile as precisely.

    A quantile depends on which values are above it, so this uses the autocorrelation of that in the
    order of time.

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
    total = -1.0  # lag 0 is counted once, the others for both directions
    for lag in range(0, n - 1, 2):
        pair = float(above[lag:] @ above[: n - lag] + above[lag + 1 :] @ above[: n - lag - 1])
        if pair <= 0:
            break
        total += 2 * pair / variance
    return min(float(n), n / max(total, 1.0))


def quantile_standard_errors(values: "Values", quantiles: Sequence[float]) -> list[float]:
    """Return the standard error of each quantile of values in the order of time.

    Source:
        Politis and Romano, The Stationary Bootstrap, J. Amer. Statist. Assoc. 89 (1994).
    """
    import numpy as np

    part = values[:_MAX_BOOTSTRAP_VALUES]
    n = len(part)
    rng = np.random.default_rng(n)  # the same values give the same error
    starts = rng.random((_DRAWS, n)) < 1 / block_length(part)
    starts[:, 0] = True
    jumps = rng.integers(0, n, (_DRAWS, n))
    at = np.arange(n)
    block_starts = np.maximum.accumulate(np.where(starts, at, 0), axis=1)
    indices = (np.take_along_axis(jumps, block_starts, axis=1) + at - block_starts) % n
    drawn = np.quantile(part[indices], list(quantiles), axis=1)
    return [float(e) * math.sqrt(n / len(values)) for e in drawn.std(axis=1, ddof=1)]


def block_length(values: "Values") -> float:
    """Return the mean block length, at least 1, for the stationary bootstrap of dependent values.

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
