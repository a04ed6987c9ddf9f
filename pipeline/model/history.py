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
    """

    name: str
    values: Sequence[float]
    scale: Scale = Scale.RATIO
    better: Better = Better.LOWER
    left_out: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
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
        index: Of the first point after it, from 0.
        change: A ratio (0.05 is +5 %) or, on the difference scale, an amount.
        low: End of the interval of the change.
        high: The other end.
        is_worse: Whether it went away from what is better.
        after: Of its first point.
        before: Of the last point before it; what changed lies between the two commits.
        acknowledged: The reason why it does not alarm; empty when it does.
    """

    index: int
    change: float
    low: float
    high: float
    is_worse: bool
    after: Place = Place("")
    before: Place = Place("")
    acknowledged: str = ""

    @property
    def alarms(self) -> bool:
        """Whether somebody should look: it is worse, and nobody has said why."""
        return self.is_worse and not self.acknowledged


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
    """

    line: Line
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    first: Place = Place("")
    last: Place = Place("")
