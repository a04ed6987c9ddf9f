"""Read the result of the program `watch-herd`, and build a `Load` from it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.drivers.watch_herd.settings import WatchHerd
from pipeline.model.ports import Load, Span
from pipeline.model.results import Reading
from pipeline.model.subject import Arm
from pipeline.system.errors import LoadError

_MAX_LATE = 0.02
"""Share of an arm's writes that may begin over 0.1 s late."""

_BUSY_GENERATOR = 0.5
_MAX_REFUSED = 0.5  # share of the writes that one arm may refuse


_REASONS = ("ended", "410", "429", "connection")
"""Reasons of a restart that are always counted: the server ended the watch, its version is too old,
the server had too many requests, or the connection broke.  Other reasons are other HTTP statuses.
"""

_TIMED_OUT = "timeout"
"""Reason of a restart that the watch asked for; it is no disturbance."""


_BEFORE_START = "start: "
"""Beginning of the reason of a restart of a watch that was never in step.  A server may refuse many
watches that begin at once.
"""


class ServerUsage(BaseModel):
    """Goroutines, and live heap in bytes, of the API servers of one arm at one moment."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    goroutines: float
    heap: float


class ArmAccount(BaseModel):
    """What became of the events of one arm; see `account` in go/watch-herd/ledger.go."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    expected: int
    delivered: int
    lost: int
    duplicated: int
    out_of_order: int
    foreign: int
    bookmarks: int
    restarts: dict[str, int]
    lag_s: dict[str, float]
    writes: int
    refused: dict[str, int]
    write_s: dict[str, float]
    list_s: dict[str, list[float]]
    synced_s: float
    watches: int
    late: int
    usage: dict[Literal["before", "open", "ended"], ServerUsage]
    usage_error: str = ""
    failed: str = ""


class HerdResult(BaseModel):
    """The file that the program leaves."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    arms: dict[Arm, ArmAccount]
    began_s: float
    ended_s: float
    cpu_s: float


def read_result(path: Path) -> HerdResult:
    """Return the result in a file, or raise LoadError."""
    try:
        return HerdResult.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise LoadError(f"{path}: not the result of a herd of watches: {error}") from error


def judge_herd(settings: WatchHerd, result: HerdResult, processors: int) -> Load:
    """Return the load with its readings, and reasons if the load is invalid.

    What the generator does wrong makes the load invalid: writes that begin late, too little CPU.
    What the build does is measured: lost events, refused writes, restarts.
    """
    span = Span(result.began_s, result.ended_s)
    failed = {arm: one.failed for arm, one in result.arms.items() if one.failed}
    if failed:
        return Load.without_readings(result.arms, span, failed)
    cpu = result.cpu_s / max(result.ended_s - result.began_s, 1e-3) / processors
    invalid, warnings = [], []
    if cpu > settings.max_generator_cpu:
        limit = settings.max_generator_cpu
        invalid.append(f"watch-herd used {cpu:.0%} of the processors, and {limit:.0%} is the limit")
    elif cpu > _BUSY_GENERATOR:
        warnings.append(
            f"watch-herd used {cpu:.0%} of the processors that it shares with the builds"
        )
    warnings += [
        f"what watches use of the {arm} is unknown: {one.usage_error}"
        for arm, one in result.arms.items()
        if one.usage_error
    ]
    planned = settings.rate * settings.duration_s
    invalid += [
        f"{one.late} of {planned:.0f} writes to the {arm} began over 0.1 s late"
        for arm, one in result.arms.items()
        if one.late > _MAX_LATE * planned
    ]
    readings = {
        arm: (*_readings(one, planned), Reading("generator_cpu_share", cpu, "1"))
        for arm, one in result.arms.items()
    }
    failing = {
        arm: f"{sum(one.refused.values())} requests to the {arm} failed: {_most(one.refused)}"
        for arm, one in result.arms.items()
        if sum(one.refused.values()) > _MAX_REFUSED * planned
    }
    spans = dict.fromkeys(result.arms, span)
    return Load(readings, spans, tuple(invalid), tuple(warnings), failing)


def _readings(one: ArmAccount, planned: float) -> Iterator[Reading]:
    for name in ("p50", "p95", "p99", "max"):
        if name in one.lag_s:
            yield Reading(f"watch_lag/{name}", one.lag_s[name], "s")
        if name in one.write_s:
            yield Reading(f"herd_write/{name}", one.write_s[name], "s")
    for kind, times in one.list_s.items():
        yield Reading(f"herd_list{{way={kind}}}/p50", sorted(times)[len(times) // 2], "s")
    yield Reading("events_delivered", one.delivered, "1")
    # Shares of the events that all watches were to show.
    for name, count in (
        ("events_lost", one.lost),
        ("events_duplicated", one.duplicated),
        ("events_out_of_order", one.out_of_order),
        ("events_of_other_projects", one.foreign),
    ):
        possible = max(one.expected, count, 1)
        yield Reading(name, count / possible, "1", denominator=possible)
    yield Reading("watch_bookmarks", one.bookmarks, "1")
    restarts = dict.fromkeys(_REASONS, 0) | one.restarts
    yield Reading("watch_timeouts", restarts.pop(_TIMED_OUT, 0), "1")
    starts = [reason for reason in restarts if reason.startswith(_BEFORE_START)]
    yield Reading("watch_start_retries", sum(map(restarts.pop, starts)), "1")
    yield Reading("watch_restarts", sum(restarts.values()), "1")
    for reason, count in sorted(restarts.items()):
        yield Reading(f"watch_restarts{{reason={reason}}}", count, "1")
    yield from _usage_readings(one)
    yield Reading("watches_synced", one.synced_s, "s")
    yield Reading("requests", one.writes, "1")
    refused = sum(one.refused.values())
    yield Reading("errors_share", refused / max(planned, 1), "1", denominator=planned)


def _usage_readings(one: ArmAccount) -> Iterator[Reading]:
    """Yield the cost of an open watch, and what was left after all watches had ended."""
    if one.usage.keys() != {"before", "open", "ended"}:
        return
    before, opened, ended = (one.usage[moment] for moment in ("before", "open", "ended"))
    watches = max(one.watches, 1)
    goroutines = max(opened.goroutines - before.goroutines, 0.0)
    yield Reading("watch_goroutines", goroutines / watches, "1")
    yield Reading("watch_heap", max(opened.heap - before.heap, 0.0) / watches, "B")
    # Below 0, the server freed what it had used before the watches began.
    yield Reading("goroutines_left", max(ended.goroutines - before.goroutines, 0.0), "1")
    yield Reading("heap_left", max(ended.heap - before.heap, 0.0), "B")


def _most(refused: Mapping[str, int]) -> str:
    return max(refused, key=lambda reason: refused[reason])
