"""Traces of a run: raw times and process samples, reduced to what a page can draw."""

from dataclasses import dataclass, field

from pipeline.model.subject import Arm


@dataclass(frozen=True, slots=True)
class Distribution:
    """The distribution of raw times in one arm over all valid pairs; shown, not judged.

    Attributes:
        shares: Probabilities, rising from 0 to 1, at most a few hundred.
        values: Quantile at each probability, in s.
    """

    count: int
    shares: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.shares) != len(self.values) or not self.values:
            raise ValueError("a distribution has one value for each share, and at least one")


@dataclass(frozen=True, slots=True)
class Track:
    """One quantity of one component over time in one arm, over all valid pairs.

    Attributes:
        times_s: Seconds since the first sample of a pair, rising.
        low: Minimum over the pairs at each time, in the unit of the quantity.
        middle: Median over the pairs.
        high: Maximum over the pairs.
    """

    times_s: tuple[float, ...]
    low: tuple[float, ...]
    middle: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if len({len(self.times_s), len(self.low), len(self.middle), len(self.high)}) != 1:
            raise ValueError("a track has three values for each time")


@dataclass(frozen=True, slots=True)
class TrackPair:
    """A quantity over time in both arms.

    Attributes:
        name: Component and quantity, such as `server.memory`.
        unit: Base unit, or `cores` for CPU.
    """

    workload: str
    name: str
    unit: str
    tracks: dict[Arm, Track]


@dataclass(frozen=True, slots=True)
class Traces:
    """All traces that a page shows beside the findings.

    Attributes:
        reads: Reading by `workload/metric`, such as `http_req_duration{op=get}/p50`.
        distributions: Distributions by workload and series, such as
            `("object-crud", "http_req_duration")`.
        tracked: Tracks in the order of workloads and components.
        files: Paths of the files in the folder, relative to it.
        unread: Sentences about files that could not be read.
    """

    reads: dict[str, str] = field(default_factory=dict)
    distributions: dict[tuple[str, str], dict[Arm, Distribution]] = field(default_factory=dict)
    tracked: tuple[TrackPair, ...] = ()
    files: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TimelineCurve:
    """One quantity over time.

    Attributes:
        name: Name of the component, or of the statistic.
        segments: Points of each workload: seconds since the start, and a value.
    """

    name: str
    segments: tuple[tuple[tuple[float, float], ...], ...]


@dataclass(frozen=True, slots=True)
class TimelinePanel:
    """Curves that share an axis; `unit` is a base unit, or `cores` for CPU."""

    title: str
    unit: str
    curves: tuple[TimelineCurve, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """What one launch of one build did, over time.

    Attributes:
        title: Build, suite and machine in one line.
        workloads: Name, start and end of each workload, in seconds since the first start.
        panels: Panels with at least one curve.
    """

    title: str
    workloads: tuple[tuple[str, float, float], ...]
    panels: tuple[TimelinePanel, ...]
