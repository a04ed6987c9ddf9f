"""Draw what one launch did over time, as an SVG file: a panel for each quantity."""

import math
from collections.abc import Sequence

from pipeline.model.traces import Timeline, TimelineCurve, TimelinePanel
from pipeline.render import svg
from pipeline.render.numbers import unit_for

_FRAME = svg.Frame(900.0, 150.0, left=76.0, right=76.0, top=26.0)
_TITLE_HEIGHT = 52.0
_AXIS_HEIGHT = 12.0
_LABEL_GAP = 12.0  # pixels between two labels of curves
_LOG_FROM = 20.0  # ratio of the largest to the smallest value from which an axis is logarithmic
_LEAST_SHARE = 0.05  # of the width that the name of a workload needs
_CLASSES = {"server": "c0", "manager": "c1", "etcd": "c2", "p50": "c0", "p95": "c1"}
_STYLE = """
svg { background: var(--paper); font: 11px system-ui, sans-serif; --paper: #fff; --ink: #1b1f24;
  --faint: #59636e; --rule: #a3adb8; --grid: #e4e8ec; --band: #f1f4f7;
  --c0: #0072b2; --c1: #b23c00; --c2: #00694c }
@media (prefers-color-scheme: dark) {
  svg { --paper: #14181d; --ink: #e8ecf0; --faint: #a3adb8; --rule: #59636e; --grid: #2a323a;
    --band: #1d232a; --c0: #56b4e9; --c1: #ff8a4c; --c2: #2fc596 }
}
text { fill: var(--faint) } .title { fill: var(--ink); font-size: 13px; font-weight: 600 }
.panel { fill: var(--ink); font-size: 12px } path { fill: none } .band { fill: var(--band) }
.grid { stroke: var(--grid) } .zero { stroke: var(--rule) } .curve { stroke-width: 1.6 }
path.c0 { stroke: var(--c0) } path.c1 { stroke: var(--c1); stroke-dasharray: 6 3 }
path.c2 { stroke: var(--c2); stroke-dasharray: 2 2 }
text.c0 { fill: var(--c0) } text.c1 { fill: var(--c1) } text.c2 { fill: var(--c2) }
"""


def timeline_svg(timeline: Timeline) -> str:
    """Return the drawing; the same timeline gives the same bytes."""
    end_s = max(1e-9, *(end for _, _, end in timeline.workloads))
    x = _FRAME.x_axis(0.0, end_s)
    height = _TITLE_HEIGHT + _FRAME.height * len(timeline.panels) + _AXIS_HEIGHT
    parts = [svg.tag("style", _STYLE)]
    parts += _workloads(timeline, x, height)
    parts.append(svg.label(_FRAME.left, 20, timeline.title, "title"))
    for at, panel in enumerate(timeline.panels):
        place = f"translate(0 {svg.number(_TITLE_HEIGHT + _FRAME.height * at)})"
        parts.append(svg.tag("g", *_panel(panel, x, end_s), transform=place))
    titles = ", ".join(panel.title for panel in timeline.panels)
    drawing = svg.drawing(
        _FRAME.width,
        height,
        f"{timeline.title}: {titles} over time",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
    )
    return f"{drawing}\n"


def _workloads(timeline: Timeline, x: svg.Axis, height: float) -> list[str]:
    """Return a shaded band behind all panels for each workload, with its name where it fits."""
    parts = []
    for name, start_s, end_s in timeline.workloads:
        left, right = x.at(start_s), x.at(end_s)
        bottom = height - _AXIS_HEIGHT - _FRAME.bottom
        size = {"y": _TITLE_HEIGHT - 6.0, "height": bottom - _TITLE_HEIGHT + 6.0}
        band = svg.tag("rect", svg.tooltip(name), x=left, width=right - left, class_="band", **size)
        parts.append(band)
        if right - left > _LEAST_SHARE * _FRAME.width:
            parts.append(svg.label((left + right) / 2, 40, name, "name", "middle"))
    return parts


def _panel(panel: TimelinePanel, x: svg.Axis, end_s: float) -> list[str]:
    values = [v for curve in panel.curves for segment in curve.segments for _, v in segment]
    positive = [v for v in values if v > 0]
    is_log = panel.unit == "s" and bool(positive) and max(positive) > _LOG_FROM * min(positive)
    if is_log:
        start, end = _FRAME.height - _FRAME.bottom, _FRAME.top
        y = svg.Axis(min(positive) / 1.2, max(positive) * 1.2, start, end, is_log=True)
        parts = [_FRAME.baseline()]
        for tick in svg.log_ticks(y.low, y.high, 5):
            factor, unit = unit_for(tick, "s")
            parts += _FRAME.y_tick(y.at(tick), f"{tick / factor:g} {unit}")
    else:
        y = _FRAME.y_axis(0.0, 1.08 * max([*values, 1e-9]))
        parts = _FRAME.y_ticks(y, "" if panel.unit == "1" else panel.unit)
    parts += _FRAME.x_ticks([(x.at(t), f"{t:g} s") for t in svg.ticks(0.0, end_s, 8)])
    parts.append(svg.label(_FRAME.left, _FRAME.top - 8, panel.title, "panel"))
    parts += [_curve(curve, x, y) for curve in panel.curves]
    return [*parts, *_labels(panel.curves, y)]


def _curve(curve: TimelineCurve, x: svg.Axis, y: svg.Axis) -> str:
    lines = [
        svg.tag(
            "path",
            d=svg.path([(x.at(time_s), y.at(value)) for time_s, value in segment]),
            class_=f"curve {_CLASSES[curve.name]}",
        )
        for segment in curve.segments
    ]
    return svg.tag("g", svg.tooltip(curve.name), *lines)


def _labels(curves: Sequence[TimelineCurve], y: svg.Axis) -> list[str]:
    """Return the name of each curve at its end; names that would overlap are moved apart."""
    ends = sorted((y.at(curve.segments[-1][-1][1]), curve.name) for curve in curves)
    lowest = -math.inf
    parts = []
    for at, name in ends:
        lowest = max(at, lowest + _LABEL_GAP)
        left = _FRAME.width - _FRAME.right + 6
        parts.append(svg.label(left, lowest + 3.5, name, _CLASSES[name]))
    return parts
