"""Vector drawings as text: elements, axes and ticks; everything that is drawn is escaped here.

Looks belong to the style sheet: an element has a class, and no colour of its own.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from pipeline.system.sanitize import printable


@dataclass(frozen=True, slots=True)
class Axis:
    """Where a value lies between two ends of a drawing.

    Attributes:
        low: Value at `start`; above 0 where the axis is logarithmic.
        high: Value at `end`, above `low`.
        start: In pixels.
        end: In pixels; below `start` where the axis points up.
        is_log: Whether equal distances are equal ratios.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def at(self, value: float) -> float:
        """Return the pixel of a value; one beyond an end is drawn at the end."""
        ends = (self.low, self.high, value)
        low, high, value = (math.log(max(v, 1e-300)) for v in ends) if self.is_log else ends
        share = (value - low) / (high - low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return round numbers within a range: multiples of 1, 2 or 5 times a power of ten.

    Args:
        low: Below `high`.
        high: Finite.
        most: How many at most, at least 2.
    """
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * by for by in (1, 2, 5, 10) if power * by >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten within a range, or only some where many fit.

    A range so narrow that hardly one is in it gets the ticks of an axis that is not logarithmic.
    """
    found: list[float] = []
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for by in ((1, 2, 5), (1, 3), (1,)):
        found = [b * 10.0**p for p in powers for b in by if low <= b * 10.0**p <= high]
        if 3 <= len(found) <= most:
            return found
        if len(found) < 3:
            return ticks(low, high, most)
    return found[:: math.ceil(len(found) / most)]


def number(value: float) -> str:
    """Return a coordinate, to a tenth of a pixel."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def tag(name: str, *children: str, **attributes: float | str) -> str:
    """Return an element; an underscore in the name of an attribute is a hyphen, a last one is none.

    Args:
        name: Of the element.
        *children: Markup.
        **attributes: Numbers are coordinates, texts are escaped.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{written}>{''.join(children)}</{name}>" if children else f"<{name}{written}/>"


def drawing(width: float, height: float, label: str, *children: str, **attributes: str) -> str:
    """Return an `svg` element.

    Args:
        width: Width in pixels.
        height: Height in pixels.
        label: Text for screen readers.
        *children: Markup.
        **attributes: Further attributes, such as `xmlns` in a file of its own.
    """
    view = f"0 0 {number(width)} {number(height)}"
    size: dict[str, float | str] = {"viewBox": view, "width": width, "height": height}
    return tag("svg", *children, **attributes, **size, role="img", aria_label=label)


def label(x: float, y: float, said: str, class_: str, anchor: str = "start") -> str:
    """Return a line of text; `anchor` is `start`, `middle` or `end`."""
    return tag("text", escape(printable(said)), x=x, y=y, class_=class_, text_anchor=anchor)


def hover(said: str) -> str:
    """Return what is shown when the pointer rests on the element that this is a child of."""
    return tag("title", escape(printable(said)))


def path(points: Iterable[tuple[float, float]]) -> str:
    """Return the `d` of a line through points."""
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)


def steps(points: Sequence[tuple[float, float]]) -> str:
    """Return the `d` of a line that keeps its height until the next point."""
    rest = (f"H{number(x)}V{number(y)}" for x, y in points[1:])
    return f"M{number(points[0][0])} {number(points[0][1])}{''.join(rest)}"


def diamond(x: float, y: float, radius: float) -> str:
    """Return the `d` of a square that stands on a corner."""
    r = number(radius)
    return f"M{number(x - radius)} {number(y)}l{r} -{r} {r} {r} -{r} {r}z"


def triangle(x: float, y: float, radius: float, *, left: bool) -> str:
    """Return the `d` of a triangle that points to the left or to the right."""
    tip = -radius if left else radius
    return (
        f"M{number(x + tip)} {number(y)}"
        f"L{number(x - tip)} {number(y - radius)}V{number(y + radius)}z"
    )


def cross(x: float, y: float, radius: float) -> str:
    """Return the `d` of a diagonal cross."""
    size = number(2 * radius)
    return f"M{number(x - radius)} {number(y - radius)}l{size} {size}m0 -{size}l-{size} {size}"


def _attribute(value: float | str) -> str:
    return escape(printable(value)) if isinstance(value, str) else number(value)
