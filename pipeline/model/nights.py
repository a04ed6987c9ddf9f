"""The nights of a history, as a site shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pipeline.model.history import JudgedSeries
from pipeline.model.metric import Better, Scale
from pipeline.model.report import Verdict


@dataclass(frozen=True, slots=True)
class NightValue:
    """One metric of one night, relative to the reference build of that night.

    Attributes:
        value: Ratio (1.05 is +5 %) or, on the difference scale, an amount in `unit`.
        pairs: Number of pairs in the value.
        variance: Variance between pairs on the test scale; None if unknown.
        degrees_of_freedom: Degrees of freedom of the variance; None if unknown.
    """

    value: float
    scale: Scale
    better: Better
    unit: str
    pairs: int
    variance: float | None = None
    degrees_of_freedom: int | None = None

    @property
    def kind(self) -> tuple[Scale, str]:
        """What two values of a metric must share to be compared: scale and unit."""
        return self.scale, self.unit

    @property
    def change(self) -> float:
        """The change against the reference: a ratio (0.05 is +5 %) or an amount."""
        return self.value - 1 if self.scale is Scale.RATIO else self.value


@dataclass(frozen=True, slots=True)
class Night:
    """One run of a history.

    Attributes:
        name: Name of its page, unique in its history.
        run: Identity of the run.
        time: Start time, with a time zone.
        commit: Commit of the candidate, or its digest.
        reference: Digest of the reference build.
        reference_commit: Commit of the reference build; empty if unknown.
        suite: Name of the suite.
        profile: Start profile of Milo.
        machine: Facts of the machine.
        values: Value of each metric, by `workload/metric`.
        verdict: Verdict of the run; None if unknown.
        answer: Answer of the run in one line; empty if unknown.
    """

    name: str
    run: str
    time: datetime
    commit: str
    reference: str
    reference_commit: str
    suite: str
    profile: str
    machine: Mapping[str, str]
    values: Mapping[str, NightValue]
    verdict: Verdict | None = None
    answer: str = ""

    @property
    def stretch(self) -> tuple[str, str]:
        """What two nights must share to be compared: reference build and start profile."""
        return self.reference, self.profile


@dataclass(frozen=True, slots=True)
class NightHistory:
    """All nights of one file.

    Attributes:
        name: Name of the history, such as `nightly`.
        nights: Nights in the order of time.
        notes: Remarks for the reader, each a sentence.
        reports: Names of the nights that have a full report on the site.
    """

    name: str
    nights: tuple[Night, ...]
    notes: tuple[str, ...] = ()
    reports: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class DatedSeries:
    """A judged series of one stretch, and the night of each of its points.

    Attributes:
        judged: Series with its change points.
        nights: Index of the night of each value, shape (n,).
    """

    judged: JudgedSeries
    nights: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DatedRelease:
    """A release of the product: its tag, its commit and the time of the tag."""

    name: str
    commit: str
    time: datetime


@dataclass(frozen=True, slots=True)
class ProductSource:
    """The repository of the product.

    Attributes:
        url: Address of its page, such as `https://github.com/milo-os/milo`; empty if unknown.
        releases: Releases in the order of time.
    """

    url: str = ""
    releases: tuple[DatedRelease, ...] = ()
