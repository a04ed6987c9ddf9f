"""Render histories as one HTML page that needs no other file and has no script.

Names and commits come from files that we do not know: the template escapes everything, and the
page's policy lets it load and run nothing.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from pipeline.judge.history import (
    ACKNOWLEDGE_REACH,
    BUMP_ALPHA,
    CONFIDENCE,
    MAX_POINTS,
    MIN_POINTS,
    MIN_SEGMENT,
    STEP_ALPHA,
    HistoryRule,
)
from pipeline.model.history import DRIFT_POINTS, ChangePoint, HistorySeries, JudgedSeries
from pipeline.model.metric import Scale
from pipeline.render import svg
from pipeline.render.history import (
    series_notes,
    step_commits,
    step_direction,
    step_mark,
    step_size,
    step_text,
    steps_count,
)
from pipeline.render.numbers import count, share
from pipeline.render.templates import raw, render_html

FRAME = svg.Frame(960.0, 220.0, top=20.0)

_MAX_ALARMS = 20  # rows in the first table
_MAX_ROWS = 40  # of one series
_MAX_NOTES = 20  # of one series
_DOTS = (100, 800)  # fewest and most of one series
_MAX_DOTS_OF_ALL = 24_000
_MARK_Y = 13.0  # pixels from the upper edge to the feet of the marks
_CAP = 5.0  # pixels, half the width of the ends of a bar
_MAX_TOOLTIP = 300  # characters
_SCALES = {Scale.RATIO: "ratios", Scale.DIFFERENCE: "amounts"}
_TONES = ("unchanged", "improved", "regressed")
"""The tones of steps, the worst last."""


@dataclass(frozen=True, slots=True)
class Headline:
    """The answer of a history."""

    answer: str
    advice: str


def history_html(histories: Sequence[JudgedSeries], rule: HistoryRule) -> str:
    """Render the page; the same histories give the same bytes."""
    alarms = [
        _row(number, history, at)
        for number, history in enumerate(histories)
        for at, step in enumerate(history.steps)
        if step.alarms
    ]
    dots = max(_DOTS[0], min(_DOTS[1], _MAX_DOTS_OF_ALL // max(1, len(histories))))
    verdict, word, shape = "unchanged", "no alarm", "●"
    if alarms:
        verdict, word, shape = "regressed", "worse", "▲"
    elif all(map(_is_short, histories)):
        verdict, word, shape = "inconclusive", "cannot tell", "◆"
    return render_html(
        "history.html.j2",
        headline=headline(histories),
        counts=step_counts(histories),
        verdict=verdict,
        word=word,
        shape=shape,
        alarms=alarms[:_MAX_ALARMS],
        more=max(0, len(alarms) - _MAX_ALARMS),
        series=[_series(number, history, dots) for number, history in enumerate(histories)],
        confidence=share(CONFIDENCE),
        method=method(rule),
    )


def headline(histories: Sequence[JudgedSeries]) -> Headline:
    """Return the answer and the advice for the steps that the page shows."""
    alarms = [[step for step in history.steps if step.alarms] for history in histories]
    if steps := sum(map(len, alarms)):
        return Headline(
            f"{count(steps, 'unacknowledged regression')} in {sum(map(bool, alarms))} of"
            f" {len(histories)} series",
            "look at what changed between the two commits of each step",
        )
    if all(map(_is_short, histories)):
        return Headline(
            f"cannot tell: none of {len(histories)} series has {MIN_POINTS} points",
            "not a pass: measure more often",
        )
    answer = f"no unacknowledged regression in {len(histories)} series"
    if drifts := sum(history.drift is not None and history.drift.is_worse for history in histories):
        return Headline(
            f"{answer}, but {count(drifts, 'drift')} for the worse",
            "a drift raises no alarm: find out where it comes from",
        )
    return Headline(answer, "no action needed")


def step_counts(histories: Sequence[JudgedSeries]) -> str:
    """Return the number of steps of each kind, and of series without a step."""
    steps = [step for history in histories for step in history.steps]
    worse = [step for step in steps if step.is_worse]
    known = sum(bool(step.acknowledged) for step in worse)
    short = sum(map(_is_short, histories))
    none = sum(not history.steps for history in histories) - short
    acknowledged = f", {known} acknowledged" if known else ""
    parts = [
        f"{count(len(worse), 'step')} for the worse{acknowledged}",
        f"{len(steps) - len(worse)} for the better",
        f"{none} series without a step",
    ]
    drifts = [history.drift.is_worse for history in histories if history.drift]
    if drifts:
        parts.append(f"{len(drifts)} series with a drift, {sum(drifts)} of them for the worse")
    return "; ".join([*parts, *([f"{short} too short to tell"] if short else [])])


def method(rule: HistoryRule) -> list[tuple[str, str]]:
    """Return everything that decides which steps are shown, each with its name."""
    ratio, amount = (rule.min_change(scale) for scale in (Scale.RATIO, Scale.DIFFERENCE))
    amounts = f"amounts below {amount:g} too" if amount else "amounts of any size count"
    texts = {
        "false steps": f"of series without a change, {share(STEP_ALPHA + BUMP_ALPHA)} show a step:"
        f" {share(STEP_ALPHA)} a single step, {share(BUMP_ALPHA)} a step and its step back",
        "smallest": f"ratios below {share(ratio)} are ignored, {amounts}",
        "level": "the median of its points; a level has at least"
        f" {MIN_SEGMENT} points, and a series at least {MIN_POINTS}",
        "drift": "a slow change that explains the points better than steps do; it is removed before"
        " steps are detected, and raises no alarm. So is a weekly rhythm",
        "range": "the points at which a step may have begun, and its commits: they hold"
        f" {share(CONFIDENCE)}",
        "interval": f"it holds {share(CONFIDENCE)} and is around a difference of means without"
        " spikes, so the size may differ a little from that between two medians",
        "points": f"the {MAX_POINTS:,} newest points of a series",
        "acknowledged": f"a step at most {ACKNOWLEDGE_REACH} points from the acknowledged place, or"
        " with that place in its range",
        "plot": "of many points, the smallest and the largest of each group of neighbors; levels"
        " are those of all points",
    }
    return list(texts.items())


def levels(history: JudgedSeries) -> list[tuple[float, float]]:
    """Return the level at the first and at the last point of every stretch between steps.

    A level is the median of its points; if the series drifts, of the points without the drift.
    """
    return [(line[0][1], line[-1][1]) for line in _level_lines(history)]


def series_plot(history: JudgedSeries, max_dots: int, steps: Sequence[ChangePoint]) -> str:
    """Return the plot of a series, with its points at equal distances; empty without points.

    A dot is a point, and a horizontal line a level.  At each of `steps`, a bar is the interval of
    the level after it, as seen from the level before.
    """
    line = history.series
    if not line.values:
        return ""
    first, last = line.left_out, line.left_out + len(line.values) - 1
    x = FRAME.x_axis(first - 0.5, last + 0.5)
    y = FRAME.padded_y_axis(line.values)
    parts = FRAME.y_ticks(y, "1")
    numbers = sorted({round(tick) for tick in svg.ticks(first - 0.5, last + 0.5, 10)})
    parts += FRAME.x_ticks([(x.at(n), f"{n}") for n in numbers if first <= n <= last])
    dots = "".join(
        f"M{svg.number(x.at(first + at))} {svg.number(y.at(line.values[at]))}h0"
        for at in thin_out(line.values, max_dots)
    )
    parts.append(svg.tag("path", d=dots, class_="dots"))
    lines = "".join(
        svg.path([(x.at(first + at), y.at(value)) for at, value in one])
        for one in _level_lines(history)
    )
    parts.append(svg.tag("path", d=lines, class_="line candidate"))
    before = {step: level[1] for step, level in zip(history.steps, levels(history), strict=False)}
    parts += [_step_plot(line, step, before[step], x, y) for step in steps]
    name = f"{len(line.values)} points of {line.name[:80]}, {count(len(history.steps), 'step')}"
    return svg.drawing(FRAME.width, FRAME.height, name, *parts)


def thin_out(values: Sequence[float], most: int) -> list[int]:
    """Return the points to draw: all, or the smallest and the largest of equal groups."""
    n = len(values)
    if n <= most:
        return list(range(n))
    groups = most // 2
    edges = [number * n // groups for number in range(groups + 1)]
    kept: set[int] = set()
    for start, end in itertools.pairwise(edges):
        kept.add(min(range(start, end), key=values.__getitem__))
        kept.add(max(range(start, end), key=values.__getitem__))
    return sorted(kept)


def _series(number: int, history: JudgedSeries, dots: int) -> dict[str, Any]:
    line = history.series
    steps = history.steps[-_MAX_ROWS:]
    older = len(history.steps) - len(steps)
    notes = series_notes(history)
    times = [place.time for place in (history.first, history.last) if place.time]
    drift = ", a drift" if history.drift and not _is_short(history) else ""
    return {
        "id": f"s-{number}",
        "name": line.name,
        "points": line.left_out + len(line.values),
        "span": f"from {times[0]} to {times[-1]}" if times else "",
        "meaning": f"{line.better.value} is better, steps are {_SCALES[line.scale]}",
        "steps": f"{steps_count(history)}{drift}",
        "worst": max(map(step_tone, history.steps), key=_TONES.index, default="unchanged"),
        "picture": raw(series_plot(history, dots, steps)),
        "rows": [_row(number, history, at) for at in range(older, len(history.steps))],
        "older": older,
        "notes": notes[:_MAX_NOTES],
        "more_notes": max(0, len(notes) - _MAX_NOTES),
    }


def _row(number: int, history: JudgedSeries, at: int) -> dict[str, Any]:
    step = history.steps[at]
    latest = step.until.commit or step.after.commit
    (_, before), (after, _) = levels(history)[at : at + 2]
    return {
        "id": f"s-{number}",
        "name": history.series.name,
        "mark": step_mark(step),
        "tone": f"is-{step_tone(step)}",
        "index": step.index,
        "range": f"({step.first} to {step.last})" if step.first < step.last else "",
        "time": step.after.time or "-",
        "commits": step_commits(step) or "-",
        "full": f"{step.before.commit}..{latest}" if latest else "",
        "size": step_size(history.series, step),
        "before": f"{before:.4g}",
        "after": f"{after:.4g}",
        "direction": step_direction(step),
        "reason": step.acknowledged,
    }


def _is_short(history: JudgedSeries) -> bool:
    return history.needed is not None


def step_tone(step: ChangePoint) -> str:
    """Return the verdict whose color a step has."""
    if step.acknowledged:
        return "unchanged"
    return "regressed" if step.is_worse else "improved"


def _step_plot(
    line: HistorySeries, step: ChangePoint, before: float, x: svg.Axis, y: svg.Axis
) -> str:
    at = x.at(step.index - 0.5)
    low, high = (
        before * (1 + change) if line.scale is Scale.RATIO else before + change
        for change in (step.low, step.high)
    )
    bottom = FRAME.height - FRAME.bottom
    ends = [svg.path([(at - _CAP, y.at(v)), (at + _CAP, y.at(v))]) for v in (low, high)]
    bar = svg.path([(at, y.at(low)), (at, y.at(high))]) + "".join(ends)
    return svg.tag(
        "g",
        svg.tooltip(step_text(line, step)[:_MAX_TOOLTIP]),
        svg.tag("path", d=svg.path([(at, FRAME.top), (at, bottom)]), class_="marked"),
        svg.tag("path", d=bar, class_="interval"),
        svg.label(at, _MARK_Y, step_mark(step), "mark", "middle"),
        class_=f"is-{step_tone(step)}",
    )


def _level_lines(history: JudgedSeries) -> list[list[tuple[float, float]]]:
    """Return the level of every stretch as corners of a line: points from 0, and values."""
    values, drift = history.series.values, history.drift
    is_ratio = history.series.scale is Scale.RATIO
    left_out = history.series.left_out

    def drift_until(at: float) -> float:
        """Return the effect of the drift up to a point: a factor, or an amount."""
        if drift is None:
            return 1.0 if is_ratio else 0.0
        nights = (min(max(at + left_out, drift.start), drift.end) - drift.start) / DRIFT_POINTS
        return float((1 + drift.change) ** nights) if is_ratio else drift.change * nights

    inner = [step.index - left_out for step in history.steps]
    lines: list[list[tuple[float, float]]] = []
    for start, end in itertools.pairwise([0, *inner, len(values)]):
        points = zip(values[start:end], map(drift_until, range(start, end)), strict=True)
        level = median(v / d if is_ratio else v - d for v, d in points)
        edges = (start - 0.5, end - 0.5)
        bends = [at - left_out for at in (drift.start, drift.end)] if drift else []
        corners = sorted({*edges, *(at for at in bends if edges[0] < at < edges[1])})
        lines.append(
            [
                (at, level * drift_until(at) if is_ratio else level + drift_until(at))
                for at in corners
            ]
        )
    return lines
