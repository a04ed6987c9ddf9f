"""The output of `history --json`, and its JSON Schema."""

import json
from collections.abc import Sequence
from typing import Any, Final, Literal

from pydantic import Field

from pipeline.model.history import ChangePoint, JudgedSeries
from pipeline.model.metric import Better, Scale
from pipeline.storage.settings import Settings

# 1: the first version.
HISTORY: Final = "milo-perf.history/1"


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
    time: str
    commit: str | None
    earliest: int
    latest: int
    commit_before: str | None
    commit_latest: str | None
    change: float
    low: float
    high: float
    worse: bool
    acknowledged: str | None


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
    per_30_points: float
    low: float
    high: float
    worse: bool


class WeeklyEntry(Settings):
    """A pattern of seven days, or points, that was removed before the analysis.

    Attributes:
        days: Difference of each day from a typical one: ratios, or amounts.  From Monday if
            `dated`, otherwise from the first point that is analysed.
        dated: Whether these are days of the week.
    """

    days: tuple[float, ...] = Field(min_length=7, max_length=7)
    dated: bool


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
    series, drift, rhythm = judged.series, judged.drift, judged.rhythm
    return SeriesEntry(
        series=series.name,
        scale=series.scale,
        better=series.better,
        points=series.left_out + len(series.values),
        changes=tuple(map(_change, judged.steps)),
        drift=DriftEntry(
            start=drift.start,
            end=drift.end,
            per_30_points=drift.change,
            low=drift.low,
            high=drift.high,
            worse=drift.is_worse,
        )
        if drift
        else None,
        weekly=WeeklyEntry(days=rhythm.changes, dated=rhythm.is_dated) if rhythm else None,
        too_short=TooShort(points=len(series.values), needed=judged.needed)
        if judged.needed is not None
        else None,
        notes=judged.notes,
    )


def _change(step: ChangePoint) -> ChangeEntry:
    return ChangeEntry(
        index=step.index,
        time=step.after.time,
        commit=step.after.commit or None,
        earliest=step.first,
        latest=step.last,
        commit_before=step.before.commit or None,
        commit_latest=step.until.commit or None,
        change=step.change,
        low=step.low,
        high=step.high,
        worse=step.is_worse,
        acknowledged=step.acknowledged or None,
    )
