"""A series as a picture: its points, its levels, and the steps between them."""

import itertools
from collections.abc import Sequence
from statistics import median

from pipeline.model.history import DRIFT_POINTS, ChangePoint, HistorySeries, JudgedSeries
from pipeline.model.metric import Scale
from pipeline.render import svg
from pipeline.render.frame import Frame
from pipeline.render.history import mark, said

FRAME = Frame(960.0, 220.0, top=20.0)

_MARK = 13.0  # pixels, of the marks' feet from the upper end
_CAP = 5.0  # pixels, half the width of a bar's ends
_HOVER = 300  # characters


def levels(judged: JudgedSeries) -> list[tuple[float, float]]:
    """Return the level at the first and at the last point of every stretch between steps.

    A level is the median of its points; where the series drifts, of what they are beside the drift.

    Args:
        judged: With at least one point; n steps give n + 1 levels, in the unit of the series.
    """
    return [(line[0][1], line[-1][1]) for line in _lines(judged)]


def tone(step: ChangePoint) -> str:
    """Return the class of style by which a step is coloured."""
    if step.acknowledged:
        return "is-unchanged"
    return "is-regressed" if step.is_worse else "is-improved"


def series(judged: JudgedSeries, most: int, shown: Sequence[ChangePoint]) -> str:
    """Return the points of a series in the order of time, equally far apart.

    A dot is a point; a line across is a level; at a step, a bar is the interval of the level after
    it, as seen from the level before.

    Args:
        judged: A series without points gives an empty text.
        most: Dots, at most, at least 2.
        shown: Those of its steps that get a mark and a bar; levels are those of all steps.
    """
    line = judged.series
    if not line.values:
        return ""
    first, last = line.left_out, line.left_out + len(line.values) - 1
    x = FRAME.across(first - 0.5, last + 0.5)
    y = FRAME.upright(line.values)
    parts = FRAME.values(y, "1")
    numbers = sorted({round(tick) for tick in svg.ticks(first - 0.5, last + 0.5, 10)})
    parts += FRAME.along([(x.at(n), f"{n}") for n in numbers if first <= n <= last])
    dots = "".join(
        f"M{svg.number(x.at(first + at))} {svg.number(y.at(line.values[at]))}h0"
        for at in thinned(line.values, most)
    )
    parts.append(svg.tag("path", d=dots, class_="dots"))
    lines = "".join(
        svg.path([(x.at(first + at), y.at(value)) for at, value in one]) for one in _lines(judged)
    )
    parts.append(svg.tag("path", d=lines, class_="line candidate"))
    before = {step: level[1] for step, level in zip(judged.steps, levels(judged), strict=False)}
    parts += [_step(line, step, before[step], x, y) for step in shown]
    steps = f"{len(judged.steps)} step{'' if len(judged.steps) == 1 else 's'}"
    label = f"{len(line.values)} points of {line.name[:80]}, {steps}"
    return svg.drawing(FRAME.width, FRAME.height, label, *parts)


def thinned(values: Sequence[float], most: int) -> list[int]:
    """Return which points are drawn: all, or the smallest and the largest of equal groups.

    Args:
        values: Shape (n,).
        most: How many at most, at least 2.
    """
    n = len(values)
    if n <= most:
        return list(range(n))
    groups = most // 2
    edges = [number * n // groups for number in range(groups + 1)]
    found: set[int] = set()
    for start, end in itertools.pairwise(edges):
        found.add(min(range(start, end), key=values.__getitem__))
        found.add(max(range(start, end), key=values.__getitem__))
    return sorted(found)


def _step(line: HistorySeries, step: ChangePoint, before: float, x: svg.Axis, y: svg.Axis) -> str:
    at = x.at(step.index - 0.5)
    low, high = (
        before * (1 + change) if line.scale is Scale.RATIO else before + change
        for change in (step.low, step.high)
    )
    bottom = FRAME.height - FRAME.bottom
    ends = [svg.path([(at - _CAP, y.at(v)), (at + _CAP, y.at(v))]) for v in (low, high)]
    bar = svg.path([(at, y.at(low)), (at, y.at(high))]) + "".join(ends)
    upright = svg.path([(at, FRAME.top), (at, bottom)])
    return svg.tag(
        "g",
        svg.hover(said(line, step)[:_HOVER]),
        svg.tag("path", d=upright, class_="marked"),
        svg.tag("path", d=bar, class_="interval"),
        svg.label(at, _MARK, mark(step), "mark", "middle"),
        class_=tone(step),
    )


def _lines(judged: JudgedSeries) -> list[list[tuple[float, float]]]:
    """Return the level of every stretch as corners of a line: places from 0, and values."""
    values, drift = judged.series.values, judged.drift
    is_ratio = judged.series.scale is Scale.RATIO
    left_out = judged.series.left_out

    def path(at: float) -> float:
        """Return what the drift has done up to a point: a factor, or an amount."""
        if drift is None:
            return 1.0 if is_ratio else 0.0
        nights = (min(max(at + left_out, drift.start), drift.end) - drift.start) / DRIFT_POINTS
        return float((1 + drift.change) ** nights) if is_ratio else drift.change * nights

    found: list[list[tuple[float, float]]] = []
    for start, end in _spans(judged):
        of_points = zip(values[start:end], map(path, range(start, end)), strict=True)
        level = median(v / p if is_ratio else v - p for v, p in of_points)
        edges = (start - 0.5, end - 0.5)
        bends = [at - left_out for at in (drift.start, drift.end)] if drift else []
        corners = sorted({*edges, *(at for at in bends if edges[0] < at < edges[1])})
        found.append([(at, level * path(at) if is_ratio else level + path(at)) for at in corners])
    return found


def _spans(judged: JudgedSeries) -> list[tuple[int, int]]:
    """Return the first and the last point of every level, the latter not included, from 0."""
    inner = [step.index - judged.series.left_out for step in judged.steps]
    return list(itertools.pairwise([0, *inner, len(judged.series.values)]))
