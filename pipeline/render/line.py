"""An interval drawn on a line from better, at the left, to worse, at the right."""

from pipeline.judge import scale
from pipeline.model.metric import Metric
from pipeline.model.report import Bound, Change

REACH = 3.0
"""Margins from the middle of a line to its ends; what is farther out is cut, with an arrow."""


def drawn(metric: Metric, change: Change | None, width: int) -> str:
    """Return `··┊··│├─●─┤··`: the interval, with zero and the margin on either side.

    Every line has the same scale in margins of its own metric, so lines can be compared.

    Args:
        metric: With the margin and the direction.
        change: None gives an empty line.
        width: Number of characters, odd, at least 7.
    """
    cells = ["·"] * width
    middle, margin = width // 2, scale.margin(metric)
    for at, mark in ((0, "│"), (-1, "┊"), (1, "┊")):
        cells[middle + round(at * middle / REACH)] = mark
    if change is None:
        return "".join(cells)
    low, estimate, high = (
        middle + round(middle / REACH * max(-9.0, min(9.0, worse / margin)))
        for worse in sorted(
            scale.worse(metric, x) for x in (change.low, change.estimate, change.high)
        )
    )
    last = width - 1
    if scale.hides_the_worst(metric, change.bound):
        high = width  # beyond the end: an arrow
    elif change.bound is not Bound.NONE:
        low = -1
    for at in range(max(0, low), min(last, high) + 1):
        cells[at] = "─"
    if 0 <= low <= last:
        cells[low] = "├"
    if 0 <= high <= last:
        cells[high] = "┤"
    cells[max(0, min(last, estimate))] = "●"
    if low < 0:
        cells[0] = "◄"
    if high > last:
        cells[last] = "►"
    return "".join(cells)
