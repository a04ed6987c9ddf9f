"""Draw flame graphs as SVG: no script, and every name is text that the browser's search finds.

The width of a frame is the candidate's value.  Its colour is the change: warm for more, cold for
less, grey within chance.  A name that is longer than its frame is clipped, not cut.
"""

from pipeline.model.explanation import FlameFrame, FlameGraph
from pipeline.render.explanation import component_name, quantity_of, source_name
from pipeline.render.numbers import percent, share
from pipeline.render.svg import drawing, label, tag, tooltip
from pipeline.system.sanitize import truncate

WIDTH = 1200.0
"""Width of a drawing, in pixels; the page scales it."""

_HEIGHT = 17.0
_GAP = 0.5  # pixels between two frames
_BASELINE = 12.5  # pixels from the upper edge of a frame to the line of its text
_MIN_TEXT = 24.0  # pixels; a narrower frame shows its name only when pointed at
_MAX_NAME = 120
_STEPS = (0.05, 0.2, 0.5)
"""Changes, in shares of the larger value, from which a darker colour is used."""


def flame_svg(graph: FlameGraph, per: str) -> str:
    """Return the drawing of a flame graph; its values are per operation, such as `create`."""
    deepest = max((one.depth for one in graph.frames), default=0)
    height = _HEIGHT * (deepest + 1)
    frames = (_frame(one, graph.unit, per) for one in graph.frames)
    return drawing(WIDTH, height, "flame graph", *frames, class_="flame")


def flame_title(graph: FlameGraph, per: str) -> str:
    """Return the title of a flame graph in words."""
    left_out = f"; {share(graph.left_out)} is not drawn" if graph.left_out >= _STEPS[0] else ""
    return (
        f"{source_name(graph.kind)} of the {component_name(graph.component)}, per {per}{left_out}"
    )


def colour_class(frame: FlameFrame) -> str:
    """Return the class of a frame: `same`, `up-1` to `up-3`, or `down-1` to `down-3`."""
    strength = sum(abs(frame.change) >= step for step in _STEPS)
    if not frame.has_moved or not strength:
        return "same"
    return f"{'up' if frame.change > 0 else 'down'}-{strength}"


def _frame(frame: FlameFrame, unit: str, per: str) -> str:
    width = max(frame.width * WIDTH - _GAP, 0.5)
    name = truncate(frame.name, _MAX_NAME)
    values = " → ".join(quantity_of(value, unit) for value in (frame.baseline, frame.candidate))
    change = f" ({percent(frame.candidate / frame.baseline - 1)})" if frame.baseline > 0 else ""
    inside = [
        tooltip(f"{name}: {values} per {per}{change}"),
        tag("rect", width=width, height=_HEIGHT - _GAP),
    ]
    if width >= _MIN_TEXT:
        inside.append(label(3, _BASELINE, name, "frame"))
    return tag(
        "svg",
        *inside,
        x=frame.start * WIDTH,
        y=frame.depth * _HEIGHT,
        width=width,
        height=_HEIGHT - _GAP,
        class_=colour_class(frame),
    )
