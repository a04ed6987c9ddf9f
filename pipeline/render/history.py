"""Histories for a terminal: a sparkline of each series, and a line for each step."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.judge.history import BUMP, CONFIDENCE, LEAST, SHORTEST, SPLIT
from pipeline.model.history import Judged, Line, Step
from pipeline.model.metric import Scale
from pipeline.plain import plain
from pipeline.render.numbers import percent, share

if TYPE_CHECKING:
    from rich.console import Console

_BLOCKS = "▁▂▃▄▅▆▇█"
_MARKS = {(True, False): "▲", (False, False): "△", (True, True): "▼", (False, True): "▽"}
_COMMIT = 12  # characters of a commit that tell it from others


def history_text(histories: Sequence[Judged], *, width: int = 100, color: bool = False) -> str:
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
        f"▲ up, ▼ down, △ ▽ acknowledged. Of equal points, {share(SPLIT + BUMP)} of the series show"
        f" a step; a level has {SHORTEST} points or more; ratios below {share(LEAST)} do not matter"
        f" unless --least says so; intervals hold {share(CONFIDENCE)}.",
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


def marks(judged: Judged, width: int) -> str:
    """Return a line of marks below the sparkline, one at each step."""
    line = judged.line
    columns = min(width, len(line.values))
    cells = [" "] * columns
    for step in judged.steps:
        column = ((step.index - line.left_out + 1) * columns - 1) // len(line.values)
        cells[column] = mark(step)
    return "".join(cells).rstrip()


def said(line: Line, step: Step) -> str:
    """Return a step in words: where, between which commits, how large, how sure."""
    place = f"{mark(step)} {step.index}"
    if step.after.time:
        place += f"  {step.after.time}"
    if step.after.commit:
        place += f"  {commits(step)}"
    reason = f"  acknowledged: {step.acknowledged}" if step.acknowledged else ""
    return plain(f"{place}  {size(line, step)}  {direction(step)}{reason}")


def mark(step: Step) -> str:
    """Return the shape of a step: up or down, hollow where it is acknowledged."""
    return _MARKS[not step.acknowledged, step.change < 0]


def size(line: Line, step: Step) -> str:
    """Return the change of a step and its interval: `+8.1 % [+7.4 %, +8.8 %]`."""
    return f"{_amount(line, step.change)} [{_amount(line, step.low)}, {_amount(line, step.high)}]"


def commits(step: Step) -> str:
    """Return the commits that a step lies between, the first not included; empty if unknown."""
    if not step.after.commit:
        return ""
    return f"{step.before.commit[:_COMMIT]}..{step.after.commit[:_COMMIT]}"


def direction(step: Step) -> str:
    """Return `better` where a step went towards what is better, otherwise `worse`."""
    return "worse" if step.is_worse else "better"


def _series(console: "Console", judged: Judged, width: int) -> None:
    line = judged.line
    points = line.left_out + len(line.values)
    many = "no step" if not judged.steps else f"{len(judged.steps)} step"
    many += "s" if len(judged.steps) > 1 else ""
    console.print(plain(f"{line.name}: {points} points, {many}"), style="bold")
    console.print(f"  {sparkline(line.values, width - 2)}")
    if judged.steps:
        console.print(f"  {marks(judged, width - 2)}")
    for step in judged.steps:
        console.print(f"  {said(line, step)}", style="red" if step.alarms else "", soft_wrap=True)
    for note in judged.notes:
        console.print(plain(f"  note: {note}"), soft_wrap=True)
    console.print()


def _amount(line: Line, change: float) -> str:
    return percent(change) if line.scale is Scale.RATIO else f"{change:+.3g}"
