"""A soak: one build under steady churn for a long time, and what each resource does meanwhile."""

import math
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pipeline.model.limit import COMPONENTS, Limit
from pipeline.model.results import Machine, Tool
from pipeline.model.subject import Subject

SOAK_QUANTITIES: dict[str, str] = {
    **{
        f"{kind}({component})": unit
        for kind, unit in (("goroutines", "1"), ("heap", "B"), ("memory", "B"), ("files", "1"))
        for component in COMPONENTS
    },
    "memory": "B",
    "keys": "1",
    "db": "B",
    "watchers": "1",
}
"""Base unit of each resource, by name.

`db` and `watchers` are those of etcd.  `keys` are etcd's below `/projects/`, without the namespace
`default` of each deleted Project, which Milo keeps.  `heap` is the live Go heap after a forced
garbage collection.
"""

HISTORY_S = 600.0
"""Seconds at the beginning of a launch in which the history of etcd fills: an API server compacts
revisions that are over 5 minutes old, every 5 minutes."""

WITH_HISTORY = frozenset({"db", "memory(etcd)", "memory"})
"""Resources that contain the history of etcd: they are judged from `HISTORY_S` on."""

RESIDENT = frozenset({"memory", *(f"memory({component})" for component in COMPONENTS)})
"""Resources that creep: resident memory follows the largest heap until now."""

MOST_WATCHES = 60
"""Watches that a cycle can hold at once: as many as k6 sends in one batch to one host."""

LIMITED_QUANTITIES = ("ready", "memory", "db", "files", "goroutines")
"""Words of the quantities that can have a limit in a soak."""


class GrowthVerdict(StrEnum):
    """What a resource does under steady churn."""

    PLATEAU = "plateau"
    LEAK = "leak"
    CANNOT_TELL = "cannot tell"


class SoakEnd(StrEnum):
    """Why a soak ended."""

    TIME = "time"
    """The time that was asked for is over."""

    LIMIT = "limit"
    """A limit broke."""

    MACHINE = "machine"
    """The machine would have reached a reserve."""

    FAILED = "failed"
    """The build died, or stopped doing what it was asked."""


@dataclass(frozen=True, slots=True)
class Growth:
    """How a resource grew.

    Attributes:
        verdict: Verdict about the resource.
        cycles: Number of points.
        first: Fitted level at the first point, in the resource's unit.
        last: Fitted level at the last point.
        per_unit: Most likely leak per deleted Project, in the resource's unit.
        low: Lower end of the leak's interval.
        high: Upper end of the leak's interval.
        filled: Size of the part that fills up as a cache does; 0 without one.
    """

    verdict: GrowthVerdict
    cycles: int
    first: float
    last: float
    per_unit: float
    low: float
    high: float
    filled: float


@dataclass(frozen=True, slots=True)
class SoakCycle:
    """What was seen at the end of one cycle of create, use and delete, at rest.

    Attributes:
        launch: Number of the launch, from 0; a resumed soak starts another one.
        ended_s: Seconds since the launch was ready.
        deleted: Projects deleted in this launch until then.
        values: Value of each resource that could be read, by name.
        ready_s: Seconds until Ready, of each Project of the cycle.
        gone_s: Seconds until gone, of each Project of the cycle.
        never_ready: Projects that were not Ready in time.
        never_gone: Projects that were not gone in time.
    """

    launch: int
    ended_s: float
    deleted: int
    values: dict[str, float]
    ready_s: tuple[float, ...] = ()
    gone_s: tuple[float, ...] = ()
    never_ready: int = 0
    never_gone: int = 0

    def __post_init__(self) -> None:
        for name, value in self.values.items():
            if name not in SOAK_QUANTITIES or not (math.isfinite(value) and value >= 0):
                raise ValueError(f"cycle: `{name}` or its value cannot be")


@dataclass(frozen=True, slots=True)
class SoakQuestion:
    """The question of a soak, with every default filled in.

    Attributes:
        lasts_s: Seconds of churn, in all launches together.
        limits: Limits, each of a different quantity.
        projects: Projects of one cycle.
        objects: Secrets, and as many ConfigMaps, in each Project.
        object_bytes: Data of each object, in bytes.
        watches: Watches of Secrets, and as many of ConfigMaps, in each Project, held for a second.
        rest_s: Seconds without load at the end of a cycle, before resources are read.
        deadline_s: Seconds after which a Project counts as never Ready or never gone.
        seed: Random seed.
    """

    lasts_s: float
    limits: tuple[Limit, ...] = ()
    projects: int = 1
    objects: int = 5
    object_bytes: int = 1000
    watches: int = 1
    rest_s: float = 1.0
    deadline_s: float = 120.0
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("lasts_s", "rest_s", "deadline_s"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name}: must be finite and above zero")
        for name in ("projects", "objects", "object_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1")
        if not 0 <= 2 * self.watches * self.projects <= MOST_WATCHES:
            raise ValueError(f"watches: a cycle can hold {MOST_WATCHES} in all its Projects")
        for limit in self.limits:
            if limit.quantity.partition("(")[0] not in LIMITED_QUANTITIES:
                raise ValueError(
                    f"`{limit.text}`: a soak has limits of {', '.join(LIMITED_QUANTITIES)} only"
                )


@dataclass(frozen=True, slots=True)
class Soak:
    """The state of a soak, and its answer at the end.

    Attributes:
        question: Question of the soak.
        subject: Build that is measured.
        environment: Kind of the environment, such as `local`.
        load_digest: `sha256:…` of the scripts of the load.
        machine: Machine of the soak.
        tools: Tools by name.
        taken_at: Start time, UTC.
        cycles: Cycles in the order measured.
        growth: How each resource grew in the launch with the most cycles, by name.
        broke: Text of each limit that broke.
        ended: Reason why the soak ended; None while it runs.
        ended_by: The same in words; empty while it runs.
    """

    question: SoakQuestion
    subject: Subject
    environment: str
    load_digest: str
    machine: Machine
    tools: dict[str, Tool]
    taken_at: datetime
    cycles: tuple[SoakCycle, ...] = ()
    growth: dict[str, Growth] = field(default_factory=dict)
    broke: tuple[str, ...] = ()
    ended: SoakEnd | None = None
    ended_by: str = ""

    @property
    def spent_s(self) -> float:
        """Seconds of churn until now, in all launches together."""
        last: dict[int, float] = {}
        for cycle in self.cycles:
            last[cycle.launch] = cycle.ended_s
        return sum(last.values())
