"""What a run's folder keeps beside the samples: raw times and looks at processes, made few."""

from dataclasses import dataclass, field

from pipeline.model.subject import Arm


@dataclass(frozen=True, slots=True)
class Distribution:
    """Raw times of one kind in one arm, all valid pairs together; to be looked at, never judged by.

    Attributes:
        count: How many there were.
        shares: Rising from 0 to 1, at most a few hundred.
        values: The quantile at each share, in s.
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
        times_s: From the first look of a pair, rising.
        low: Smallest of the pairs at each time, in the unit of the quantity.
        middle: Median of the pairs.
        high: Largest of the pairs.
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
        workload: During which it was looked at.
        name: Component and quantity, such as `server.memory`.
        unit: Base unit, or `cores` for CPU.
        tracks: By arm.
    """

    workload: str
    name: str
    unit: str
    tracks: dict[Arm, Track]


@dataclass(frozen=True, slots=True)
class Traces:
    """Everything that a page shows beside the findings.

    Attributes:
        reads: Reading by `workload/metric`, such as `http_req_duration{op=get}/p50`.
        distributions: By workload and series, such as `("object-crud", "http_req_duration")`.
        tracked: In the order of workloads and components.
        files: Paths of what the folder holds, relative to it.
        unread: What could not be read, as sentences.
    """

    reads: dict[str, str] = field(default_factory=dict)
    distributions: dict[tuple[str, str], dict[Arm, Distribution]] = field(default_factory=dict)
    tracked: tuple[TrackPair, ...] = ()
    files: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
