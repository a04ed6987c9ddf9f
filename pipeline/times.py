"""Turn times that a driver or a probe measured into readings."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipeline.model.results import Reading
from pipeline.stats.summary import EFFECTIVE, summary

if TYPE_CHECKING:
    import numpy as np


def readings_of(
    name: str,
    times_s: "np.ndarray[Any, np.dtype[np.float64]]",
    cut_off: "np.ndarray[Any, np.dtype[np.bool_]]",
) -> Iterator[Reading]:
    """Yield count, mean, percentiles and their errors; see `pipeline.stats.summary`.

    Args:
        name: Name of what took these times, such as `projects.gone`.
        times_s: Times in seconds, shape (n,), in the order in which they were measured.
        cut_off: True for each time that a deadline cut off, shape (n,).
    """
    for key, figure in summary(times_s, cut_off).items():
        unit = "1" if key == "count" or key.endswith(EFFECTIVE) else "s"
        yield Reading(f"{name}/{key}", figure.value, unit, at_least=figure.at_least)
