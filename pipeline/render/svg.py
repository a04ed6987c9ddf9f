"""Make vector drawings as text: elements, axes, ticks and frames; every text is escaped here.

Colors belong to the style sheet: an element has a class and no color of its own.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from pipeline.render.numbers import unit_for
from pipeline.system.sanitize import printable

_LETTER = 7.0  # width of a letter of a tick label, in pixels
_LABEL_HEIGHT = 10.0  # pixels from a tick label to the lower edge


@dataclass(frozen=True, slots=True)
class Axis:
    """A mapping from values to pixels.

    Attributes:
        low: Value at `start`; above 0 on a logarithmic axis.
        high: Value at `end`, above `low`.
        start: Pixel of `low`.
        end: Pixel of `high`; below `start` if the axis points up.
        is_log: Whether the axis is logarithmic.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def at(self, value: float) -> float:
        """Return the pixel of a value; a value beyond an end is drawn at that end."""
        ends = (self.low, self.high, value)
        low, high, value = (math.log(max(v, 1e-300)) for v in ends) if self.is_log else ends
        share = (value - low) / (high - low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Frame:
    """The size and the margins of a plot, in pixels."""

    width: float
    height: float
    left: float = 58.0
    right: float = 10.0
    top: float = 12.0
    bottom: float = 26.0

    def x_axis(self, low: float, high: float, *, is_log: bool = False) -> Axis:
        """Return an axis from the left margin to the right margin."""
        return Axis(low, high, self.left, self.width - self.right, is_log=is_log)

    def y_axis(self, low: float, high: float) -> Axis:
        """Return an axis from the lower margin to the upper margin."""
        return Axis(low, high, self.height - self.bottom, self.top)

    def padded_y_axis(self, values: Sequence[float]) -> Axis:
        """Return a y axis with padding around one or more values."""
        low, high = min(values), max(values)
        padding = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
        below = low - padding
        return self.y_axis(0.0 if low >= 0 > below else below, high + padding)

    def baseline(self) -> str:
        """Return the line below the plot."""
        line = f"M{self.left:g} {self.height - self.bottom:g}H{self.width - self.right:g}"
        return tag("path", d=line, class_="zero")

    def y_tick(self, y: float, text: str) -> list[str]:
        """Return a horizontal grid line and its label."""
        line = f"M{self.left:g} {number(y)}H{self.width - self.right:g}"
        return [
            tag("path", d=line, class_="grid"),
            label(self.left - 5, y + 3.5, text, "tick", "end"),
        ]

    def x_label(self, x: float, text: str) -> str:
        """Return a label below the plot."""
        return label(x, self.height - _LABEL_HEIGHT, text, "tick", "middle")

    def y_ticks(self, y: Axis, unit: str) -> list[str]:
        """Return the line below the plot and the ticks of an axis; the highest has the unit."""
        factor, name = unit_for(max(abs(y.low), abs(y.high)), unit)
        values = ticks(y.low / factor, y.high / factor, 5)
        parts = [self.baseline()]
        for value in values:
            text = f"{value:.6g} {name if value == values[-1] else ''}".rstrip()
            parts += self.y_tick(y.at(value * factor), text)
        return parts

    def x_ticks(self, places: Sequence[tuple[float, str]]) -> list[str]:
        """Return vertical grid lines and their labels; a label that would overlap is omitted."""
        parts, free = [], 0.0
        for x, text in places:
            line = f"M{number(x)} {self.top:g}V{self.height - self.bottom:g}"
            parts.append(tag("path", d=line, class_="grid"))
            half = _LETTER * len(text) / 2
            if x - half >= free and x + half <= self.width:
                parts.append(self.x_label(x, text))
                free = x + half + _LETTER
        return parts


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return round numbers within a range: multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * by for by in (1, 2, 5, 10) if power * by >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Return ticks at 1, 2 and 5 times the powers of ten, or at fewer if too many fit.

    A narrow range with fewer than three of them gets linear ticks.
    """
    values: list[float] = []
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for by in ((1, 2, 5), (1, 3), (1,)):
        values = [b * 10.0**p for p in powers for b in by if low <= b * 10.0**p <= high]
        if 3 <= len(values) <= most:
            return values
        if len(values) < 3:
            return ticks(low, high, most)
    return values[:: math.ceil(len(values) / most)]


def number(value: float) -> str:
    """Return a coordinate, to a tenth of a pixel."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def tag(name: str, *children: str, **attributes: float | str) -> str:
    """Return an element with markup inside.

    Numbers among the attributes are coordinates, and texts are escaped.  Underscores in a name
    become hyphens; a trailing underscore is dropped (`class_` is `class`).
    """
    markup = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{markup}>{''.join(children)}</{name}>" if children else f"<{name}{markup}/>"


def drawing(width: float, height: float, aria_label: str, *children: str, **attributes: str) -> str:
    """Return an `svg` element, with a text for screen readers."""
    view = f"0 0 {number(width)} {number(height)}"
    size: dict[str, float | str] = {"viewBox": view, "width": width, "height": height}
    return tag("svg", *children, **attributes, **size, role="img", aria_label=aria_label)


def label(x: float, y: float, text: str, class_: str, anchor: str = "start") -> str:
    """Return a line of text; `anchor` is `start`, `middle` or `end`."""
    return tag("text", escape(printable(text)), x=x, y=y, class_=class_, text_anchor=anchor)


def tooltip(text: str) -> str:
    """Return a child element that is the tooltip of its parent."""
    return tag("title", escape(printable(text)))


def path(points: Iterable[tuple[float, float]]) -> str:
    """Return the `d` of a line through points."""
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)


def step_path(points: Sequence[tuple[float, float]]) -> str:
    """Return the `d` of a step line, which keeps its height until the next point."""
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
