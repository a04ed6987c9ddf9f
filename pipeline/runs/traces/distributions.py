"""Raw times of requests, from the points of k6, as a bounded number of quantiles."""

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

MOST_STEPS = 200
"""Of one curve: more could not be told apart on a page."""

_REQUEST = "http_req_duration"
_TAIL = 0.1  # the share of the values that half of the steps go to


def distributions(
    folders: Sequence[Path],
    wanted: Collection[str],
    unread: list[str],
    allowed: ReadBudget | None = None,
) -> dict[str, dict[Arm, Distribution]]:
    """Return the times of each series in each arm, all folders together.

    Args:
        folders: With a `points.csv.gz` each.
        wanted: Series by the name of their readings, such as `http_req_duration{op=get}`.
        unread: Gets a sentence for each file that cannot be read.
        allowed: How much may be read, which is taken from it; None for what was written here.
    """
    import numpy as np

    if not wanted:
        return {}
    parts: dict[str, dict[Arm, list[np.ndarray[Any, np.dtype[np.float64]]]]] = {}
    allowed = allowed or ReadBudget()
    for number, folder in enumerate(folders):
        try:
            series = list(read_series(folder / "points.csv.gz", allowed))
        except LoadError as error:
            unread.append(str(error))
            if allowed.is_spent and (left := len(folders) - number - 1):
                unread.append(f"raw times of {left} more files are not read")
            if allowed.is_spent:
                break
            continue
        for one in series:
            if (arm := _arm(one)) is None:
                continue
            for name in _names(one):
                if name in wanted:
                    arms = parts.setdefault(name, defaultdict(list))
                    arms[arm].append(one.measured)
    return {
        name: {arm: distribution(np.concatenate(found) / 1e3) for arm, found in arms.items()}
        for name, arms in sorted(parts.items())
    }


def distribution(values: "np.ndarray[Any, np.dtype[np.float64]]") -> Distribution:
    """Return the quantiles of values, closer together towards the largest.

    Args:
        values: Shape (n,), n >= 1, in s.
    """
    import numpy as np

    count = int(values.size)
    if count <= MOST_STEPS:
        shares = np.arange(1, count + 1) / count
        found = np.sort(values)
    else:
        body = np.linspace(0, 1 - _TAIL, MOST_STEPS // 2, endpoint=False)
        tail = 1 - np.geomspace(_TAIL, 1 / count, MOST_STEPS // 2 - 1)
        shares = np.concatenate([body, tail, [1.0]])
        found = np.quantile(values, shares)
    return Distribution(count, tuple(map(float, shares)), tuple(map(float, found)))


def _arm(series: PointSeries) -> Arm | None:
    """Return whose load it is; None of what is no load, or no time."""
    is_time = series.metric == _REQUEST or "unit" in series.tags
    arm = series.tags.get("arm")
    if not is_time or series.later or series.tags.get("phase") != "load" or arm not in set(Arm):
        return None
    return Arm(arm)


def _names(series: PointSeries) -> tuple[str, ...]:
    op = series.tags.get("op")
    return (series.metric, *([f"{series.metric}{{op={op}}}"] if op else []))
