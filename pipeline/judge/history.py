"""What we say about the history of a metric, and every constant that decides it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.model.history import Acknowledgement, Judged, Line, Step
from pipeline.model.metric import Better, Scale

if TYPE_CHECKING:
    from pipeline.stats.noise import Floats
    from pipeline.stats.student import Estimate

SPLIT = 0.04
"""Chance of seeing a step anywhere in a series without one, at most."""

BUMP = 0.01
"""The same of a step and a step back."""

SHORTEST = 3
"""Fewest points between two steps, and from one to either end."""

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


def judge(line: Line, rule: HistoryRule) -> Judged:
    """Return the steps of a series; without places and acknowledgements."""
    import numpy as np

    from pipeline.stats.steps import Search, steps

    notes = list(line.notes)
    if line.left_out:
        notes.append(f"the {line.left_out} oldest points are not looked at")
    if len(line.values) < 2 * SHORTEST:
        points = len(line.values)
        notes.append(f"too short to tell: {points} points, and {2 * SHORTEST} are needed")
        return Judged(line, (), tuple(notes))
    values = np.asarray(line.values, dtype=np.float64)
    values = np.log(values) if line.scale is Scale.RATIO else values
    found = steps(values, Search(split=SPLIT, bump=BUMP, shortest=SHORTEST, seed=rule.seed))
    sized = _that_matter(values, found, _on_scale(line.scale, rule.least_of(line.scale)))
    return Judged(line, tuple(_step(line, index, size) for index, size in sized), tuple(notes))


def acknowledge(
    judged: Judged, acknowledgements: Sequence[Acknowledgement], at: Mapping[str, Sequence[int]]
) -> Judged:
    """Return a series with the reasons of the steps that somebody has explained.

    Args:
        judged: With any places.
        acknowledgements: Of any series.
        at: Indexes of the points of this series by commit; of the commits that are acknowledged.
    """
    steps, notes = list(judged.steps), list(judged.notes)
    for said in (a for a in acknowledgements if a.series == judged.line.name):
        points = [said.index] if said.index is not None else list(at.get(said.commit, ()))
        near = [
            (min(abs(step.index - point) for point in points), number)
            for number, step in enumerate(steps)
            if points
        ]
        distance, number = min(near, default=(REACH + 1, 0))
        if distance <= REACH:
            steps[number] = replace(steps[number], acknowledged=said.reason)
        else:
            place = f"commit {said.commit}" if said.commit else f"index {said.index}"
            notes.append(f"acknowledged at {place}, but there is no step (any more)")
    return replace(judged, steps=tuple(steps), notes=tuple(notes))


def _that_matter(
    values: "Floats", found: Sequence[int], least: float
) -> list[tuple[int, "Estimate"]]:
    """Return steps with their sizes, without those that are too small, the smallest first."""
    from pipeline.stats.noise import step_size

    left = list(found)
    while True:
        bounds = [0, *left, len(values)]
        sizes = [
            step_size(values[bounds[n] : k], values[k : bounds[n + 2]]) for n, k in enumerate(left)
        ]
        if not left:
            return []
        smallest = min(range(len(left)), key=lambda n: abs(sizes[n].mean))
        if abs(sizes[smallest].mean) >= least:
            return list(zip(left, sizes, strict=True))
        del left[smallest]


def _step(line: Line, index: int, size: "Estimate") -> Step:
    low, high = size.interval(CONFIDENCE)
    return Step(
        index=line.left_out + index,
        change=_shown(line.scale, size.mean),
        low=_shown(line.scale, low),
        high=_shown(line.scale, high),
        is_worse=(size.mean > 0) is (line.better is Better.LOWER),
    )


def _on_scale(scale: Scale, change: float) -> float:
    return math.log1p(change) if scale is Scale.RATIO else change


def _shown(scale: Scale, size: float) -> float:
    return math.expm1(max(-_MOST, min(_MOST, size))) if scale is Scale.RATIO else size
