"""What `history --json` prints: its shape, and its schema."""

import json
from collections.abc import Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.model.history import Drift, Judged, Rhythm, Step
from pipeline.model.metric import Better, Scale

# 1: the first version.
HISTORY: Final = "milo-perf.history/1"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Change(_Strict):
    """A step.

    Attributes:
        index: Most likely first point after it, from 0.
        time: When that point was measured.
        commit: What was measured there.
        earliest: Earliest point that may be the first after it, with a confidence of 95 %.
        latest: Latest point that may be.
        commit_before: Commit of the last point before `earliest`.
        commit_latest: Commit of the point `latest`: what changed is after `commit_before`, up to
            this one.
        change: Ratio (0.05 is +5 %), or amount on the difference scale.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        worse: Whether it is a regression.
        acknowledged: Why it does not alarm.
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


class Drifting(_Strict):
    """A slow, steady change, which is no step and does not alarm.

    Attributes:
        start: Its first point, from 0.
        end: Its last point.
        per_30_points: Change in 30 points: ratio (0.05 is +5 %), or amount.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        worse: Whether it goes away from what is better.
    """

    start: int
    end: int
    per_30_points: float
    low: float
    high: float
    worse: bool


class Weekly(_Strict):
    """A rhythm of seven days, or points, that was removed before steps were looked for.

    Attributes:
        days: Change of each against a typical one: ratios, or amounts.  From Monday where `dated`,
            otherwise from the first point that is looked at.
        dated: Whether these are days of the week.
    """

    days: tuple[float, ...] = Field(min_length=7, max_length=7)
    dated: bool


class TooShort(_Strict):
    """A series with fewer points than it takes to see any step.

    Attributes:
        points: That it has.
        needed: That it takes.
    """

    points: int
    needed: int


class SeriesOfPoints(_Strict):
    """One series.

    Attributes:
        series: Its name.
        scale: How levels are compared.
        better: Which direction is an improvement.
        points: That it has, those not looked at included.
        changes: Its steps, in the order of time.
        drift: Its slow change, if any.
        weekly: Its rhythm of the week, if any.
        too_short: Why nothing can be said of it; null where something can.
        notes: What a reader should know.
    """

    series: str
    scale: Scale
    better: Better
    points: int
    changes: tuple[Change, ...]
    drift: Drifting | None
    weekly: Weekly | None
    too_short: TooShort | None
    notes: tuple[str, ...]


class Answer(_Strict):
    """What `history --json` prints."""

    schema_name: Literal["milo-perf.history/1"] = Field(default=HISTORY, alias="schema")
    series: tuple[SeriesOfPoints, ...]


def history_json(histories: Sequence[Judged]) -> str:
    """Return the steps of every series as JSON."""
    answer = Answer(series=tuple(map(_series, histories)))
    body = answer.model_dump(mode="json", by_alias=True)
    return json.dumps(body, indent=1, allow_nan=False) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the answer."""
    return Answer.model_json_schema(mode="serialization", by_alias=True)


def _series(judged: Judged) -> SeriesOfPoints:
    line = judged.line
    return SeriesOfPoints(
        series=line.name,
        scale=line.scale,
        better=line.better,
        points=line.left_out + len(line.values),
        changes=tuple(map(_change, judged.steps)),
        drift=_drift(judged.drift) if judged.drift else None,
        weekly=_weekly(judged.rhythm) if judged.rhythm else None,
        too_short=(
            None
            if judged.needed is None
            else TooShort(points=len(line.values), needed=judged.needed)
        ),
        notes=judged.notes,
    )


def _change(step: Step) -> Change:
    return Change(
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


def _drift(drift: Drift) -> Drifting:
    return Drifting(
        start=drift.start,
        end=drift.end,
        per_30_points=drift.change,
        low=drift.low,
        high=drift.high,
        worse=drift.is_worse,
    )


def _weekly(rhythm: Rhythm) -> Weekly:
    return Weekly(days=rhythm.changes, dated=rhythm.is_dated)
