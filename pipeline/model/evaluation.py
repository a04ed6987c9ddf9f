"""The results of an evaluation of load drivers."""

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
        repetition: Number of the repetition, from 0; each has its own launch.
        wall_s: Duration of the driver's call in seconds.
        start_s: Part of it before the load began: start of the tool, set-up, first requests.
        span_s: Duration of the load in seconds.
        requests: Number of requests that the server counted during the load.
        cpu_s: CPU time of the tool and its helpers in seconds.
        memory: Peak memory of them in bytes.
        artifact: Size of their output files in bytes.
        files: Number of their output files.
        readings: Number of different readings from the driver itself.
        values: Metrics of the workload by name, in base units.
        invalid: Reasons why the load does not count.
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
    """One level of a load, applied once by one driver, to find the largest that it can apply.

    Attributes:
        driver: Kind of the driver.
        asked: Objects per second, or number of objects.
        what: Meaning of `asked`: `rate` or `objects`.
        requests_rate: Requests per second that the server counted.
        span_s: Duration of the load in seconds.
        cpu_share: Share of the machine's processors that the tool used.
        memory: Peak memory of the tool in bytes.
        invalid: Reasons why it does not count; empty if the driver applied it.
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
    """The size of a workload's source.

    Attributes:
        workload: Name of the workload.
        driver: Kind of the driver.
        files: Number of its own files, and of shared files.
        lines: Number of its own lines of code, and of shared lines.
        words: Number of words in them.
    """

    workload: str
    driver: str
    files: tuple[int, int]
    lines: tuple[int, int]
    words: tuple[int, int]


@dataclass(frozen=True, slots=True)
class FaultDetection:
    """The metrics of each driver's workloads that a known fault turned red.

    Attributes:
        fault: Spec setting, such as `slow-create=500us`.
        pairs: Number of valid pairs of the run.
        red: Gating metrics that regressed by kind of the driver, as WORKLOAD/METRIC.
        own: Those among them that come from the driver itself, not from a probe.
        failed: Reason why a driver could not load the faulty build, by kind of the driver.
    """

    fault: str
    pairs: int
    red: dict[str, tuple[str, ...]]
    own: dict[str, tuple[str, ...]]
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The results of two drivers on one build.

    Attributes:
        subject: Build that was loaded.
        machine: Machine of the evaluation.
        tools: Programs by name.
        taken_at: Start time, UTC.
        repetitions: Number of repetitions.
        seed: Random seed of the orders.
        spent_s: Duration in seconds.
        scripts: Sources of the workloads.
        attempts: Attempts in order.
        rungs: Load levels in order.
        seen: Detections of the known faults of `reference`.
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
