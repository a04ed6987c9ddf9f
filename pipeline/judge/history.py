"""Steps, drift and weekly rhythm in the history of a metric, and the constants that decide them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.judge.scale import bounded_exponent
from pipeline.model.history import (
    DRIFT_POINTS,
    Acknowledgement,
    ChangePoint,
    Drift,
    HistorySeries,
    JudgedSeries,
    WeeklyPattern,
)
from pipeline.model.metric import Better, Scale

if TYPE_CHECKING:
    from pipeline.judge.stats.noise import Floats
    from pipeline.judge.stats.student import Estimate

STEP_ALPHA = 0.04
"""Largest probability of finding a step anywhere in a series without one."""

BUMP_ALPHA = 0.01
"""The same for a step and a step back."""

MIN_SEGMENT = 3
"""Smallest number of points between two steps.  A step also needs as many points after it to be
found, but its index may then move to the last of them."""

MIN_POINTS = 9
"""Smallest number of points of a series in which any step can be found.  Of 7 noisy points, the
last three larger than the others, 2 of 35 orders are as extreme, which is more than `STEP_ALPHA`;
of 9 points it is 2 of 84."""

MIN_CHANGE = 0.025
"""Smallest step that matters, as a ratio; of amounts, every significant step matters."""

CONFIDENCE = 0.95
"""Two-sided confidence level of the interval of a step."""

MAX_POINTS = 2000
"""Number of newest points of a series that are analyzed: five years of nights."""

ACKNOWLEDGE_REACH = MIN_SEGMENT
"""Largest distance, in points, of a step from the place for which it was acknowledged: further
points can still move a step a little."""


_MONDAY = 3  # 1970-01-01 was a Thursday, and Monday is 0


@dataclass(frozen=True, slots=True)
class HistoryRule:
    """Parameters that a user may set.

    Attributes:
        least: Smallest step that matters, as a ratio or an amount; None for the default.
        seed: Random seed of the draws; only a measurement of the method needs to change it.
        is_percent: True if `least` is for ratios only, and amounts keep the default.
    """

    least: float | None = None
    seed: int = 0
    is_percent: bool = False

    def min_change(self, scale: Scale) -> float:
        """Return the smallest step that matters, as a ratio or as an amount."""
        if self.least is not None and not (self.is_percent and scale is Scale.DIFFERENCE):
            return self.least
        return MIN_CHANGE if scale is Scale.RATIO else 0.0


def analyze_series(series: HistorySeries, rule: HistoryRule) -> JudgedSeries:
    """Return the steps, the drift and the weekly rhythm of a series.

    The weekly rhythm is removed first, then the drift, and then steps are found in the rest.  The
    result has neither commits nor acknowledgements yet.
    """
    import numpy as np

    from pipeline.judge.stats.steps import StepSearch, find_steps, position_ranges, relative_spreads
    from pipeline.judge.stats.student import Estimate
    from pipeline.judge.stats.trend import fit_drift

    notes = list(series.notes)
    if series.left_out:
        notes.append(f"the {series.left_out} oldest points are not looked at")
    if len(series.values) < MIN_POINTS:
        return JudgedSeries(series, (), tuple(notes), needed=MIN_POINTS)
    least = rule.min_change(series.scale)
    least = math.log1p(least) if series.scale is Scale.RATIO else least
    search = StepSearch(split=STEP_ALPHA, bump=BUMP_ALPHA, shortest=MIN_SEGMENT, seed=rule.seed)
    values = np.asarray(series.values, dtype=np.float64)
    values = np.log(values) if series.scale is Scale.RATIO else values
    values, rhythm = _remove_rhythm(series, values, least)
    spread = relative_spreads(values)
    steps = find_steps(values, search, spread)
    drift = None
    fit = fit_drift(values, spread, steps)
    if fit is not None and abs(fit.slope) * (fit.end - fit.start) >= least:
        values = values - fit.path(len(values))
        steps = find_steps(values, search, spread)
        slope = Estimate(
            fit.slope * DRIFT_POINTS, fit.standard_error * DRIFT_POINTS, fit.degrees_of_freedom
        )
        drift = Drift(
            series.left_out + fit.start, series.left_out + fit.end, *_change(series, slope)
        )
    sized = _steps_that_matter(values, spread, steps, least)
    ranges = position_ranges(values, spread, [index for index, _ in sized])
    return JudgedSeries(
        series,
        tuple(
            ChangePoint(
                series.left_out + index,
                *_change(series, size),
                earliest=series.left_out + earliest,
                latest=series.left_out + latest,
            )
            for (index, size), (earliest, latest) in zip(sized, ranges, strict=True)
        ),
        tuple(notes),
        drift=drift,
        rhythm=rhythm,
    )


def acknowledge(
    analyzed: JudgedSeries,
    acknowledgements: Sequence[Acknowledgement],
    at: Mapping[str, Sequence[int]],
) -> JudgedSeries:
    """Return a series with the reason of each acknowledged step.

    `acknowledgements` may be of any series; `at` has the indexes of this series by commit.
    """
    steps, notes = list(analyzed.steps), list(analyzed.notes)
    for one in (a for a in acknowledgements if a.series == analyzed.series.name):
        points = [one.index] if one.index is not None else list(at.get(one.commit, ()))
        near = [
            (abs(step.index - point), number)
            for number, step in enumerate(steps)
            for point in points
            if abs(step.index - point) <= ACKNOWLEDGE_REACH or step.first <= point <= step.last
        ]
        if near:
            _, number = min(near)
            steps[number] = replace(steps[number], acknowledged=one.reason)
        else:
            place = f"commit {one.commit}" if one.commit else f"index {one.index}"
            lacks = "but there is no step (any more)" if points else "which no point of it has"
            notes.append(f"acknowledged at {place}, {lacks}")
    return replace(analyzed, steps=tuple(steps), notes=tuple(notes))


def _remove_rhythm(
    series: HistorySeries, values: "Floats", least: float
) -> "tuple[Floats, WeeklyPattern | None]":
    """Return a series without its weekly rhythm, and the rhythm if it is large enough to matter."""
    import numpy as np

    from pipeline.judge.stats.trend import DAYS, weekly_rhythm

    is_dated = bool(series.days)
    days = np.asarray(series.days if is_dated else range(len(values)), dtype=np.int64)
    days += _MONDAY if is_dated else 0
    rhythm = weekly_rhythm(values, days)
    if rhythm is None or float(np.ptp(rhythm)) < least:
        return values, None
    changes = tuple(_as_change(series.scale, float(one)) for one in rhythm)
    return values - rhythm[days % DAYS], WeeklyPattern(changes, is_dated)


def _steps_that_matter(
    values: "Floats", spread: "Floats", steps: Sequence[int], least: float
) -> list[tuple[int, "Estimate"]]:
    """Return (index, size) of each step; those that do not count are dropped, smallest first."""
    from pipeline.judge.stats.noise import step_sizes

    left = list(steps)
    while True:
        sizes = step_sizes(values, left, spread)
        failing = [n for n, size in enumerate(sizes) if not _matters(size, least)]
        if not failing:
            return list(zip(left, sizes, strict=True))
        del left[min(failing, key=lambda n: abs(sizes[n].mean))]


def _matters(size: "Estimate", least: float) -> bool:
    """Return True if a step is at least as large as `least` and its interval excludes 0."""
    low, high = size.interval(CONFIDENCE)
    return abs(size.mean) >= least and not low <= 0 <= high


def _change(series: HistorySeries, size: "Estimate") -> tuple[float, float, float, bool]:
    """Return (change, low, high, is_worse) of a size on the scale of the levels."""
    low, high = size.interval(CONFIDENCE)
    is_worse = (size.mean > 0) is (series.better is Better.LOWER)
    change, low, high = (_as_change(series.scale, one) for one in (size.mean, low, high))
    return change, low, high, is_worse


def _as_change(scale: Scale, size: float) -> float:
    """Return a difference of levels as a ratio, or as an amount on the difference scale."""
    return size if scale is Scale.DIFFERENCE else math.expm1(bounded_exponent(size))
