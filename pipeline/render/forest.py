"""Every change on one axis: an interval, its estimate, the margin, and what could be seen.

To the right is always worse, as on the terminal.  The axis is linear around no change and
logarithmic beyond, so that 2 % and a factor of 3 have room on the same one.  Changes that are
ratios share one axis.  Amounts have no common unit: they are drawn in margins, on another axis.
"""

import math

from pipeline.judge import scale
from pipeline.model.metric import Metric, Scale
from pipeline.model.report import Bound, Finding, Verdict
from pipeline.render import svg
from pipeline.render.numbers import allowed, amount, interval

WIDTH, HEIGHT = 300.0, 24.0
_EDGE = 8.0  # pixels for what is beyond the ends
_BEND = {Scale.RATIO: 0.02, Scale.DIFFERENCE: 0.5}  # where linear becomes logarithmic
_REACH = {Scale.RATIO: math.log(5), Scale.DIFFERENCE: 20.0}
_RATIOS = (-0.5, -0.2, -0.05, 0.0, 0.05, 0.2, 1.0)
_MARGINS = (-10.0, -3.0, -1.0, 0.0, 1.0, 3.0, 10.0)


def row(finding: Finding, *, among_ratios: bool = False) -> str:
    """Return the drawing of one finding.

    Args:
        finding: To draw.
        among_ratios: Whether it stands below the axis of ratios, so that an amount has to say
            that it is drawn in margins.
    """
    metric, change = finding.comparison.metric, finding.comparison.change
    middle = HEIGHT / 2
    margin = _in_units(metric, scale.margin(metric))
    left, right = _x(metric.scale, -margin), _x(metric.scale, margin)
    said = f"{interval(metric, change)}, margin {allowed(metric)}: {finding.verdict.value}"
    parts = [
        *_grid(metric.scale, HEIGHT),
        svg.tag("rect", x=left, y=3.0, width=right - left, height=HEIGHT - 6, class_="margin"),
    ]
    seen = finding.comparison.detectable_change
    if seen is not None:
        x = _x(metric.scale, _in_units(metric, scale.worse(metric, seen)))
        sees = svg.hover(f"detectable change {amount(metric, seen)}")
        parts.append(svg.tag("path", sees, d=f"M{svg.number(x)} 6v14", class_="sees"))
    if change is None:
        parts.append(svg.label(WIDTH / 2, middle + 4, "no interval", "none", "middle"))
        return svg.drawing(WIDTH, HEIGHT, f"no interval: {finding.verdict.value}", *parts)
    if among_ratios and metric.scale is Scale.DIFFERENCE:
        is_left = scale.worse(metric, change.estimate) >= 0
        at, anchor = (0, "start") if is_left else (WIDTH, "end")
        parts.append(svg.label(at, middle + 4, "in margins", "tick", anchor))
    low, estimate, high = (
        _x(metric.scale, _in_units(metric, worse))
        for worse in sorted(
            scale.worse(metric, v) for v in (change.low, change.estimate, change.high)
        )
    )
    if scale.hides_the_worst(metric, change.bound):
        high = WIDTH
    elif change.bound is not Bound.NONE:
        low = 0.0
    line = svg.tag("path", d=f"M{svg.number(low)} {middle:g}H{svg.number(high)}", class_="interval")
    ends = [
        svg.tag("path", d=svg.triangle(x, middle, 4, left=x < WIDTH / 2), class_="beyond")
        for x in (low, high)
        if not _EDGE < x < WIDTH - _EDGE
    ]
    mark = svg.tag("path", d=_mark(finding.verdict, estimate, middle), class_="estimate")
    group = svg.tag("g", svg.hover(said), line, *ends, mark, class_=f"is-{finding.verdict.value}")
    return svg.drawing(WIDTH, HEIGHT, said, *parts, group)


def axis(of: Scale) -> str:
    """Return the labels of the axis that all rows of a scale share."""
    ticks = _RATIOS if of is Scale.RATIO else _MARGINS
    factor, unit = (100, " %") if of is Scale.RATIO else (1, "")
    labels = []
    for tick in ticks:
        said = f"{factor * tick:+g}{unit if tick == ticks[-1] else ''}" if tick else "0"
        labels.append(svg.label(_x(of, _tick(of, tick)), 24, said, "tick", "middle"))
    ends = [
        svg.label(0, 10, "← better", "end"),
        svg.label(WIDTH, 10, "worse →", "end", "end"),
    ]
    if of is Scale.DIFFERENCE:
        ends.append(svg.label(WIDTH / 2, 10, "in margins", "end", "middle"))
    said = "axis: change in percent" if of is Scale.RATIO else "axis: change in margins"
    return svg.drawing(WIDTH, 30, f"{said}, better to the left, worse to the right", *ends, *labels)


def _tick(of: Scale, tick: float) -> float:
    return math.log1p(tick) if of is Scale.RATIO else tick


def _grid(of: Scale, height: float) -> list[str]:
    lines = []
    for tick in _RATIOS if of is Scale.RATIO else _MARGINS:
        x = svg.number(_x(of, _tick(of, tick)))
        lines.append(
            svg.tag("path", d=f"M{x} -4V{height + 4:g}", class_="grid" if tick else "zero")
        )
    return lines


def _in_units(metric: Metric, worse: float) -> float:
    """Return how much worse in units of the axis: logarithms of ratios, or margins."""
    return worse if metric.scale is Scale.RATIO else worse / scale.margin(metric)


def _x(of: Scale, worse: float) -> float:
    """Return the pixel of a worsening; what is beyond the axis is drawn at its end."""
    bend = _BEND[of]
    share = math.asinh(worse / bend) / math.asinh(_REACH[of] / bend)
    return WIDTH / 2 + max(-1.0, min(1.0, share)) * (WIDTH / 2 - _EDGE / 2)


def _mark(verdict: Verdict, x: float, y: float) -> str:
    """Return the shape of a verdict, so that it is told without its colour."""
    match verdict:
        case Verdict.REGRESSED:
            return svg.triangle(x, y, 6, left=False)
        case Verdict.IMPROVED:
            return svg.triangle(x, y, 6, left=True)
        case Verdict.INCONCLUSIVE:
            return svg.diamond(x, y, 6)
        case Verdict.UNCHANGED:
            return f"M{svg.number(x - 4)} {svg.number(y)}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z"
