"""The history of a metric over many runs, and the change points in it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.model.metric import Better, Scale


@dataclass(frozen=True, slots=True)
class HistorySeries:
    """The points of one series, in the order of time.

    Attributes:
        values: Finite values in any unit, shape (n,); above 0 on the ratio scale.
        scale: How levels are compared.
        left_out: Number of older points that are not analysed.
        notes: Remarks for the reader, each a sentence.
        days: Days since 1970-01-01 (UTC) of each point, ascending, shape (n,); empty without dates.
    """

    name: str
    values: Sequence[float]
    scale: Scale = Scale.RATIO
    better: Better = Better.LOWER
    left_out: int = 0
    notes: tuple[str, ...] = ()
    days: Sequence[int] = ()

    def __post_init__(self) -> None:
        if self.days and len(self.days) != len(self.values):
            raise ValueError(f"{self.name}: a day for each point, or for none")
        if self.scale is Scale.RATIO and len(self.values) and not min(self.values) > 0:
            raise ValueError(f"{self.name}: a ratio needs values above 0")


_HEX = re.compile(r"(?:sha256:)?([0-9a-f]{7,64})", re.IGNORECASE)  # a commit, or a binary's digest
_MIN_COMMIT_ID = 20  # digits


def is_commit_id(text: str) -> bool:
    """Return True if a text is a commit id, or a digest, that may be abbreviated."""
    found = _HEX.fullmatch(text)
    return found is not None and len(found[1]) >= _MIN_COMMIT_ID


def is_same_commit(one: str, other: str) -> bool:
    """Return True if two texts name the same commit; one of them may be abbreviated."""
    short, long = sorted((one.lower(), other.lower()), key=len)
    if short == long:
        return True
    if not (long.startswith(short) and _HEX.fullmatch(short) and _HEX.fullmatch(long)):
        return False
    return is_commit_id(long) or not short.isdecimal()  # digits alone may be a count or a date


def is_one_of(commit: str, commits: Iterable[str]) -> bool:
    """Return True if a commit is one of some, any of which may be abbreviated."""
    return any(is_same_commit(commit, one) for one in commits)


@dataclass(frozen=True, slots=True)
class CommitRef:
    """Time and commit of a point; empty where the source has none."""

    time: str
    commit: str = ""


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A lasting change of a series.

    Attributes:
        index: Index of the most likely first point after the change, from 0.
        change: Ratio (0.05 is +5 %) or, on the difference scale, an amount.
        earliest: Index of the earliest point that may be the first after it; None for `index`.
        latest: Index of the latest one; None for `index`.
        after: Time and commit of the point at `index`.
        before: Time and commit of the last point before `earliest`.
        until: Time and commit of the point at `latest`.  The cause is after the commit of `before`,
            up to and including this one.
        acknowledged: Reason why it does not alarm; empty if it does.
    """

    index: int
    change: float
    low: float
    high: float
    is_worse: bool
    earliest: int | None = None
    latest: int | None = None
    after: CommitRef = CommitRef("")
    before: CommitRef = CommitRef("")
    until: CommitRef = CommitRef("")
    acknowledged: str = ""

    def __post_init__(self) -> None:
        if not self.first <= self.index <= self.last:
            raise ValueError(f"step at {self.index}: not within {self.first} to {self.last}")

    @property
    def first(self) -> int:
        """Index of the earliest point that may be the first after the change."""
        return self.index if self.earliest is None else self.earliest

    @property
    def last(self) -> int:
        """Index of the latest point that may be the first after the change."""
        return self.index if self.latest is None else self.latest

    @property
    def alarms(self) -> bool:
        """Whether it is an unacknowledged regression."""
        return self.is_worse and not self.acknowledged


DRIFT_POINTS = 30
"""Number of points over which the change of a drift is reported."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A slow, steady change of a series, as opposed to a change point.

    Attributes:
        change: Change over `DRIFT_POINTS` points: ratio (0.05 is +5 %) or amount.
    """

    start: int
    end: int
    change: float
    low: float
    high: float
    is_worse: bool


@dataclass(frozen=True, slots=True)
class WeeklyPattern:
    """How a series differs by the day of the week.

    Attributes:
        changes: Difference of each day from a typical one, from Monday, shape (7,): ratios or
            amounts.
        is_dated: Whether the source has dates; otherwise every seventh point counts as one day.
    """

    changes: tuple[float, ...]
    is_dated: bool


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The reason why a change point is expected.

    Attributes:
        commit: Commit of the first point after the change; empty if `index` is given.
        index: Index of that point, from 0; None if `commit` is given.
    """

    series: str
    reason: str
    commit: str = ""
    index: int | None = None

    def __post_init__(self) -> None:
        if bool(self.commit) == (self.index is not None):
            raise ValueError("name the step by its `commit` or by its `index`, by one of them")
        if not self.reason.strip():
            raise ValueError("reason: say why")


@dataclass(frozen=True, slots=True)
class JudgedSeries:
    """A series with its change points.

    Attributes:
        steps: Change points in the order of time.
        notes: Remarks for the reader, each a sentence.
        first: Time and commit of the oldest point that is analysed; empty unless requested.
        last: Time and commit of the newest point; empty unless requested.
        drift: Drift below the steps, if any.
        rhythm: Weekly pattern that was removed before the analysis, if any.
        needed: Number of points needed to see any step, if there are fewer; otherwise None.
    """

    series: HistorySeries
    steps: tuple[ChangePoint, ...]
    notes: tuple[str, ...] = ()
    first: CommitRef = CommitRef("")
    last: CommitRef = CommitRef("")
    drift: Drift | None = None
    rhythm: WeeklyPattern | None = None
    needed: int | None = None
