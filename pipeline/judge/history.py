"""What we say about the history of a metric, and every constant that decides it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

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
    from pipeline.judge.stats.drift import Drift as FoundDrift
    from pipeline.judge.stats.noise import Floats
    from pipeline.judge.stats.student import Estimate

SPLIT = 0.04
"""Chance of seeing a step anywhere in a series without one, at most."""

BUMP = 0.01
"""The same of a step and a step back."""

SHORTEST = 3
"""Fewest points between two steps.  To see a step it takes as many after it, too, but it may then
be dated to the last of them."""

FEWEST = 9
"""Points of a series that it takes to see any step.  Of 7 noisy points, the last three larger than
the others, 2 of 35 orders are as extreme, which is more than `SPLIT`; of 9 it is 2 of 84."""

LEAST = 0.025
"""The smallest step that matters, as a ratio; of amounts, every step that is shown matters."""

CONFIDENCE = 0.95
"""Of both sides of a step's interval together."""

NEWEST = 2000
"""Points of a series that are looked at, counted from its end: five years of nights."""

REACH = SHORTEST
"""How far, in points, a step may be from the place for which it was acknowledged: further points
can still move it a little."""

_MOST = 700.0  # exp() of more is not a number


@dataclass(frozen=True, slots=True)
class HistoryRule:
    """What decides, beside the constants of this module.

    Attributes:
        least: The smallest step that matters, as a ratio or an amount; None is the default.
        seed: Of the draws; only a measurement of the method has a reason to change it.
    """

    least: float | None = None
    seed: int = 0

    def least_of(self, scale: Scale) -> float:
        """Return the smallest step that matters, as a ratio or as an amount."""
        if self.least is not None:
            return self.least
        return LEAST if scale is Scale.RATIO else 0.0


def judge(line: HistorySeries, rule: HistoryRule) -> JudgedSeries:
    """Return the steps of a series, and its drift; without places and acknowledgements.

    A rhythm of the week is taken away first, then what drifts, and what is left has steps.
    """
    import numpy as np

    from pipeline.judge.stats.steps import Search, ranges, spreads, steps

    notes = list(line.notes)
    if line.left_out:
        notes.append(f"the {line.left_out} oldest points are not looked at")
    if len(line.values) < FEWEST:
        return JudgedSeries(line, (), tuple(notes), needed=FEWEST)
    least = _on_scale(line.scale, rule.least_of(line.scale))
    search = Search(split=SPLIT, bump=BUMP, shortest=SHORTEST, seed=rule.seed)
    values = np.asarray(line.values, dtype=np.float64)
    values = np.log(values) if line.scale is Scale.RATIO else values
    values, rhythm = _without_rhythm(line, values, least)
    spread = spreads(values)
    found = steps(values, search, spread)
    drift = _drift_of(values, spread, found, least)
    if drift is not None:
        values = values - drift.path(len(values))
        found = steps(values, search, spread)
    sized = _that_matter(values, spread, found, least)
    told = ranges(values, spread, [index for index, _ in sized])
    return JudgedSeries(
        line,
        tuple(
            _step(line, index, size, within)
            for (index, size), within in zip(sized, told, strict=True)
        ),
        tuple(notes),
        drift=_told(line, drift) if drift else None,
        rhythm=rhythm,
    )


def acknowledge(
    judged: JudgedSeries,
    acknowledgements: Sequence[Acknowledgement],
    at: Mapping[str, Sequence[int]],
) -> JudgedSeries:
    """Return a series with the reasons of the steps that somebody has explained.

    Args:
        judged: With any places.
        acknowledgements: Of any series.
        at: Indexes of the points of this series by commit; of the commits that are acknowledged.
    """
    steps, notes = list(judged.steps), list(judged.notes)
    for said in (a for a in acknowledgements if a.series == judged.series.name):
        points = [said.index] if said.index is not None else list(at.get(said.commit, ()))
        near = [
            (abs(step.index - point), number)
            for number, step in enumerate(steps)
            for point in points
            if abs(step.index - point) <= REACH or step.first <= point <= step.last
        ]
        if near:
            _, number = min(near)
            steps[number] = replace(steps[number], acknowledged=said.reason)
        else:
            place = f"commit {said.commit}" if said.commit else f"index {said.index}"
            notes.append(f"acknowledged at {place}, but there is no step (any more)")
    return replace(judged, steps=tuple(steps), notes=tuple(notes))


def _that_matter(
    values: "Floats", spread: "Floats", found: Sequence[int], least: float
) -> list[tuple[int, "Estimate"]]:
    """Return steps with their sizes, without those that do not count, the smallest first."""
    from pipeline.judge.stats.noise import step_sizes

    left = list(found)
    while True:
        sizes = step_sizes(values, left, spread)
        failing = [n for n, size in enumerate(sizes) if not _counts(size, least)]
        if not failing:
            return list(zip(left, sizes, strict=True))
        del left[min(failing, key=lambda n: abs(sizes[n].mean))]


def _counts(size: "Estimate", least: float) -> bool:
    """Whether a step is large enough to matter, and surely not nothing."""
    low, high = size.interval(CONFIDENCE)
    return abs(size.mean) >= least and not low <= 0 <= high


def _step(
    line: HistorySeries, index: int, size: "Estimate", within: tuple[int, int]
) -> ChangePoint:
    low, high = size.interval(CONFIDENCE)
    earliest, latest = within
    return ChangePoint(
        index=line.left_out + index,
        change=_shown(line.scale, size.mean),
        low=_shown(line.scale, low),
        high=_shown(line.scale, high),
        is_worse=(size.mean > 0) is (line.better is Better.LOWER),
        earliest=line.left_out + earliest,
        latest=line.left_out + latest,
    )


def _without_rhythm(
    line: HistorySeries, values: "Floats", least: float
) -> "tuple[Floats, WeeklyPattern | None]":
    """Return a series without what the days of its week differ by, and that."""
    import numpy as np

    from pipeline.judge.stats.weekly import DAYS, rhythm

    is_dated = bool(line.weekdays)
    days = np.asarray(line.weekdays if is_dated else range(len(values)), dtype=np.int64) % DAYS
    found = rhythm(values, days)
    if found is None or float(np.ptp(found)) < least:
        return values, None
    changes = tuple(_shown(line.scale, float(one)) for one in found)
    return values - found[days], WeeklyPattern(changes, is_dated)


def _drift_of(
    values: "Floats", spread: "Floats", steps: Sequence[int], least: float
) -> "FoundDrift | None":
    """Return the drift that explains more than the steps do, if it is large enough to matter."""
    from pipeline.judge.stats.drift import drift

    found = drift(values, spread, steps)
    if found is None or abs(found.slope) * (found.end - found.start) < least:
        return None
    return found


def _told(line: HistorySeries, drift: "FoundDrift") -> Drift:
    from pipeline.judge.stats.student import Estimate

    size = Estimate(drift.slope * DRIFT_POINTS, drift.error * DRIFT_POINTS, drift.freedom)
    low, high = size.interval(CONFIDENCE)
    return Drift(
        start=line.left_out + drift.start,
        end=line.left_out + drift.end,
        change=_shown(line.scale, size.mean),
        low=_shown(line.scale, low),
        high=_shown(line.scale, high),
        is_worse=(size.mean > 0) is (line.better is Better.LOWER),
    )


def _on_scale(scale: Scale, change: float) -> float:
    return math.log1p(change) if scale is Scale.RATIO else change


def _shown(scale: Scale, size: float) -> float:
    return math.expm1(max(-_MOST, min(_MOST, size))) if scale is Scale.RATIO else size
