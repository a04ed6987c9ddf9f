"""Draw the curve of a capacity as an SVG file: N against each limited quantity."""

from pipeline.model.capacity import Capacity, CountedResource, StepOutcome
from pipeline.model.limit import Limit
from pipeline.render import svg
from pipeline.render.capacity import headline
from pipeline.render.frame import Frame

_FRAME = Frame(800.0, 190.0, left=76.0, right=16.0, top=26.0)
_TITLE = 34.0  # pixels above the first panel
_AXIS = 22.0  # pixels below the last panel
_PADDING = 1.08  # ratio between an end of the N axis and the nearest point
_STYLE = """
svg { background: #fff; font: 11px system-ui, sans-serif }
text { fill: #59636e } .title { fill: #1b1f24; font-size: 13px; font-weight: 600 }
.panel { fill: #1b1f24; font-size: 12px } path { fill: none }
.grid { stroke: #e4e8ec } .zero { stroke: #a3adb8 } .line { stroke: #a3adb8; stroke-width: 1.5 }
.limit { stroke: #b23c00; stroke-dasharray: 5 4; stroke-width: 1.5 }
.edge { fill: #f0b23c; fill-opacity: .22 }
.held { fill: #00694c } .broke { stroke: #b23c00; stroke-width: 2.5 }
"""


def curve_svg(capacity: Capacity) -> str:
    """Return the picture of at least one step; the same search gives the same bytes."""
    limits = capacity.question.limits
    height = _TITLE + _FRAME.height * len(limits) + _AXIS
    title = headline(capacity).replace("`", "")
    unit = (
        "Projects"
        if capacity.question.things is CountedResource.PROJECTS
        else "objects in each Project"
    )
    middle = (_FRAME.left + _FRAME.width - _FRAME.right) / 2
    panels = (
        svg.tag(
            "g",
            *_panel(capacity, limit),
            transform=f"translate(0 {svg.number(_TITLE + _FRAME.height * at)})",
        )
        for at, limit in enumerate(limits)
    )
    drawing = svg.drawing(
        _FRAME.width,
        height,
        title,
        svg.tag("style", _STYLE),
        svg.label(_FRAME.width / 2, 22, title, "title", "middle"),
        *panels,
        svg.label(middle, height - 10, f"N: {unit}", "panel", "middle"),
        xmlns="http://www.w3.org/2000/svg",
    )
    return f"{drawing}\n"


def _panel(capacity: Capacity, limit: Limit) -> list[str]:
    """Return one panel: the limit, the edge between held and broke, and a point for each step."""
    points = sorted(
        (step.n, step.values[limit.quantity], step.outcome)
        for step in capacity.steps
        if limit.quantity in step.values and step.outcome is not StepOutcome.INVALID
    )
    numbers = sorted(step.n for step in capacity.steps)
    x = _FRAME.across(numbers[0] / _PADDING, numbers[-1] * _PADDING, is_log=True)
    y = _FRAME.up(0.0, 1.1 * max([limit.below, *(value for _, value, _ in points)]))
    bottom = _FRAME.height - _FRAME.bottom
    parts = []
    answer = capacity.answer
    if answer.held and answer.broke:
        left, right = x.at(answer.held), x.at(answer.broke)
        parts.append(
            svg.tag(
                "rect",
                svg.hover(f"between {answer.held:,} and {answer.broke:,}"),
                x=left,
                y=_FRAME.top,
                width=right - left,
                height=bottom - _FRAME.top,
                class_="edge",
            )
        )
    parts += _FRAME.values(y, limit.unit)
    parts += _FRAME.along([(x.at(n), f"{n:,}") for n in sorted(set(numbers))])
    parts.append(svg.label(_FRAME.left, _FRAME.top - 8, limit.text, "panel"))
    line = [(_FRAME.left, y.at(limit.below)), (_FRAME.width - _FRAME.right, y.at(limit.below))]
    parts.append(svg.tag("path", d=svg.path(line), class_="limit"))
    if points:
        places = [(x.at(n), y.at(value)) for n, value, _ in points]
        parts.append(svg.tag("path", d=svg.path(places), class_="line"))
    for n, value, outcome in points:
        parts.append(_mark(x.at(n), y.at(value), outcome))
    return parts


def _mark(x: float, y: float, outcome: StepOutcome) -> str:
    """Return a dot for a step that held and a cross for one that broke."""
    if outcome is StepOutcome.HELD:
        return svg.tag("circle", cx=x, cy=y, r=4.0, class_="held")
    return svg.tag("path", d=svg.cross(x, y, 4), class_="broke")
