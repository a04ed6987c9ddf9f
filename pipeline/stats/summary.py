"""Many values in a few numbers."""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# A percentile is told from this many values on.  Below 1 / (1 - q) of them the quantile is the
# largest value and little else; a median of fewer than five is one lucky request.
FEWEST = {"p50": 5, "p90": 10, "p95": 20, "p99": 100}

_QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}


def summary(values: "np.ndarray[Any, np.dtype[np.float64]]") -> dict[str, float]:
    """Return `count`, and of at least one value `mean` and percentiles (see `FEWEST`).

    Args:
        values: Shape (n,), any unit; all results but the count have the same unit.

    Source:
        Hyndman and Fan, Sample quantiles in statistical packages, 1996: type 7, as numpy does.
    """
    import numpy as np

    count = int(values.size)
    if not count:
        return {"count": 0.0}
    found = {"count": float(count), "mean": math.fsum(values) / count}
    for name, q in _QUANTILES.items():
        if count >= FEWEST[name]:
            found[name] = float(np.quantile(values, q))
    return found
