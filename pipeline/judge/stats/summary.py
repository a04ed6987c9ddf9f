"""Many values in a few numbers."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.judge.stats import within

if TYPE_CHECKING:
    import numpy as np

QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p97": 0.97, "p99": 0.99}

_OUTSIDE = 0.025  # chance that the quantile is beyond the largest value, or the smallest

ERROR = "_error"
"""End of the name of the standard error of a percentile, in its unit."""

EFFECTIVE = "_effective"
"""End of the name of the number of independent values that tell a percentile as well."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a summary, and whether it is only a lower bound."""

    value: float
    at_least: bool = False


def fewest(quantile: float) -> int:
    """Return how many independent values a quantile needs to have an interval at 95 %.

    With fewer the interval would end beyond the largest value: 6 for the median, 368 for 99 %.

    Args:
        quantile: Between 0 and 1.

    Source:
        David and Nagaraja, Order Statistics, 3rd ed., section 7.1.
    """
    return math.ceil(math.log(_OUTSIDE) / math.log(max(quantile, 1 - quantile)))


def summary(
    values: "np.ndarray[Any, np.dtype[np.float64]]",
    cut_off: "np.ndarray[Any, np.dtype[np.bool_]] | None" = None,
) -> dict[str, "Figure"]:
    """Return `count`, and of at least one value `mean` and the percentiles that it can carry.

    Of each percentile also how far chance within the trial moves it, and how many independent
    values it is worth: `p50_error`, `p50_effective` and so on.

    A value that was cut off is right-censored: the true one is at least as large.  A percentile is
    exact where every value up to it is; otherwise it, and the mean, are lower bounds.

    Args:
        values: Shape (n,), in the order of time, any unit; all results but the counts have the
            same unit.
        cut_off: Shape (n,), which of them were cut off; None where none was.

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
    found = {
        "count": Figure(float(count)),
        "mean": Figure(math.fsum(values) / count, at_least=is_cut),
    }
    told = {name: q for name, q in QUANTILES.items() if count >= fewest(q)}
    errors = within.quantile_errors(values, [*told.values()]) if told else []
    ordered = np.sort(values)
    for (name, q), error in zip(told.items(), errors, strict=True):
        # numpy interpolates between two values: both have to be exact.
        upper = float(ordered[math.ceil(q * (count - 1))])
        found[name] = Figure(float(np.quantile(values, q)), at_least=upper >= first_cut)
        found[f"{name}{ERROR}"] = Figure(error)
        found[f"{name}{EFFECTIVE}"] = Figure(within.effective(values, q))
    return found
