"""What is measured, in which unit, and which way is better."""

import math
from dataclasses import dataclass
from enum import StrEnum


class Better(StrEnum):
    """The direction in which a metric improves."""

    LOWER = "lower"
    HIGHER = "higher"


class Scale(StrEnum):
    """How two values of a metric are set against each other."""

    RATIO = "ratio"
    """Relative: `candidate / baseline - 1`; both must be above zero."""

    DIFFERENCE = "difference"
    """Absolute: `candidate - baseline`, in the unit; for what may be 0, or below it as a slope."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One number that a workload yields once per trial.

    Attributes:
        name: Unique in its workload, such as `create_p99`.
        unit: Base unit of every stored value: `s`, `B`, `1/s`, or `1` for a count or a share.
        better: Which direction is an improvement.
        margin: Smallest change that is worth a red verdict: a ratio (0.05 is 5 %) or, on the
            difference scale, an amount in `unit`.
        gate: True when a regression of this metric turns the run red.
        scale: How the arms are compared.
        floor: Subtracted from both arms before the ratio, in `unit`: time or amount that no
            build can save, such as a sleep.
        tolerance: Worsening that a pass must exclude, on the scale of `margin` and at least as
            large; None for the margin itself.
        description: What it is, in a few words; empty where its name says it.
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
            raise ValueError(f"{self.name}: margin must be finite and above zero")
        if not (math.isfinite(self.floor) and self.floor >= 0):
            raise ValueError(f"{self.name}: floor must be finite and not below zero")
        if self.floor and self.scale is Scale.DIFFERENCE:
            raise ValueError(f"{self.name}: a floor has no meaning on the difference scale")
        if not (math.isfinite(self.tolerated) and self.tolerated >= self.margin):
            raise ValueError(f"{self.name}: tolerance must be finite and not below the margin")

    @property
    def tolerated(self) -> float:
        """The worsening that a pass must exclude: the tolerance, or else the margin."""
        return self.margin if self.tolerance is None else self.tolerance

    def allows(self, value: float) -> bool:
        """Return whether a value can be one of this metric: finite and, for ratios, not below 0."""
        return math.isfinite(value) and (value >= 0 or self.scale is Scale.DIFFERENCE)


def ambiguous_margin(margin: float) -> str:
    """Return what is unclear about a ratio that was written without a percent sign.

    Who writes 5 and means 5 % would see every regression below 500 % pass.

    Args:
        margin: A margin or tolerance as a plain number; 0.05 is 5 %.
    """
    if not margin > 1:
        return ""
    return (
        f"`{margin:g}` is {100 * margin:g} %; did you mean {margin:g} %? Write `{margin:g}%` or"
        f" `{100 * margin:g}%`"
    )
