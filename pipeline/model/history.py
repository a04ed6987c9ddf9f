"""The history of a metric, night after night, and the steps in it."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.model.metric import Better, Scale


@dataclass(frozen=True, slots=True)
class Line:
    """The points of one series, in the order of time.

    Attributes:
        name: Of the series.
        values: Shape (n,), any unit, finite; above 0 on the ratio scale.
        scale: How levels are set against each other.
        better: Which direction is an improvement.
        left_out: How many older points there are that are not looked at.
        notes: What a reader should know, each a sentence.
        weekdays: Day of the week of each point, from 0 for Monday, shape (n,); empty where the
            source has no dates.
    """

    name: str
    values: Sequence[float]
    scale: Scale = Scale.RATIO
    better: Better = Better.LOWER
    left_out: int = 0
    notes: tuple[str, ...] = ()
    weekdays: Sequence[int] = ()

    def __post_init__(self) -> None:
        if self.weekdays and len(self.weekdays) != len(self.values):
            raise ValueError(f"{self.name}: a day of the week for each point, or for none")
        if self.scale is Scale.RATIO and len(self.values) and not min(self.values) > 0:
            raise ValueError(f"{self.name}: a ratio needs values above 0")


@dataclass(frozen=True, slots=True)
class Place:
    """When a point was measured, and on which commit; empty where the source does not say."""

    time: str
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A lasting change of a series.

    Attributes:
        index: Of the most likely first point after it, from 0.
        change: A ratio (0.05 is +5 %) or, on the difference scale, an amount.
        low: End of the interval of the change.
        high: The other end.
        is_worse: Whether it went away from what is better.
        earliest: Index of the earliest point that may be the first after it; None for `index`.
        latest: Index of the latest one; None for `index`.
        after: Place of the point at `index`.
        before: Place of the last point before `earliest`.
        until: Place of the point at `latest`.  What changed is after the commit of `before`, and at
            most at this one.
        acknowledged: The reason why it does not alarm; empty when it does.
    """

    index: int
    change: float
    low: float
    high: float
    is_worse: bool
    earliest: int | None = None
    latest: int | None = None
    after: Place = Place("")
    before: Place = Place("")
    until: Place = Place("")
    acknowledged: str = ""

    def __post_init__(self) -> None:
        if not self.first <= self.index <= self.last:
            raise ValueError(f"step at {self.index}: not within {self.first} to {self.last}")

    @property
    def first(self) -> int:
        """Index of the earliest point that may be the first after the step."""
        return self.index if self.earliest is None else self.earliest

    @property
    def last(self) -> int:
        """Index of the latest point that may be the first after the step."""
        return self.index if self.latest is None else self.latest

    @property
    def alarms(self) -> bool:
        """Whether somebody should look: it is worse, and nobody has said why."""
        return self.is_worse and not self.acknowledged


NIGHTS = 30
"""Points in which the change of a drift is told."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A slow, steady change of a series, which is no step.

    Attributes:
        start: Index of its first point.
        end: Index of its last point.
        change: In 30 points: a ratio (0.05 is +5 %) or, on the difference scale, an amount.
        low: End of the interval of the change.
        high: The other end.
        is_worse: Whether it goes away from what is better.
    """

    start: int
    end: int
    change: float
    low: float
    high: float
    is_worse: bool


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A series that differs by the day of the week.

    Attributes:
        changes: Of each day against a typical one, from Monday, shape (7,): ratios or amounts.
        is_dated: Whether days are days of the week; otherwise every seventh point is one day.
    """

    changes: tuple[float, ...]
    is_dated: bool


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A step that somebody has explained.

    Attributes:
        series: Its name.
        reason: Why it does not alarm.
        commit: Of the step's first point; empty when `index` is given.
        index: Of the step's first point, from 0; None when `commit` is given.
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
class Judged:
    """A series with its steps.

    Attributes:
        line: The series.
        steps: In the order of time.
        notes: What a reader should know, each a sentence.
        first: Of the oldest point that is looked at; empty where nobody asked for it.
        last: Of the newest point.
        drift: That lies under the steps, if any.
        rhythm: Of the week, which was taken away before steps were looked for, if any.
        needed: Points that it takes to see any step, where there are fewer; otherwise None.
    """

    line: Line
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    first: Place = Place("")
    last: Place = Place("")
    drift: Drift | None = None
    rhythm: Rhythm | None = None
    needed: int | None = None
