"""Histories for a terminal: a sparkline of each series, and a line for each step."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.judge.history import (
    BUMP_ALPHA,
    CONFIDENCE,
    MIN_CHANGE,
    MIN_POINTS,
    MIN_SEGMENT,
    STEP_ALPHA,
)
from pipeline.model.history import DRIFT_POINTS, ChangePoint, HistorySeries, JudgedSeries
from pipeline.model.metric import Scale
from pipeline.render.numbers import percent, share
from pipeline.render.words import count
from pipeline.system.sanitize import printable

if TYPE_CHECKING:
    from rich.console import Console

_BLOCKS = "▁▂▃▄▅▆▇█"
_MARKS = {(True, False): "▲", (False, False): "△", (True, True): "▼", (False, True): "▽"}
_COMMIT = 12  # characters of a commit that tell it from others
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_PLACES = ("1st", "2nd", "3rd", "4th", "5th", "6th", "7th")
_MUCH = 0.25  # of the largest: days that differ by less are not named


def history_text(
    histories: Sequence[JudgedSeries], *, width: int = 100, color: bool = False
) -> str:
    """Render every series; the same histories give the same bytes.

    Args:
        histories: To render.
        width: Characters of a line.
        color: Whether to add escape sequences of colour.
    """
    from pipeline.render.paper import paper, written

    console = paper(width, color=color)
    for judged in histories:
        _series(console, judged, width)
    console.print(
        f"▲ up, ▼ down, △ ▽ acknowledged; (first to last): the points at which a step may have"
        f" begun. Of equal points, {share(STEP_ALPHA + BUMP_ALPHA)} of the series show a step; it"
        f" takes {MIN_POINTS} points, {MIN_SEGMENT} of them after the step; ratios below"
        f" {share(MIN_CHANGE)} do not matter unless --least says so; intervals and ranges hold"
        f" {share(CONFIDENCE)}.",
        style="dim",
    )
    return written(console)


def sparkline(values: Sequence[float], width: int) -> str:
    """Return values as blocks of eight heights, from the smallest to the largest of them.

    Args:
        values: Shape (n,); where they are more than fit, each block is the mean of several.
        width: Blocks, at most.
    """
    if not len(values):
        return ""
    columns = min(width, len(values))
    edges = [number * len(values) // columns for number in range(columns + 1)]
    means = [sum(values[start:end]) / (end - start) for start, end in itertools.pairwise(edges)]
    low, high = min(means), max(means)
    if low == high:
        return _BLOCKS[3] * columns
    top = len(_BLOCKS) - 1
    return "".join(_BLOCKS[round((mean - low) / (high - low) * top)] for mean in means)


def marks(judged: JudgedSeries, width: int) -> str:
    """Return a line of marks below the sparkline, one at each step."""
    line = judged.series
    columns = min(width, len(line.values))
    cells = [" "] * columns
    for step in judged.steps:
        column = ((step.index - line.left_out + 1) * columns - 1) // len(line.values)
        cells[column] = mark(step)
    return "".join(cells).rstrip()


def said(line: HistorySeries, step: ChangePoint) -> str:
    """Return a step in words: where, between which commits, how large, how sure."""
    place = f"{mark(step)} {step.index}"
    if step.first < step.last:
        place += f" ({step.first} to {step.last})"
    if step.after.time:
        place += f"  {step.after.time}"
    if step.after.commit:
        place += f"  {commits(step)}"
    reason = f"  acknowledged: {step.acknowledged}" if step.acknowledged else ""
    return printable(f"{place}  {size(line, step)}  {direction(step)}{reason}")


def mark(step: ChangePoint) -> str:
    """Return the shape of a step: up or down, hollow where it is acknowledged."""
    return _MARKS[not step.acknowledged, step.change < 0]


def size(line: HistorySeries, step: ChangePoint) -> str:
    """Return the change of a step and its interval: `+8.1 % [+7.4 %, +8.8 %]`."""
    return f"{_amount(line, step.change)} [{_amount(line, step.low)}, {_amount(line, step.high)}]"


def commits(step: ChangePoint) -> str:
    """Return the commits that a step lies between, the first not included; empty if unknown."""
    latest = step.until.commit or step.after.commit
    return f"{step.before.commit[:_COMMIT]}..{latest[:_COMMIT]}" if latest else ""


def direction(step: ChangePoint) -> str:
    """Return `better` where a step went towards what is better, otherwise `worse`."""
    return "worse" if step.is_worse else "better"


def remarks(judged: JudgedSeries) -> list[str]:
    """Return sentences about a series beside its steps: drift, rhythm, too few points, notes."""
    line, found = judged.series, list[str]()
    if judged.needed is not None:
        points = count(len(line.values), "point")
        found.append(f"too short to tell: {points}, and {judged.needed} are needed to see a step")
    if drift := judged.drift:
        interval = f"[{_amount(line, drift.low)}, {_amount(line, drift.high)}]"
        towards = "worse" if drift.is_worse else "better"
        found.append(
            f"drift of {_amount(line, drift.change)} per {DRIFT_POINTS} nights {interval},"
            f" {towards}, from point {drift.start} to {drift.end}; a drift is no step and does not"
            " alarm"
        )
    if rhythm := judged.rhythm:
        name = "weekly rhythm" if rhythm.is_dated else "rhythm of seven points"
        most = max(map(abs, rhythm.changes))
        days = ", ".join(
            f"{day} {_amount(line, change)}"
            for day, change in zip(
                _DAYS if rhythm.is_dated else _PLACES, rhythm.changes, strict=True
            )
            if abs(change) >= most * _MUCH
        )
        found.append(f"{name}: {days} against the other days; removed before looking for steps")
    return [*found, *judged.notes]


def _series(console: "Console", judged: JudgedSeries, width: int) -> None:
    line = judged.series
    points = line.left_out + len(line.values)
    many = count(len(judged.steps), "step") if judged.steps else "no step"
    if judged.needed is not None:
        many = "too short to tell"
    console.print(printable(f"{line.name}: {points} points, {many}"), style="bold")
    console.print(f"  {sparkline(line.values, width - 2)}")
    if judged.steps:
        console.print(f"  {marks(judged, width - 2)}")
    for step in judged.steps:
        console.print(f"  {said(line, step)}", style="red" if step.alarms else "", soft_wrap=True)
    for note in remarks(judged):
        console.print(printable(f"  note: {note}"), soft_wrap=True)
    console.print()


def _amount(line: HistorySeries, change: float) -> str:
    return percent(change) if line.scale is Scale.RATIO else f"{change:+.3g}"
