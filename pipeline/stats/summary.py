"""Many values in a few numbers."""

import math
from typing import TYPE_CHECKING, Any

from pipeline.stats import within

if TYPE_CHECKING:
    import numpy as np

QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}

_OUTSIDE = 0.025  # chance that the quantile is beyond the largest value, or the smallest

ERROR = "_error"
"""End of the name of the standard error of a percentile, in its unit."""

EFFECTIVE = "_effective"
"""End of the name of the number of independent values that tell a percentile as well."""


def fewest(quantile: float) -> int:
    """Return how many independent values a quantile needs to have an interval at 95 %.

    With fewer the interval would end beyond the largest value: 6 for the median, 368 for 99 %.

    Args:
        quantile: Between 0 and 1.

    Source:
        David and Nagaraja, Order Statistics, 3rd ed., section 7.1.
    """
    return math.ceil(math.log(_OUTSIDE) / math.log(max(quantile, 1 - quantile)))


def summary(values: "np.ndarray[Any, np.dtype[np.float64]]") -> dict[str, float]:
    """Return `count`, and of at least one value `mean` and the percentiles that it can carry.

    Of each percentile also how far chance within the trial moves it, and how many independent
    values it is worth: `p50_error`, `p50_effective` and so on.

    Args:
        values: Shape (n,), in the order of time, any unit; all results but the counts have the
            same unit.

    Source:
        Hyndman and Fan, Sample quantiles in statistical packages, 1996: type 7, as numpy does.
    """
    import numpy as np

    count = int(values.size)
    if not count:
        return {"count": 0.0}
    found = {"count": float(count), "mean": math.fsum(values) / count}
    told = {name: q for name, q in QUANTILES.items() if count >= fewest(q)}
    errors = within.quantile_errors(values, [*told.values()]) if told else []
    for (name, q), error in zip(told.items(), errors, strict=True):
        found[name] = float(np.quantile(values, q))
        found[f"{name}{ERROR}"] = error
        found[f"{name}{EFFECTIVE}"] = within.effective(values, q)
    return found
