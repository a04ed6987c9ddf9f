"""A forecast: what a build needs at a number of Projects or objects that was not measured."""

import math
import re
from dataclasses import dataclass

from pipeline.model.capacity import CountedResource
from pipeline.model.limit import BYTES
from pipeline.model.subject import Subject


@dataclass(frozen=True, slots=True)
class Forecast:
    """One quantity of a build at one N beyond the measured ones.

    Attributes:
        quantity: Key of `QUANTITIES`, such as `memory(server)`.
        unit: Base unit of the quantity.
        n: N of the forecast.
        points: Number of measured sizes that were used.
        first_n: Smallest N that was used; larger than the smallest measured one after a knee.
        last_n: Largest measured N.
        believed_to: Largest N up to which the data justify a forecast.
        knee: N at which the growth changes; 0 without one.
        per_n: Growth per Project or object, in the base unit.
        low: Lower end of the prediction interval; None if the forecast was refused.
        value: Most likely value.
        high: Upper end of the prediction interval.
        refused: Reason why there is no forecast, and what is missing; empty if there is one.
    """

    quantity: str
    unit: str
    n: int
    points: int
    first_n: int
    last_n: int
    believed_to: int = 0
    knee: int = 0
    per_n: float | None = None
    low: float | None = None
    value: float | None = None
    high: float | None = None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class MachineSize:
    """A machine for which a forecast is made.

    Attributes:
        memory: Bytes.
        cores: Number of processors; 0 if it does not matter.
    """

    memory: float
    cores: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.memory < math.inf or self.cores < 0:
            raise ValueError("the memory of a machine must be above zero, its cores not below")


def parse_machine(text: str) -> MachineSize:
    """Return the size of a machine: `64GB`, or `64GB,16` with its cores.

    Raises:
        ValueError: The text is wrong.
    """
    memory, _, cores = text.partition(",")
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*", memory)
    if match is None or match[2] not in BYTES or not re.fullmatch(r"\s*([1-9][0-9]*)?\s*", cores):
        raise ValueError(
            f"`{text}` is not a machine: write its memory and its cores, such as 64GB,16"
        )
    return MachineSize(float(match[1]) * BYTES[match[2]], int(cores) if cores.strip() else 0)


@dataclass(frozen=True, slots=True)
class BrokenBound:
    """A bound that a build reaches when it grows.

    Attributes:
        quantity: Key of `QUANTITIES`.
        bound: Bound in the quantity's base unit.
        earliest_n: Smallest N at which it may be reached, by the upper end of the interval.
        likely_n: N at which it is most likely reached; None if that is farther than the forecast
            is believed.
    """

    quantity: str
    bound: float
    earliest_n: int
    likely_n: int | None


@dataclass(frozen=True, slots=True)
class CapacityForecast:
    """The forecast of a build.

    Attributes:
        things: Whether N counts Projects or objects.
        subject: Build that was measured.
        n: N of the forecast.
        confidence: Probability with which a later measurement lies in an interval.
        quantities: Forecast of each quantity.
        machine: Machine whose bounds were asked for; None for none.
        reached: Bounds of the search's limits and of the machine that are reached, the first one
            first.
    """

    things: CountedResource
    subject: Subject
    n: int
    confidence: float
    quantities: tuple[Forecast, ...]
    machine: MachineSize | None = None
    reached: tuple[BrokenBound, ...] = ()
