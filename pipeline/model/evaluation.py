"""What an evaluation of load drivers measured."""

from dataclasses import dataclass, field
from datetime import datetime

from pipeline.model.results import Machine, Tool
from pipeline.model.subject import Subject


@dataclass(frozen=True, slots=True)
class WorkloadAttempt:
    """One workload, applied once by one driver.

    Attributes:
        workload: Name of the workload, the same for both drivers.
        driver: Kind of the driver, such as `k6`.
        repetition: From 0; each is a launch of its own.
        wall_s: From when the driver was asked until it had answered, in seconds.
        start_s: Of these, until the load began: start of the tool, set-up, first touch.
        span_s: How long the load lasted.
        requests: That the server counted during the load.
        cpu_s: CPU seconds of the tool and its helpers, in all.
        memory: Most memory that they had at once, in bytes.
        artifact: Size of what they left, compressed or not, in bytes.
        files: Number of files that they left.
        readings: Number of different readings that the driver itself gave.
        values: Metrics of the workload by name, in their base units.
        invalid: Why the load does not count.
    """

    workload: str
    driver: str
    repetition: int
    wall_s: float
    start_s: float
    span_s: float
    requests: float
    cpu_s: float
    memory: float
    artifact: int
    files: int
    readings: int
    values: dict[str, float]
    invalid: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadLevel:
    """One size of a load, applied once by one driver, to find the largest that it holds.

    Attributes:
        driver: Kind of the driver.
        asked: Objects per second, or objects in all.
        what: `rate` or `objects`.
        requests_rate: Requests per second that the server counted.
        span_s: How long the load lasted.
        cpu_share: Of the machine's processors, that the tool used.
        memory: Most memory that it had at once, in bytes.
        invalid: Why it does not count; empty where the driver held it.
    """

    driver: str
    asked: float
    what: str
    requests_rate: float
    span_s: float
    cpu_share: float
    memory: float
    invalid: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkloadSource:
    """What a workload is written in.

    Attributes:
        workload: Its name.
        driver: Kind of the driver.
        files: Number of files that are only its own, and of those that it shares.
        lines: Lines of its own that are neither empty nor a comment, and shared ones.
        words: Words in these.
    """

    workload: str
    driver: str
    files: tuple[int, int]
    lines: tuple[int, int]
    words: tuple[int, int]


@dataclass(frozen=True, slots=True)
class FaultDetection:
    """A known fault, and the metrics of each driver's workloads that turned red.

    Attributes:
        fault: Spec setting, such as `slow-create=500us`.
        pairs: Valid pairs of the run.
        red: By kind of the driver, gating metrics that regressed, as WORKLOAD/METRIC.
        own: Of these, those that only the driver's own numbers, and no probe, tell.
        failed: By kind of the driver, why its load could not be applied to the faulty build.
    """

    fault: str
    pairs: int
    red: dict[str, tuple[str, ...]]
    own: dict[str, tuple[str, ...]]
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that was measured of two drivers on one build.

    Attributes:
        subject: The build.
        machine: Where.
        tools: By name.
        taken_at: When it began, UTC.
        repetitions: Asked for.
        seed: Of the orders.
        spent_s: Seconds that it took.
        scripts: What the workloads are written in.
        attempts: In the order made.
        rungs: In the order made.
        seen: Of the table of faults, which is measured on `reference`.
    """

    subject: Subject
    machine: Machine
    tools: dict[str, Tool]
    taken_at: datetime
    repetitions: int
    seed: int
    spent_s: float = 0.0
    scripts: tuple[WorkloadSource, ...] = ()
    attempts: tuple[WorkloadAttempt, ...] = ()
    rungs: tuple[LoadLevel, ...] = ()
    seen: tuple[FaultDetection, ...] = field(default_factory=tuple)
