"""The capacity of a build in Projects or objects: the question, the steps and the edge."""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pipeline.model.limit import QUANTITIES, Limit
from pipeline.model.results import Machine, Tool
from pipeline.model.subject import Subject


class CountedResource(StrEnum):
    """What N counts."""

    PROJECTS = "projects"
    """Projects that exist and are Ready, each with one Secret."""

    OBJECTS = "objects"
    """Secrets and ConfigMaps in each of a fixed number of Projects."""


class SearchEnd(StrEnum):
    """Why a search ended."""

    FOUND = "found"
    """The edge has the requested resolution, and both of its sides were measured again."""

    BUDGET = "budget"
    """The time budget was over."""

    MACHINE = "machine"
    """The machine would have reached a reserve before the build reached a limit."""

    MEASURED = "measured"
    """N is as large as the forecast needs."""

    LOAD = "load"
    """The load could not be applied as requested."""


class StepOutcome(StrEnum):
    """The result of one step at its N."""

    HELD = "held"
    BROKE = "broke"
    INVALID = "invalid"
    """The load was not as requested, or a limited quantity was not measured."""


@dataclass(frozen=True, slots=True)
class CapacityQuestion:
    """The question of a search, with every default filled in.

    Attributes:
        things: What N counts.
        limits: Limits, each of a different quantity.
        budget_s: Time budget of the search in seconds, builds excluded.
        start: First N.
        projects: Number of Projects that hold the objects; unused if N counts Projects.
        object_bytes: Data of each object, in bytes.
        rate: Iterations of the probing load per second, each with one request per operation.
        hold_s: Seconds of one hold.
        resolution: Maximum gap between the sides of the edge, as a share of the lower one.
        repeats: How often both sides of the edge are measured.
        seed: Random seed of the search.
        forecast: N of the forecast; 0 for none.
        machine: Size of the machine that the forecast is for, such as `64GB,16`; empty for none.
    """

    things: CountedResource
    limits: tuple[Limit, ...]
    budget_s: float
    start: int
    projects: int = 1
    object_bytes: int = 1000
    rate: float = 20.0
    hold_s: float = 20.0
    resolution: float = 0.10
    repeats: int = 2
    seed: int = 1
    forecast: int = 0
    machine: str = ""

    def __post_init__(self) -> None:
        if not (self.limits or self.forecast):
            raise ValueError("limits: at least one is needed, or a forecast")
        if self.forecast < 0:
            raise ValueError("forecast: must not be negative")
        for name in ("start", "projects", "object_bytes", "repeats"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1")
        for name in ("budget_s", "rate", "hold_s", "resolution"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name}: must be finite and above zero")


@dataclass(frozen=True, slots=True)
class CapacityStep:
    """One measurement at one N.

    Attributes:
        n: Number of Projects or objects that existed.
        launch: Number of the launch, from 0; N only grows within a launch.
        started_at: Start time, UTC.
        duration_s: Seconds since the end of the step before, including a launch if there was one.
        values: Measured values by quantity (see `QUANTITIES`), in base units.
        broke: Quantities at or above their limit, the farthest first.
        failed: How the build failed altogether, such as a server that died; empty otherwise.
        invalid: Reasons why the step is invalid; empty if a limit broke.
        holds: Number of holds until one was steady.
        is_steady: Whether the last hold was steady.
    """

    n: int
    launch: int
    started_at: datetime
    duration_s: float
    values: dict[str, float]
    broke: tuple[str, ...] = ()
    failed: str = ""
    invalid: tuple[str, ...] = ()
    holds: int = 1
    is_steady: bool = True

    def __post_init__(self) -> None:
        if self.n < 1 or self.launch < 0:
            raise ValueError(f"step at {self.n}: n or launch is out of range")
        if not (math.isfinite(self.duration_s) and self.duration_s >= 0):
            raise ValueError(f"step at {self.n}: duration_s must not be negative")
        for name, value in self.values.items():
            if name not in QUANTITIES or not (math.isfinite(value) and value >= 0):
                raise ValueError(f"step at {self.n}: `{name}` or its value cannot be")

    @property
    def outcome(self) -> StepOutcome:
        """Whether the build held or broke at this N."""
        if self.broke or self.failed:
            return StepOutcome.BROKE
        return StepOutcome.INVALID if self.invalid else StepOutcome.HELD


@dataclass(frozen=True, slots=True)
class CapacityAnswer:
    """The edge of a build's capacity, as an interval.

    Attributes:
        held: Largest N that always held, with nothing below it that ever broke; 0 if none did.
        broke: Smallest N that always broke, with nothing above it that ever held; None if nothing
            broke, so that the interval is open.
        first: Quantities that broke at the smallest broken N, the farthest first; `alive` if the
            build failed altogether.
        disagreed: Every N between the two, which held at one time and broke at another.
    """

    held: int
    broke: int | None
    first: tuple[str, ...] = ()
    disagreed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Capacity:
    """The state of a search, and its answer at the end.

    Attributes:
        question: Question of the search.
        subject: Build that is measured.
        environment: Kind of the environment, such as `local`.
        load_digest: `sha256:…` of the scripts of the load.
        machine: Machine of the search.
        tools: Tools by name.
        taken_at: Start time, UTC.
        steps: Steps in the order measured.
        answer: CapacityAnswer that the steps show.
        ended: Reason why the search ended; None while it runs.
        ended_by: The same in words; empty while it runs.
    """

    question: CapacityQuestion
    subject: Subject
    environment: str
    load_digest: str
    machine: Machine
    tools: dict[str, Tool]
    taken_at: datetime
    steps: tuple[CapacityStep, ...] = ()
    answer: CapacityAnswer = CapacityAnswer(0, None)
    ended: SearchEnd | None = None
    ended_by: str = ""

    @property
    def spent_s(self) -> float:
        """Seconds that the steps took, in total."""
        return sum(step.duration_s for step in self.steps)
