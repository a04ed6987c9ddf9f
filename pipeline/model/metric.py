"""Metrics: their units, scales, margins, and the direction that is better."""

import math
from dataclasses import dataclass
from enum import StrEnum

MAX_VALUE = 1e150
"""Largest size of a value: squares, sums and other units of it are finite."""


class Better(StrEnum):
    """The direction in which a metric improves."""

    LOWER = "lower"
    HIGHER = "higher"


class Scale(StrEnum):
    """The way in which two values of a metric are compared."""

    RATIO = "ratio"
    """Relative: `candidate / baseline - 1`; both must be above zero."""

    DIFFERENCE = "difference"
    """Absolute: `candidate - baseline`, in the unit; for what may be 0, or below it as a slope."""


class InvalidMetricError(ValueError):
    """A metric that cannot be judged.

    Attributes:
        field: Name of the attribute of `Metric` that is wrong.
    """

    def __init__(self, metric: str, field: str, problem: str) -> None:
        super().__init__(f"{metric}: {problem}")
        self.field = field


@dataclass(frozen=True, slots=True)
class Metric:
    """One number that a workload yields once per trial.

    Attributes:
        name: Name, unique in its workload, such as `create_p99`.
        unit: Base unit of every stored value: `s`, `B`, `1/s`, `1` for a count or a share, or
            `x` for a ratio of two readings of one build.
        better: Direction of an improvement.
        margin: Smallest change that is worth a red verdict: a ratio (0.05 is 5 %) or, on the
            difference scale, an amount in `unit`.
        gate: True if a regression of this metric turns the run red.
        scale: Way in which the arms are compared.
        floor: Time or amount in `unit` that no build can save, such as a sleep; it is subtracted
            from both arms before the ratio.
        tolerance: Worsening that a pass must exclude, on the scale of `margin` and at least as
            large; None for the margin itself.
        description: Description in a few words; empty if the name says it.
    """

    name: str
    unit: str
    better: Better
    margin: float
    gate: bool = False
    scale: Scale = Scale.RATIO
    floor: float = 0.0
    tolerance: float | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.margin) and self.margin > 0):
            raise InvalidMetricError(self.name, "margin", "margin must be finite and above zero")
        if not (math.isfinite(self.floor) and self.floor >= 0):
            raise InvalidMetricError(self.name, "floor", "floor must be finite and not below zero")
        if self.floor and self.scale is Scale.DIFFERENCE:
            problem = "a floor has no meaning on the difference scale"
            raise InvalidMetricError(self.name, "floor", problem)
        if not (math.isfinite(self.tolerated) and self.tolerated >= self.margin):
            problem = "tolerance must be finite and not below the margin"
            raise InvalidMetricError(self.name, "tolerance", problem)

    @property
    def tolerated(self) -> float:
        """The worsening that a pass must exclude: the tolerance, or else the margin."""
        return self.margin if self.tolerance is None else self.tolerance

    def in_unit(self, number: str) -> str:
        """Return a formatted value with its unit; the unit 1 is not written."""
        return number if self.unit == "1" else f"{number} {self.unit}"

    def allows(self, value: float) -> bool:
        """Return True if a value is not too large, and for ratios not below 0."""
        return abs(value) <= MAX_VALUE and (value >= 0 or self.scale is Scale.DIFFERENCE)


def percent_question(ratio: float) -> str:
    """Return the question whether a ratio was meant as a percentage; empty below 1.

    A user who writes 5 for 5 % would see every regression below 500 % pass.
    """
    if not ratio >= 1:
        return ""
    return (
        f"`{ratio:g}` is {100 * ratio:g} %; did you mean {ratio:g} %? Write `{ratio:g}%` or"
        f" `{100 * ratio:g}%`"
    )


def share_question(margin: float) -> str:
    """Return why a margin of a share of events makes no sense; empty below 1.

    A share changes by at most 1, so no regression would be beyond such a margin.
    """
    if not margin >= 1:
        return ""
    return f"no share changes by more than {100 * margin:g} %; write `5%` or 0.05 for 5 %"


TIMES = "x"
"""Unit of a ratio of two readings of one build, such as a latency with noise and without."""

_BASE = {
    "s": ("s", 1.0),
    "ms": ("s", 1e-3),
    "us": ("s", 1e-6),
    "ns": ("s", 1e-9),
    "B": ("B", 1.0),
    "KiB": ("B", 2.0**10),
    "MiB": ("B", 2.0**20),
    "GiB": ("B", 2.0**30),
    "1/s": ("1/s", 1.0),
    "1": ("1", 1.0),
    TIMES: (TIMES, 1.0),
}

BASE_UNITS = tuple(sorted({base for base, _ in _BASE.values()}))


def convert(value: float, unit: str, to: str) -> float:
    """Return the value in another unit of the same quantity.

    Raises:
        ValueError: The units are of different quantities, or unknown.
    """
    if unit not in _BASE or to not in _BASE or _BASE[unit][0] != _BASE[to][0]:
        raise ValueError(f"cannot convert {unit} to {to}")
    return value * _BASE[unit][1] / _BASE[to][1]
