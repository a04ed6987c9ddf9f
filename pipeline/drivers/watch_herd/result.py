"""Read the results of the program `watch-herd`, and build a `Load` from them.

Pods divide a load by Projects, so counts are sums, and samples are put together before any
percentile is taken.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.drivers.pod_clocks import late_starts
from pipeline.drivers.watch_herd.settings import QUANTILES, WatchHerd
from pipeline.model.ports import Load, Span
from pipeline.model.results import Reading
from pipeline.model.subject import Arm
from pipeline.system.errors import LoadError

_MAX_LATE = 0.02
"""Share of an arm's writes and lists that may begin over 0.1 s late."""

_BUSY_GENERATOR = 0.5
_MAX_REFUSED = 0.5  # share of the writes and lists that one arm may refuse


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
    """What became of the events of one arm; see `account` in go/watch-herd/ledger.go.

    Of pods, only the first has `usage`, which is that of the servers under the load of all.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    expected: int
    delivered: int
    lost: int
    duplicated: int
    out_of_order: int
    foreign: int
    bookmarks: int
    restarts: dict[str, int]
    lag_s: list[float]
    writes: int
    refused: dict[str, int]
    write_s: list[float]
    list_s: dict[str, list[float]]
    synced_s: float
    watches: int
    late: int
    usage: dict[Literal["before", "open", "ended"], ServerUsage]
    usage_error: str = ""
    failed: str = ""


class HerdResult(BaseModel):
    """The file that the program leaves; `cpu_share` is its share of the processors."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    arms: dict[Arm, ArmAccount]
    began_s: float
    ended_s: float
    cpu_share: float


def read_result(path: Path) -> HerdResult:
    """Return the result in a file, or raise LoadError."""
    try:
        return HerdResult.model_validate_json(path.read_bytes(), strict=True)
    except (OSError, ValidationError) as error:
        raise LoadError(f"{path}: not the result of a herd of watches: {error}") from error


def merge_results(parts: Sequence[HerdResult]) -> HerdResult:
    """Return the result of a load that one or more processes divided.

    The load is over when the last process has ended; watches are in step when the last one is.
    """
    return HerdResult(
        arms={arm: _merge_accounts([one.arms[arm] for one in parts]) for arm in parts[0].arms},
        began_s=min(one.began_s for one in parts),
        ended_s=max(one.ended_s for one in parts),
        cpu_share=max(one.cpu_share for one in parts),
    )


def _merge_accounts(parts: Sequence[ArmAccount]) -> ArmAccount:
    return ArmAccount(
        expected=sum(one.expected for one in parts),
        delivered=sum(one.delivered for one in parts),
        lost=sum(one.lost for one in parts),
        duplicated=sum(one.duplicated for one in parts),
        out_of_order=sum(one.out_of_order for one in parts),
        foreign=sum(one.foreign for one in parts),
        bookmarks=sum(one.bookmarks for one in parts),
        restarts=_sums(one.restarts for one in parts),
        lag_s=[value for one in parts for value in one.lag_s],
        writes=sum(one.writes for one in parts),
        refused=_sums(one.refused for one in parts),
        write_s=[value for one in parts for value in one.write_s],
        list_s={
            way: [value for one in parts for value in one.list_s.get(way, ())]
            for way in sorted({way for one in parts for way in one.list_s})
        },
        synced_s=max(one.synced_s for one in parts),
        watches=sum(one.watches for one in parts),
        late=sum(one.late for one in parts),
        usage=next((one.usage for one in parts if one.usage), {}),
        usage_error=next(filter(None, (one.usage_error for one in parts)), ""),
        failed=next(filter(None, (one.failed for one in parts)), ""),
    )


def _sums(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def judge_herd(settings: WatchHerd, parts: Mapping[str, HerdResult]) -> Load:
    """Return the load with its readings, and reasons if the load is invalid.

    What a generator does wrong makes the load invalid: requests that begin late, too little CPU.
    What the build does is measured: lost events, refused writes, restarts.

    Args:
        settings: Settings of the load.
        parts: Results of the processes that divided the load, at least one, by their display names.
    """
    result = merge_results(list(parts.values()))
    span = Span(result.began_s, result.ended_s)
    failed = {arm: one.failed for arm, one in result.arms.items() if one.failed}
    if failed:
        return Load.without_readings(result.arms, span, failed)
    planned = (settings.rate + settings.list_rate) * settings.duration_s
    warnings = [
        f"{name} used {one.cpu_share:.0%} of the processors that it shares with the builds"
        for name, one in parts.items()
        if _BUSY_GENERATOR < one.cpu_share <= settings.max_generator_cpu
    ]
    warnings += [
        f"what watches use of the {arm} is unknown: {one.usage_error}"
        for arm, one in result.arms.items()
        if one.usage_error
    ]
    readings = {
        arm: (*_readings(one, planned), Reading("generator_cpu_share", result.cpu_share, "1"))
        for arm, one in result.arms.items()
    }
    failing = {
        arm: f"{sum(one.refused.values())} requests to the {arm} failed: {_most(one.refused)}"
        for arm, one in result.arms.items()
        if sum(one.refused.values()) > _MAX_REFUSED * planned
    }
    spans = dict.fromkeys(result.arms, span)
    invalid = tuple(_generator_faults(settings, parts, planned))
    return Load(readings, spans, invalid, tuple(warnings), failing)


def _generator_faults(
    settings: WatchHerd, parts: Mapping[str, HerdResult], planned: float
) -> Iterator[str]:
    """Yield a sentence for each thing that a process did wrong, so that the load does not count."""
    share = planned / len(parts)
    for name, result in parts.items():
        if result.cpu_share > settings.max_generator_cpu:
            yield (
                f"{name} used {result.cpu_share:.0%} of the processors, and"
                f" {settings.max_generator_cpu:.0%} is the limit"
            )
        for arm, one in result.arms.items():
            if one.late > max(_MAX_LATE * share, 1):
                yield (
                    f"{name}: {one.late} of {share:.0f} requests to the {arm} began over 0.1 s late"
                )
    yield from late_starts({name: one.began_s for name, one in parts.items()})


def _readings(one: ArmAccount, planned: float) -> Iterator[Reading]:
    for name, times in (("watch_lag", one.lag_s), ("herd_write", one.write_s)):
        for quantile, value in percentiles(times).items():
            yield Reading(f"{name}/{quantile}", value, "s")
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


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return exact percentiles by linear interpolation, as those of k6; none without values."""
    import numpy as np

    if not values:
        return {}
    found = np.quantile(values, list(QUANTILES.values()))
    return dict(zip(QUANTILES, found.tolist(), strict=True))


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
    yield Reading("heap_ended", ended.heap, "B")


def _most(refused: Mapping[str, int]) -> str:
    return max(refused, key=lambda reason: refused[reason])
