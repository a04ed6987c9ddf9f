"""Turn times that a driver or a probe measured into readings."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipeline.judge.stats.summary import EFFECTIVE, summary
from pipeline.model.results import Reading

if TYPE_CHECKING:
    import numpy as np


def readings_of(
    name: str,
    times: "np.ndarray[Any, np.dtype[np.float64]]",
    cut_off: "np.ndarray[Any, np.dtype[np.bool_]]",
    unit: str = "s",
) -> Iterator[Reading]:
    """Yield count, mean, percentiles and their errors; see `pipeline.judge.stats.summary`.

    Args:
        name: Name of what took these times, such as `projects.gone`.
        times: Times in `unit`, shape (n,), in the order in which they were measured.
        cut_off: True for each time that a deadline cut off, shape (n,).
        unit: Seconds, or `1` for times relative to another time.
    """
    for key, figure in summary(times, cut_off).items():
        told_in = "1" if key == "count" or key.endswith(EFFECTIVE) else unit
        yield Reading(f"{name}/{key}", figure.value, told_in, at_least=figure.at_least)
