"""Plots of the report page: the change of each metric on one axis, and its values in both arms.

In every plot, the baseline is hollow and dashed, and the candidate filled and solid.  Worse is
always to the right.  The axis of changes is linear around zero and logarithmic beyond, so that it
shows 2 % as well as a factor of 3.  Ratios share one axis.  Amounts have no common unit: their axis
is in margins.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import chain

from pipeline.judge import scale
from pipeline.model.metric import Metric, Scale
from pipeline.model.report import Bound, Finding, Verdict
from pipeline.model.subject import Arm
from pipeline.model.traces import Distribution, TrackPair
from pipeline.render import svg
from pipeline.render.numbers import amount, interval, margin_text, quantity

WIDTH, HEIGHT = 300.0, 24.0
FRAME = svg.Frame(400.0, 200.0)
MAX_MARKED_POINTS = 2
"""A track with at most so many points is drawn as marks, because a line would suggest more."""

_EDGE = 8.0  # pixels for what is beyond the ends
_LINEAR_TO = {Scale.RATIO: 0.02, Scale.DIFFERENCE: 0.5}  # where the logarithmic part begins
_REACH = {Scale.RATIO: math.log(5), Scale.DIFFERENCE: 20.0}
_TICKS = {
    Scale.RATIO: (-0.5, -0.2, -0.05, 0.0, 0.05, 0.2, 1.0),
    Scale.DIFFERENCE: (-10.0, -3.0, -1.0, 0.0, 1.0, 3.0, 10.0),
}
_TAIL = 0.9  # a quantile from here on is shown with only the upper part of the distribution
_TAIL_FROM = 0.8


def interval_plot(finding: Finding, *, among_ratios: bool = False) -> str:
    """Return the plot of one finding: interval, estimate, margin and detectable change.

    Below the axis of ratios, an amount says that it is in margins.
    """
    metric, change = finding.comparison.metric, finding.comparison.change
    middle = HEIGHT / 2
    margin = _axis_units(metric, scale.margin(metric))
    left, right = _pixel(metric.scale, -margin), _pixel(metric.scale, margin)
    text = f"{interval(metric, change)}, margin {margin_text(metric)}: {finding.verdict.value}"
    parts = [
        *_grid(metric.scale),
        svg.tag("rect", x=left, y=3.0, width=right - left, height=HEIGHT - 6, class_="margin"),
    ]
    detectable = finding.comparison.detectable_change
    if detectable is not None:
        x = _pixel(metric.scale, _axis_units(metric, scale.worse(metric, detectable)))
        tooltip = svg.tooltip(f"detectable change {amount(metric, detectable)}")
        parts.append(svg.tag("path", tooltip, d=f"M{svg.number(x)} 6v14", class_="sees"))
    if change is None:
        parts.append(svg.label(WIDTH / 2, middle + 4, "no interval", "none", "middle"))
        return svg.drawing(WIDTH, HEIGHT, f"no interval: {finding.verdict.value}", *parts)
    if among_ratios and metric.scale is Scale.DIFFERENCE:
        is_left = scale.worse(metric, change.estimate) >= 0
        at, anchor = (0, "start") if is_left else (WIDTH, "end")
        parts.append(svg.label(at, middle + 4, "in margins", "tick", anchor))
    low, estimate, high = (
        _pixel(metric.scale, _axis_units(metric, worse))
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
    shape = svg.tag("path", d=_verdict_shape(finding.verdict, estimate, middle), class_="estimate")
    class_ = f"is-{finding.verdict.value}"
    group = svg.tag("g", svg.tooltip(text), line, *ends, shape, class_=class_)
    return svg.drawing(WIDTH, HEIGHT, text, *parts, group)


def interval_axis(of: Scale) -> str:
    """Return the labels of the axis that all interval plots of a scale share."""
    factor, unit = (100, " %") if of is Scale.RATIO else (1, "")
    labels = []
    for tick in _TICKS[of]:
        text = f"{factor * tick:+g}{unit if tick == _TICKS[of][-1] else ''}" if tick else "0"
        labels.append(svg.label(_tick_pixel(of, tick), 24, text, "tick", "middle"))
    ends = [svg.label(0, 10, "← better", "end"), svg.label(WIDTH, 10, "worse →", "end", "end")]
    if of is Scale.DIFFERENCE:
        ends.append(svg.label(WIDTH / 2, 10, "in margins", "end", "middle"))
    text = "axis: change in percent" if of is Scale.RATIO else "axis: change in margins"
    return svg.drawing(WIDTH, 30, f"{text}, better to the left, worse to the right", *ends, *labels)


def pair_by_pair(
    metric: Metric, values: Mapping[Arm, Sequence[float | None]], invalid: Sequence[int]
) -> str:
    """Return both arms of every pair; a line connects the two values of a pair."""
    known = [v for arm in Arm for v in values[arm] if v is not None]
    if not known:
        return ""
    pairs = max(len(values[arm]) for arm in Arm)
    x = FRAME.x_axis(-0.5, pairs - 0.5)
    y = FRAME.padded_y_axis(known)
    shift = min(6.0, (FRAME.width - FRAME.left - FRAME.right) / pairs / 4)
    parts = FRAME.y_ticks(y, metric.unit)
    parts += [FRAME.x_label(x.at(n), f"{n}") for n in range(0, pairs, 1 + pairs // 24)]
    for pair in range(pairs):
        before, after = (values[arm][pair] if pair < len(values[arm]) else None for arm in Arm)
        at = x.at(pair)
        if pair in invalid:
            parts.append(svg.label(at, FRAME.height - FRAME.bottom - 5, "✕", "invalid", "middle"))
            continue
        marks = []
        if before is not None and after is not None:
            ends = ((at - shift, y.at(before)), (at + shift, y.at(after)))
            marks.append(svg.tag("path", d=svg.path(ends), class_="tie"))
        if before is not None:
            marks.append(_mark(Arm.BASELINE, at - shift, y.at(before)))
        if after is not None:
            marks.append(_mark(Arm.CANDIDATE, at + shift, y.at(after)))
        text = f"pair {pair}: {quantity(before, metric.unit)}, {quantity(after, metric.unit)}"
        parts.append(svg.tag("g", svg.tooltip(text), *marks))
    return svg.drawing(FRAME.width, FRAME.height, f"{pairs} pairs, both arms of each", *parts)


def cumulative(arms: Mapping[Arm, Distribution], q: float | None) -> str:
    """Return the cumulative distribution of request times, on a logarithmic axis.

    `q` is the quantile to mark, which the metric reads; None marks nothing.
    """
    from_share = _TAIL_FROM if q is not None and q >= _TAIL else 0.0
    curves = {
        arm: [
            (value, share)
            for value, share in zip(one.values, one.shares, strict=True)
            if share >= from_share and value > 0
        ]
        for arm, one in arms.items()
    }
    times = [value for points in curves.values() for value, _ in points]
    if not times:
        return ""
    x = FRAME.x_axis(min(times) / 1.05, max(times) * 1.05, is_log=True)
    y = FRAME.y_axis(from_share, 1.0)
    parts = [FRAME.baseline()]
    for share in svg.ticks(from_share, 1.0, 5):
        parts += FRAME.y_tick(y.at(share), f"{100 * share:.0f} %")
    parts += FRAME.x_ticks(
        [(x.at(t), quantity(t, "s").replace(".00", "")) for t in svg.log_ticks(x.low, x.high, 6)]
    )
    if q is not None:
        line = f"M{FRAME.left:g} {svg.number(y.at(q))}H{FRAME.width - FRAME.right:g}"
        parts.append(svg.tag("path", svg.tooltip(f"p{100 * q:g}"), d=line, class_="marked"))
    for arm, points in curves.items():
        line = svg.step_path([(x.at(value), y.at(share)) for value, share in points])
        tooltip = svg.tooltip(f"{arm}: {arms[arm].count} requests")
        parts.append(svg.tag("path", tooltip, d=line, class_=f"line {arm}"))
    label = f"share of requests that took at most so long, {' and '.join(curves)}"
    return svg.drawing(FRAME.width, FRAME.height, label, *parts)


def over_time(tracked: TrackPair) -> str:
    """Return the median of the pairs over time, in a band from the smallest to the largest."""
    tracks = tracked.tracks
    spread = [v for t in tracks.values() for v in chain(t.low, t.high)]
    times = [v for t in tracks.values() for v in t.times_s]
    if not times:
        return ""
    few = max(len(track.times_s) for track in tracks.values()) <= MAX_MARKED_POINTS
    end, padding = max(*times, 1e-9), 0.06 if few else 0.0
    x = FRAME.x_axis(-padding * end, (1 + padding) * end)
    y = FRAME.padded_y_axis([0.0, *spread] if tracked.unit == "cores" else spread)
    parts = FRAME.y_ticks(y, tracked.unit)
    parts += FRAME.x_ticks([(x.at(t), f"{t:g} s") for t in svg.ticks(0.0, end, 6)])
    for arm, track in tracks.items():
        shift = 0 if not few else -5 if arm is Arm.BASELINE else 5
        at = [x.at(time_s) + shift for time_s in track.times_s]
        low, middle, high = (
            [(px, y.at(v)) for px, v in zip(at, values, strict=True)]
            for values in (track.low, track.middle, track.high)
        )
        tooltip = svg.tooltip(f"{arm}: median of the pairs")
        if few:
            reach = (svg.path(ends) for ends in zip(low, high, strict=True))
            ties = [svg.tag("path", d=d, class_="tie") for d in (svg.path(middle), *reach)]
            parts.append(svg.tag("g", tooltip, *ties, *(_mark(arm, *place) for place in middle)))
        else:
            band = f"{svg.path([*high, *low[::-1]])}z"
            parts.insert(0, svg.tag("path", d=band, class_=f"band {arm}"))
            parts.append(svg.tag("path", tooltip, d=svg.path(middle), class_=f"line {arm}"))
    label = f"{tracked.name} over time, {' and '.join(tracks)}"
    return svg.drawing(FRAME.width, FRAME.height, label, *parts)


def _tick_pixel(of: Scale, tick: float) -> float:
    return _pixel(of, math.log1p(tick) if of is Scale.RATIO else tick)


def _grid(of: Scale) -> list[str]:
    return [
        svg.tag(
            "path",
            d=f"M{svg.number(_tick_pixel(of, tick))} -4V{HEIGHT + 4:g}",
            class_="grid" if tick else "zero",
        )
        for tick in _TICKS[of]
    ]


def _axis_units(metric: Metric, worse: float) -> float:
    """Return a worsening in units of the axis: logarithms of ratios, or margins."""
    return worse if metric.scale is Scale.RATIO else worse / scale.margin(metric)


def _pixel(of: Scale, worse: float) -> float:
    """Return the pixel of a worsening; one beyond the axis is drawn at its end."""
    bend = _LINEAR_TO[of]
    share = math.asinh(worse / bend) / math.asinh(_REACH[of] / bend)
    return WIDTH / 2 + max(-1.0, min(1.0, share)) * (WIDTH / 2 - _EDGE / 2)


def _verdict_shape(verdict: Verdict, x: float, y: float) -> str:
    """Return the shape of a verdict, which identifies it without its color."""
    match verdict:
        case Verdict.REGRESSED:
            return svg.triangle(x, y, 6, left=False)
        case Verdict.IMPROVED:
            return svg.triangle(x, y, 6, left=True)
        case Verdict.INCONCLUSIVE:
            return svg.diamond(x, y, 6)
        case Verdict.UNCHANGED:
            return f"M{svg.number(x - 4)} {svg.number(y)}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z"


def _mark(arm: Arm, x: float, y: float) -> str:
    if arm is Arm.BASELINE:
        return svg.tag("circle", cx=x, cy=y, r=4.0, class_="dot baseline")
    return svg.tag("path", d=svg.diamond(x, y, 5), class_="dot candidate")
