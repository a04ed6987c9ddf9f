"""Reduce the raw request times of k6 to a bounded number of quantiles."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.drivers.k6.csv_points import PointSeries, ReadBudget, read_series
from pipeline.model.subject import Arm
from pipeline.model.traces import Distribution
from pipeline.system.errors import LoadError

if TYPE_CHECKING:
    import numpy as np

MAX_STEPS = 200
"""Steps of one curve: more are not visible on a page."""

_REQUEST = "http_req_duration"
_TAIL = 0.1  # share of the values that gets half of the steps


def read_distributions(
    folders: Sequence[Path], names: Collection[str], unread: list[str], budget: ReadBudget
) -> dict[str, dict[Arm, Distribution]]:
    """Return the times of each series in each arm, over all folders.

    Args:
        folders: Folders with a `points.csv.gz`.
        names: Names of the series to read, such as `http_req_duration{op=get}`.
        unread: List that gets a sentence for each file that cannot be read.
        budget: Amount that may be read; it is reduced by what was read.
    """
    import numpy as np

    if not names:
        return {}
    values: dict[str, dict[Arm, list[np.ndarray[Any, np.dtype[np.float64]]]]] = {}
    for number, folder in enumerate(folders):
        try:
            series = list(read_series(folder / "points.csv.gz", budget))
        except LoadError as error:
            unread.append(str(error))
            if not budget.is_spent:
                continue
            if rest := len(folders) - number - 1:
                unread.append(f"raw times of {rest} more files are not read")
            break
        for one in series:
            if (arm := _arm(one)) is None:
                continue
            for name in _names(one):
                if name in names:
                    values.setdefault(name, defaultdict(list))[arm].append(one.measured)
    return {
        name: {arm: distribution(np.concatenate(parts) / 1e3) for arm, parts in arms.items()}
        for name, arms in sorted(values.items())
    }


def distribution(values: "np.ndarray[Any, np.dtype[np.float64]]") -> Distribution:
    """Return the quantiles of values, closer together towards the largest.

    Args:
        values: Times in s, shape (n,), n >= 1.
    """
    import numpy as np

    count = int(values.size)
    if count <= MAX_STEPS:
        shares = np.arange(1, count + 1) / count
        quantiles = np.sort(values)
    else:
        body = np.linspace(0, 1 - _TAIL, MAX_STEPS // 2, endpoint=False)
        tail = 1 - np.geomspace(_TAIL, 1 / count, MAX_STEPS // 2 - 1)
        shares = np.concatenate([body, tail, [1.0]])
        quantiles = np.quantile(values, shares)
    return Distribution(count, tuple(map(float, shares)), tuple(map(float, quantiles)))


def _arm(series: PointSeries) -> Arm | None:
    """Return the arm of a series; None if it is not of the load, or not a time."""
    is_time = series.metric == _REQUEST or "unit" in series.tags
    arm = series.tags.get("arm")
    if not is_time or series.later or series.tags.get("phase") != "load" or arm not in set(Arm):
        return None
    return Arm(arm)


def _names(series: PointSeries) -> tuple[str, ...]:
    op = series.tags.get("op")
    return (series.metric, *([f"{series.metric}{{op={op}}}"] if op else []))
