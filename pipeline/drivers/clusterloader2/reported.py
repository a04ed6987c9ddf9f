"""What a report of ClusterLoader2 says, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pipeline.model.perfdata import Item

AVAILABILITY = "APIAvailability"
LATENCY = "APIResponsivenessPrometheus"
QUERY = "GenericPrometheusQuery"
TIMER = "Timer"
USAGE = "ResourceUsageSummary"
ETCD = "EtcdMetrics"

METHODS = (AVAILABILITY, LATENCY, QUERY, TIMER, USAGE, ETCD)
"""Measurements whose summaries are read, by the names that a config calls them."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a config, or one of the measurements of a step.

    Attributes:
        config: Name of the config.
        number: Of the step, from 1.
        name: Of the step.
        measurement: Identifier of the measurement; empty for a step of phases.
        duration_s: From the start of the step to the end of its phases or of this measurement.
        failure: What failed; empty where nothing did.
    """

    config: str
    number: int
    name: str
    measurement: str
    duration_s: float
    failure: str


@dataclass(frozen=True, slots=True)
class Overall:
    """One config as a whole, deletion of its namespaces included.

    Attributes:
        config: Its name; empty where it could not be read.
        duration_s: Of all its steps and of cleaning up.
        failure: What failed, also before the first step; empty where nothing did.
    """

    config: str
    duration_s: float
    failure: str


@dataclass(frozen=True, slots=True)
class Availability:
    """How the API server answered `/readyz`.

    Attributes:
        share: Of the probes that were answered, between 0 and 1.
        longest_gap_s: Probes failed in a row, times the period.
    """

    share: float
    longest_gap_s: float


@dataclass(frozen=True, slots=True)
class Use:
    """What one container, or process, used at one percentile of its looks.

    Attributes:
        name: Of the container.
        cpu: Processors in use, which are seconds of CPU per second.
        memory: In bytes.
    """

    name: str
    cpu: float
    memory: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Uses by percentile, such as 99."""

    percentiles: Mapping[int, tuple[Use, ...]]


@dataclass(frozen=True, slots=True)
class EtcdHistograms:
    """How long etcd took for what.

    Attributes:
        at_most: By metric, such as `wal_fsync`, how many took at most so many seconds: bounds
            rising, the last one infinite, all series together.
        database_bytes: The largest size of the database that was seen; None where none was.
    """

    at_most: Mapping[str, Mapping[float, float]]
    database_bytes: float | None


Content = Availability | Usage | EtcdHistograms | tuple[Item, ...]
"""What a summary holds; the items are those of PerfData."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One file that a measurement left.

    Attributes:
        name: With which its file name begins, such as `GenericPrometheusQuery Queue`.
        method: The measurement, one of `METHODS`.
        at: When it was made.
        content: What it says.
    """

    name: str
    method: str
    at: datetime
    content: Content

    @property
    def is_empty(self) -> bool:
        """Whether there is not one number in it, such as of a query without an answer."""
        match self.content:
            case Availability():
                return False
            case Usage(percentiles):
                return not any(percentiles.values())
            case EtcdHistograms(at_most, size):
                return size is None and not any(any(one.values()) for one in at_most.values())
            case items:
                return not any(item.data for item in items)


@dataclass(frozen=True, slots=True)
class Expected:
    """A summary that a config asks for.

    Attributes:
        method: The measurement, one of `METHODS`.
        identifier: Of the measurement in the config.
        summary: With which its file name begins, where that is not the method: of a query
            `GenericPrometheusQuery` and its `metricName`, of latencies their `summaryName`.
    """

    method: str
    identifier: str
    summary: str = ""

    @property
    def name(self) -> str:
        """With which its file name begins."""
        return self.summary or self.method

    def __str__(self) -> str:
        return f"{self.name} (measurement {self.identifier})"


@dataclass(frozen=True, slots=True)
class Report:
    """What one run of ClusterLoader2 left.

    Attributes:
        overall: One for each config.
        steps: In the order run; the measurements of a step run side by side.
        summaries: By time.
        missing: Summaries that were expected and have no file.
        empty: Summaries that were expected and have no number.
    """

    overall: tuple[Overall, ...]
    steps: tuple[Step, ...]
    summaries: tuple[Summary, ...]
    missing: tuple[Expected, ...] = ()
    empty: tuple[Expected, ...] = ()
