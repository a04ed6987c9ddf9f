"""Render histories for a terminal: a sparkline of each series, and a line for each change point."""

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
from pipeline.model.history import (
    DRIFT_POINTS,
    ChangePoint,
    HistorySeries,
    JudgedSeries,
    is_commit_id,
)
from pipeline.model.metric import Scale
from pipeline.render.console import console_text, string_console
from pipeline.render.numbers import count, percent, share
from pipeline.system.sanitize import printable

if TYPE_CHECKING:
    from rich.console import Console

_BLOCKS = "▁▂▃▄▅▆▇█"
_MARKS = {(True, False): "▲", (False, False): "△", (True, True): "▼", (False, True): "▽"}
_COMMIT_LENGTH = 12  # digits
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_PLACES = ("1st", "2nd", "3rd", "4th", "5th", "6th", "7th")
_MIN_DAY = 0.25  # share of the largest change of a day from which on a day is named


def history_text(
    histories: Sequence[JudgedSeries], *, width: int = 100, color: bool = False
) -> str:
    """Render every series; the same histories give the same bytes."""
    console = string_console(width, color=color)
    for history in histories:
        _print_series(console, history, width)
    console.print(
        f"▲ up, ▼ down, △ ▽ acknowledged; (first to last): the points at which a step may have"
        f" begun. Of series without a change, {share(STEP_ALPHA + BUMP_ALPHA)} show a step. A step"
        f" needs {MIN_POINTS} points, {MIN_SEGMENT} of them after it; ratios below"
        f" {share(MIN_CHANGE)} are ignored unless --least says otherwise; intervals and ranges hold"
        f" {share(CONFIDENCE)}.",
        style="dim",
    )
    return console_text(console)


def sparkline(values: Sequence[float], width: int) -> str:
    """Return values as blocks of eight heights, from the smallest to the largest value.

    If there are more values than blocks, each block is the mean of several.
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


def step_marks(history: JudgedSeries, width: int) -> str:
    """Return the line below the sparkline, with a mark at each step."""
    line = history.series
    columns = min(width, len(line.values))
    cells = [" "] * columns
    for step in history.steps:
        column = ((step.index - line.left_out + 1) * columns - 1) // len(line.values)
        cells[column] = step_mark(step)
    return "".join(cells).rstrip()


def step_text(line: HistorySeries, step: ChangePoint) -> str:
    """Return a step in one line: place, commits, size and interval, direction, reason."""
    place = f"{step_mark(step)} {step.index}"
    if step.first < step.last:
        place += f" ({step.first} to {step.last})"
    if step.after.time:
        place += f"  {step.after.time}"
    if step.after.commit:
        place += f"  {step_commits(step)}"
    reason = f"  acknowledged: {step.acknowledged}" if step.acknowledged else ""
    return printable(f"{place}  {step_size(line, step)}  {step_direction(step)}{reason}")


def step_mark(step: ChangePoint) -> str:
    """Return the shape of a step: up or down, hollow if it is acknowledged."""
    return _MARKS[not step.acknowledged, step.change < 0]


def step_size(line: HistorySeries, step: ChangePoint) -> str:
    """Return the change of a step and its interval: `+8.1 % [+7.4 %, +8.8 %]`."""
    return f"{_amount(line, step.change)} [{_amount(line, step.low)}, {_amount(line, step.high)}]"


def step_commits(step: ChangePoint) -> str:
    """Return the range of commits that caused a step, the first excluded; empty if unknown."""
    latest = step.until.commit or step.after.commit
    return f"{_short(step.before.commit)}..{_short(latest)}" if latest else ""


def _short(commit: str) -> str:
    """Return the first digits of a commit id, and any other text as it is."""
    begin = commit.find(":") + 1  # after `sha256:`
    return commit[: begin + _COMMIT_LENGTH] if is_commit_id(commit) else commit


def step_direction(step: ChangePoint) -> str:
    """Return `better` or `worse`."""
    return "worse" if step.is_worse else "better"


def series_notes(history: JudgedSeries) -> list[str]:
    """Return sentences about a series: too few points, drift, rhythm, notes."""
    line, notes = history.series, list[str]()
    if history.needed is not None:
        points = count(len(line.values), "point")
        notes.append(f"too short: {points}, and a step needs {history.needed}")
    if drift := history.drift:
        interval = f"[{_amount(line, drift.low)}, {_amount(line, drift.high)}]"
        direction = "worse" if drift.is_worse else "better"
        notes.append(
            f"drift of {_amount(line, drift.change)} per {DRIFT_POINTS} nights {interval},"
            f" {direction}, from point {drift.start} to {drift.end}; a drift is not a step and"
            " raises no alarm"
        )
    if rhythm := history.rhythm:
        name = "weekly rhythm" if rhythm.is_dated else "rhythm of seven points"
        most = max(map(abs, rhythm.changes))
        days = ", ".join(
            f"{day} {_amount(line, change)}"
            for day, change in zip(
                _DAYS if rhythm.is_dated else _PLACES, rhythm.changes, strict=True
            )
            if abs(change) >= most * _MIN_DAY
        )
        notes.append(f"{name}: {days} against the other days; removed before steps are detected")
    return [*notes, *history.notes]


def steps_count(history: JudgedSeries) -> str:
    """Return how many steps a series has, or that it is too short."""
    if history.needed is not None:
        return "too short to tell"
    return count(len(history.steps), "step") if history.steps else "no step"


def _print_series(console: "Console", history: JudgedSeries, width: int) -> None:
    line = history.series
    points = line.left_out + len(line.values)
    title = f"{line.name}: {points} points, {steps_count(history)}"
    console.print(printable(title), style="bold")
    console.print(f"  {sparkline(line.values, width - 2)}")
    if history.steps:
        console.print(f"  {step_marks(history, width - 2)}")
    for step in history.steps:
        style = "red" if step.alarms else ""
        console.print(f"  {step_text(line, step)}", style=style, soft_wrap=True)
    for note in series_notes(history):
        console.print(printable(f"  note: {note}"), soft_wrap=True)
    console.print()


def _amount(line: HistorySeries, change: float) -> str:
    return percent(change) if line.scale is Scale.RATIO else f"{change:+.3g}"
