"""The output of `history --json`, and its JSON Schema."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import AliasPath, BeforeValidator, Field

from pipeline.model.history import JudgedSeries
from pipeline.model.metric import Better, Scale
from pipeline.storage.settings import Settings

# 1: the first version.
HISTORY: Final = "milo-perf.history/1"

_Text = Annotated[str | None, BeforeValidator(lambda text: text or None)]
"""Text that is null if it is empty."""


class ChangeEntry(Settings):
    """A change point.

    Attributes:
        index: Index of the most likely first point after the change, from 0.
        time: Time of that point.
        commit: Commit of that point.
        earliest: Index of the earliest point that may be the first after it (95 % confidence).
        latest: Index of the latest one.
        commit_before: Commit of the last point before `earliest`.
        commit_latest: Commit of the point `latest`; the cause is after `commit_before`, up to and
            including this one.
        change: Ratio (0.05 is +5 %), or amount on the difference scale.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        worse: Whether it is a regression.
        acknowledged: Reason why it does not alarm.
    """

    index: int
    time: str = Field(validation_alias=AliasPath("after", "time"))
    commit: _Text = Field(validation_alias=AliasPath("after", "commit"))
    earliest: int = Field(validation_alias="first")
    latest: int = Field(validation_alias="last")
    commit_before: _Text = Field(validation_alias=AliasPath("before", "commit"))
    commit_latest: _Text = Field(validation_alias=AliasPath("until", "commit"))
    change: float
    low: float
    high: float
    worse: bool = Field(validation_alias="is_worse")
    acknowledged: _Text


class DriftEntry(Settings):
    """A slow, steady change, which does not alarm.

    Attributes:
        start: Index of its first point, from 0.
        end: Index of its last point.
        per_30_points: Change over 30 points: ratio (0.05 is +5 %), or amount.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        worse: Whether the change is for the worse.
    """

    start: int
    end: int
    per_30_points: float = Field(validation_alias="change")
    low: float
    high: float
    worse: bool = Field(validation_alias="is_worse")


class WeeklyEntry(Settings):
    """A pattern of seven days, or points, that was removed before the analysis.

    Attributes:
        days: Difference of each day from a typical one: ratios, or amounts.  From Monday if
            `dated`, otherwise from the first point that is analysed.
        dated: Whether these are days of the week.
    """

    days: tuple[float, ...] = Field(min_length=7, max_length=7, validation_alias="changes")
    dated: bool = Field(validation_alias="is_dated")


class TooShort(Settings):
    """A series with too few points to see any change.

    Attributes:
        points: Number of its points.
        needed: Number of points needed.
    """

    points: int
    needed: int


class SeriesEntry(Settings):
    """One series.

    Attributes:
        series: Name of the series.
        scale: How levels are compared.
        better: Direction of an improvement.
        points: Number of its points, including those that are not analysed.
        changes: Change points in the order of time.
        drift: Slow change, if any.
        weekly: Weekly pattern, if any.
        too_short: Reason why nothing can be said; null if something can.
        notes: Remarks for the reader.
    """

    series: str
    scale: Scale
    better: Better
    points: int
    changes: tuple[ChangeEntry, ...]
    drift: DriftEntry | None
    weekly: WeeklyEntry | None
    too_short: TooShort | None
    notes: tuple[str, ...]


class HistoryAnswer(Settings):
    """The output of `history --json`."""

    schema_name: Literal["milo-perf.history/1"] = Field(default=HISTORY, alias="schema")
    series: tuple[SeriesEntry, ...]


def history_json(histories: Sequence[JudgedSeries]) -> str:
    """Return the change points of every series as JSON."""
    answer = HistoryAnswer(series=tuple(map(_series, histories)))
    body = answer.model_dump(mode="json", by_alias=True)
    return json.dumps(body, indent=1, allow_nan=False) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the output."""
    return HistoryAnswer.model_json_schema(mode="serialization", by_alias=True)


def _series(judged: JudgedSeries) -> SeriesEntry:
    series, needed = judged.series, judged.needed
    changes = (ChangeEntry.model_validate(step, from_attributes=True) for step in judged.steps)
    return SeriesEntry(
        series=series.name,
        scale=series.scale,
        better=series.better,
        points=series.left_out + len(series.values),
        changes=tuple(changes),
        drift=judged.drift and DriftEntry.model_validate(judged.drift, from_attributes=True),
        weekly=judged.rhythm and WeeklyEntry.model_validate(judged.rhythm, from_attributes=True),
        too_short=None if needed is None else TooShort(points=len(series.values), needed=needed),
        notes=judged.notes,
    )
