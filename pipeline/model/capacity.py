"""How many Projects, or objects, a build holds: what was asked, measured and answered."""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pipeline.model.limit import QUANTITIES, Limit
from pipeline.model.results import Machine, Tool
from pipeline.model.subject import Subject


class CountedResource(StrEnum):
    """What is counted by N."""

    PROJECTS = "projects"
    """Projects that exist and are Ready, each with one Secret."""

    OBJECTS = "objects"
    """Secrets and ConfigMaps in each of a fixed number of Projects."""


class SearchEnd(StrEnum):
    """Why a search ended."""

    FOUND = "found"
    """The edge is known as finely as asked, and both of its sides were measured again."""

    BUDGET = "budget"
    """The time that it was given was over."""

    MACHINE = "machine"
    """The machine would have given out before the build."""

    LOAD = "load"
    """The load could not be applied as asked."""


class StepOutcome(StrEnum):
    """What one step says about its N."""

    HELD = "held"
    BROKE = "broke"
    INVALID = "invalid"
    """The load was not as asked, or a limited quantity was not measured: it says nothing."""


@dataclass(frozen=True, slots=True)
class CapacityQuestion:
    """What a person wants to know, and how closely to look.

    Attributes:
        things: What is counted.
        limits: What must stay below what, each on another quantity.
        budget_s: Seconds that the search may take, builds not counted.
        start: The first N.
        projects: In how many Projects the objects are; without meaning for Projects.
        object_bytes: Data of each object, in bytes.
        rate: Iterations of the probing load per second, each of them one request per operation.
        hold_s: Seconds of one hold.
        resolution: How far apart the two sides of the edge may be, as a share of the lower one.
        repeats: How often both sides of the edge are measured.
        seed: Of every random choice.
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

    def __post_init__(self) -> None:
        if not self.limits:
            raise ValueError("limits: at least one is needed")
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
        n: Number of things that existed.
        launch: Number of the launch, from 0; steps of one launch only grow.
        started_at: UTC.
        duration_s: Seconds from the end of the step before, a launch included where there was one.
        values: By quantity (see `QUANTITIES`), in base units; what was not measured is absent.
        broke: Quantities at or above their limit, the farthest first.
        failed: How the build failed altogether, such as a server that died; empty otherwise.
        invalid: Why the step says nothing; empty otherwise, and wherever a limit broke.
        holds: How many holds there were until one was steady.
        is_steady: Whether the last one was.
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
        """What the step says about its N."""
        if self.broke or self.failed:
            return StepOutcome.BROKE
        return StepOutcome.INVALID if self.invalid else StepOutcome.HELD


@dataclass(frozen=True, slots=True)
class CapacityAnswer:
    """The edge, as an interval.

    Attributes:
        held: The largest N that held every time, with nothing below it that ever broke; 0 where
            none did.
        broke: The smallest N that broke every time, with nothing above it that ever held; None
            where nothing broke, so that the interval is open.
        first: What broke at the smallest N that ever broke, the farthest first: quantities, or
            `alive` where the build failed altogether.
        disagreed: Every N that held at one time and broke at another; they are between the two.
    """

    held: int
    broke: int | None
    first: tuple[str, ...] = ()
    disagreed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Capacity:
    """All that a search knows, from its first moment on.

    Attributes:
        question: What was asked.
        subject: What was measured.
        environment: Kind of the environment, such as `local`.
        load_digest: `sha256:…` of the scripts that make the load.
        machine: Where.
        tools: By name.
        taken_at: When it began, UTC.
        steps: In the order measured.
        answer: What the steps say.
        ended: Why the search ended; None while it goes on.
        ended_by: The same as a sentence that a person can act on; empty while it goes on.
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
        """Seconds that the steps took."""
        return sum(step.duration_s for step in self.steps)
