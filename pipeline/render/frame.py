"""The frame of a picture: its size, its margins, and the axes around what is drawn in it."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.render import svg
from pipeline.render.numbers import scaled

_LETTER = 7.0  # pixels, of a tick's text
_BELOW = 10.0  # pixels, from the ticks' text to the lower end


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture's size and its margins, in pixels."""

    width: float
    height: float
    left: float = 58.0
    right: float = 10.0
    top: float = 12.0
    bottom: float = 26.0

    def across(self, low: float, high: float, *, is_log: bool = False) -> svg.Axis:
        """Return an axis from the left margin to the right one."""
        return svg.Axis(low, high, self.left, self.width - self.right, is_log=is_log)

    def up(self, low: float, high: float) -> svg.Axis:
        """Return an axis from the lower margin to the upper one."""
        return svg.Axis(low, high, self.height - self.bottom, self.top)

    def upright(self, values: Sequence[float]) -> svg.Axis:
        """Return an axis that points up, with air, and with some height where all values agree.

        Args:
            values: Shape (n,), n >= 1, any unit.
        """
        low, high = min(values), max(values)
        air = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
        below = low - air
        return self.up(0.0 if low >= 0 > below else below, high + air)

    def floor(self) -> str:
        """Return the line below what is drawn."""
        line = f"M{self.left:g} {self.height - self.bottom:g}H{self.width - self.right:g}"
        return svg.tag("path", d=line, class_="zero")

    def level(self, y: float, said: str) -> list[str]:
        """Return a line across, and what stands to the left of it."""
        line = f"M{self.left:g} {svg.number(y)}H{self.width - self.right:g}"
        text = svg.label(self.left - 5, y + 3.5, said, "tick", "end")
        return [svg.tag("path", d=line, class_="grid"), text]

    def below(self, x: float, said: str) -> str:
        """Return what stands below a place."""
        return svg.label(x, self.height - _BELOW, said, "tick", "middle")

    def values(self, y: svg.Axis, unit: str) -> list[str]:
        """Return the floor and the levels of an axis, the highest with the unit."""
        factor, name = scaled(max(abs(y.low), abs(y.high)), unit)
        found = svg.ticks(y.low / factor, y.high / factor, 5)
        parts = [self.floor()]
        for tick in found:
            said = f"{tick:.6g} {name if tick == found[-1] else ''}".rstrip()
            parts += self.level(y.at(tick * factor), said)
        return parts

    def along(self, ticks: Sequence[tuple[float, str]]) -> list[str]:
        """Return upright lines and what is below them, but for what would touch its neighbour."""
        parts, free = [], 0.0
        for x, said in ticks:
            line = f"M{svg.number(x)} {self.top:g}V{self.height - self.bottom:g}"
            parts.append(svg.tag("path", d=line, class_="grid"))
            half = _LETTER * len(said) / 2
            if x - half >= free and x + half <= self.width:
                parts.append(self.below(x, said))
                free = x + half + _LETTER
        return parts
