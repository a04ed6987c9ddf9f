"""Summarize the raw points of k6: exact percentiles, one value per trial, nothing pooled.

k6 writes one line per metric and request.  The tags that `k6_scripts/lib` sets select the points:
`arm`, `phase` (`connect`, `warmup`, `load`), `op`, `beside` on work beside the load, and `unit` on
custom metrics made of times.  A custom metric without `unit` is a counter.  Each point of the
counter `cycles` is the end of a cycle: a mark of the span.

A deadline cuts a time off: a request at its timeout (k6's error code 1050), an operation that the
script gave up (the tag `cut`).  Such a time is right-censored: the true one is at least as long.
Percentiles that it may lie below are lower bounds, and so is the mean (`Reading.at_least`).
Requests without an answer or with an error are in `errors_share` and in no time: an error is not a
fast answer.

| reading | unit | meaning |
| :-- | :-- | :-- |
| `http_req_duration/p50` | s | p50, p90, p95, p97, p99, mean; answers and timeouts under load |
| `http_req_duration/p50_error` | s | error of that percentile from chance within the trial |
| `http_req_duration/p50_effective` | 1 | number of independent requests that it is worth |
| `http_req_duration/count` | 1 | number of requests |
| `http_req_duration_relative/p97` … | 1 | the same of times over the median of their operation |
| `NAME/p50` … | s | the same of a custom metric made of times, such as `project_ready` |
| `errors_share` | 1 | share of requests under load without an answer in time, or with 400 and up |
| `timed_out` | s | total time of the requests under load that were given up |
| `reads` | 1 | requests for one Secret or ConfigMap of the arm, in every phase but setup |
| `reads_given_up` | 1 | number of these that were given up |
| `cut_off` | 1 | times of the phase `load` that a deadline cut off |
| `iterations` | 1 | iterations of the phase `load` that ended, except those tagged `beside` |
| `span` | s | length of the span; of fixed work, the duration of all of it |
| `requests` | 1 | every request of the arm that began within the span, watches too |
| `NAME` | 1 | sum of a counter over all phases but setup, such as `projects_deleted` |

Each reading also exists by operation, such as `http_req_duration{op=create}/p50`, if `op` is set.
An obeyed "429, come back later" is no answer and no failure: the counter `retries` has it.

`http_req_duration_relative` puts all operations on one scale, so that one percentile describes the
tail of all requests: each time is divided by the median of its operation, pooled over the arms of
this run of k6.  The arms share each divisor, so a ratio of the arms is the same in any unit of
time, and a time that was cut off stays a lower bound.  An operation counts as often as it was
requested; one with too few times for a median is left out.  If the arms take turns, the divisor is
the arm's own median: the reading is then the tail relative to a typical request of the same build,
and only the medians show that all requests became slower.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.drivers.k6.csv_points import HINT, PointSeries, read_series
from pipeline.judge.stats.summary import QUANTILES, min_values, timing_readings
from pipeline.model.ports import Span
from pipeline.model.results import Reading
from pipeline.model.subject import Arm
from pipeline.system.errors import LoadError

if TYPE_CHECKING:
    import numpy as np

REQUEST = "http_req_duration"
RELATIVE = "http_req_duration_relative"
_WATCH = "ws_sessions"
_SENT = (REQUEST, _WATCH)
_MARK = "cycles"
_NOT_PREPARED = "setup_failed"
DEFAULT_ZERO = {
    "retries",
    "projects_created",
    "projects_deleted",
    "projects_never_ready",
    "projects_never_gone",
}
"""Counters that are 0 if they never counted; k6 then writes no point of them."""

NO_COUNTERS = (REQUEST, _WATCH, "iterations", "dropped_iterations")
"""Metrics without the tag `unit` that are no counters of a script."""


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """The points of one arm, summarized.

    Attributes:
        span: Time from the first start of a request of the phase `load`, watches too.  An open
            load ends with the last start of a request, in all arms together.  Fixed work ends
            with the last end of anything, in each arm, because the last request may take longest.
        readings: Readings of the module's table.
        iterations: Number of iterations of the phase `load` that ended.
        failed_share: Share of failed requests of the phase `load`, between 0 and 1.
        timed_out_share: Share of the same requests that had no answer in time.
        unsent_share: Share of the same requests that k6 itself could not send.
        failed_with: Most common failure, such as `status 500`; empty if there is none.
    """

    span: Span
    readings: tuple[Reading, ...]
    iterations: int
    failed_share: float
    timed_out_share: float
    unsent_share: float
    failed_with: str


@dataclass(frozen=True, slots=True)
class PointsSummary:
    """The points of one k6 run; `dropped` are iterations that k6 could not start, in any phase."""

    dropped: int
    arms: Mapping[Arm, ArmSummary]


def read_points(path: Path, arms: Sequence[Arm], *, is_open: bool = True) -> PointsSummary:
    """Return the summary of a file of k6's `csv` output.

    Args:
        path: Compressed file, with times in microseconds.
        arms: Loaded arms; each must have requests.
        is_open: Whether the arms had an open load, and so one span.

    Raises:
        LoadError: The file is missing, cut off or not what k6 writes, or an arm is not in it.
    """
    series = list(read_series(path))
    spans = {}
    for arm in arms:
        if not any(_is_load(s, arm) for s in series if s.metric == REQUEST):
            raise LoadError(f"{path}: no request of the {arm} under load is in it", hint=HINT)
        spans[arm] = _span([s for s in series if _is_load(s, arm)], is_open=is_open)
    if is_open:
        first, last = min(s.start_s for s in spans.values()), max(s.end_s for s in spans.values())
        spans = dict.fromkeys(arms, Span(first, last))
    dropped = sum(int(s.measured.sum()) for s in series if s.metric == "dropped_iterations")
    typical_ms = _medians_ms([s for arm in arms for s in series if _is_load(s, arm)])
    by_arm = {
        arm: _summarize_arm([s for s in series if s.tags.get("arm") == arm], spans[arm], typical_ms)
        for arm in arms
    }
    return PointsSummary(dropped, by_arm)


def arms_not_prepared(path: Path) -> frozenset[str]:
    """Return the arms that a script's setup gave up, by the counter `setup_failed`."""
    failed = (s for s in read_series(path) if s.metric == _NOT_PREPARED)
    return frozenset(s.tags["arm"] for s in failed if "arm" in s.tags)


def _span(load: Sequence[PointSeries], *, is_open: bool) -> Span:
    """Return the span of one arm's load, with the ends of its cycles."""
    starts = [_starts_us(s) for s in load if s.metric in _SENT]
    ends = starts if is_open else [s.times_us for s in load]
    marks = [time / 1e6 for s in load if s.metric == _MARK for time in s.times_us]
    return Span(
        float(min(s.min() for s in starts)) / 1e6,
        float(max(s.max() for s in ends)) / 1e6,
        tuple(sorted(map(float, marks))),
    )


def _summarize_arm(
    series: Sequence[PointSeries], span: Span, typical_ms: Mapping[str, float]
) -> ArmSummary:
    load = [s for s in series if _is_load(s)]
    asked = [s for s in load if s.metric == REQUEST and not s.is_deferred]
    ended = [s for s in load if s.metric == "iterations" and "beside" not in s.tags]
    iterations = sum(len(s.measured) for s in ended)
    reads = [s for s in series if _is_read(s)]
    failures: dict[str, int] = defaultdict(int)
    for one in asked:
        if one.failed:
            failures[_failure(one)] += len(one.measured)
    answered = sum(len(s.measured) for s in asked)
    share = sum(failures.values()) / max(1, answered)
    timed_out = sum(len(s.measured) for s in asked if s.cut_off) / max(1, answered)
    unsent = sum(len(s.measured) for s in asked if s.local_failure) / max(1, answered)
    waited = [s for s in asked if _is_time(s)]
    timed = [*waited, *(s for s in load if "unit" in s.tags)]
    relative = [s for s in waited if s.tags.get("op", "") in typical_ms]
    units_ms = [typical_ms[s.tags.get("op", "")] for s in relative]
    readings = [
        *_timings(timed),
        *(timings(RELATIVE, relative, units_ms=units_ms) if relative else ()),
        *_counts("requests", ((s, [_begun_within(s, span)]) for s in series if s.metric in _SENT)),
        Reading("errors_share", share, "1", denominator=float(answered) or None),
        Reading("iterations", float(iterations), "1"),
        Reading("reads", float(sum(len(s.measured) for s in reads)), "1"),
        Reading("reads_given_up", float(sum(len(s.measured) for s in reads if s.cut_off)), "1"),
        Reading("timed_out", sum(float(s.measured.sum()) for s in asked if s.cut_off) / 1e3, "s"),
        Reading("cut_off", float(sum(len(s.measured) for s in timed if s.cut_off)), "1"),
        Reading("span", span.end_s - span.start_s, "s"),
    ]
    by_counter: dict[str, list[PointSeries]] = {name: [] for name in DEFAULT_ZERO}
    for one in series:
        if _is_counter(one) or one.metric in by_counter:
            by_counter.setdefault(one.metric, []).append(one)
    counters = [
        reading
        for name, of_name in sorted(by_counter.items())
        for reading in _counts(name, ((s, s.measured.tolist()) for s in of_name))
    ]
    return ArmSummary(
        span=span,
        readings=(*readings, *counters),
        iterations=iterations,
        failed_share=share,
        timed_out_share=timed_out,
        unsent_share=unsent,
        failed_with=max(failures, key=lambda name: failures[name], default=""),
    )


def _is_load(series: PointSeries, arm: Arm | None = None) -> bool:
    tags = series.tags
    return tags.get("phase") == "load" and (arm is None or tags.get("arm") == arm)


def _is_time(series: PointSeries) -> bool:
    """Return whether a request was answered, or waited for until its deadline."""
    return (
        series.metric == REQUEST
        and not series.is_deferred
        and (series.cut_off or not series.failed)
    )


def _is_read(series: PointSeries) -> bool:
    tags = series.tags
    of_objects = tags.get("resource") in ("secrets", "configmaps")
    return series.metric == REQUEST and of_objects and tags.get("op", "").startswith("get")


def _is_counter(series: PointSeries) -> bool:
    return "unit" not in series.tags and series.metric not in NO_COUNTERS


def _failure(series: PointSeries) -> str:
    if series.status not in ("", "0"):
        return f"status {series.status}"
    return f"no answer (k6 error {series.error_code or 'unknown'})"


def _starts_us(series: PointSeries) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return the start of each request in microseconds of Unix time; k6 notes its end."""
    if series.metric == _WATCH:
        return series.times_us.astype(float)  # when it opened
    return series.times_us - series.measured * 1e3


def _begun_within(series: PointSeries, span: Span) -> float:
    starts_s = _starts_us(series) / 1e6
    return float(((starts_s >= span.start_s) & (starts_s <= span.end_s)).sum())


def _counts(name: str, parts: Iterable[tuple[PointSeries, Iterable[float]]]) -> Iterator[Reading]:
    """Yield a sum over all operations, then one of each operation; exact in any order."""
    values: dict[str, list[float]] = {name: []}
    for series, part in parts:
        counts = list(part)
        values[name] += counts
        if any(counts) and (op := series.tags.get("op")):
            values.setdefault(f"{name}{{op={op}}}", []).extend(counts)
    for key, one in sorted(values.items()):
        yield Reading(key, math.fsum(one), "1")


def _timings(series: Sequence[PointSeries]) -> Iterator[Reading]:
    """Yield the summary of each metric made of times, over all operations and of each one."""
    parts: dict[str, list[PointSeries]] = defaultdict(list)
    for one in series:
        parts[one.metric].append(one)
        if op := one.tags.get("op"):
            parts[f"{one.metric}{{op={op}}}"].append(one)
    for name, of_name in sorted(parts.items()):
        yield from timings(name, of_name)


def _medians_ms(load: Sequence[PointSeries]) -> dict[str, float]:
    """Return the median time of each operation with enough times, over all arms.

    A median among times that were cut off is too small by an unknown factor.  The factor is the
    same for both arms, so no comparison of them changes.
    """
    import numpy as np

    parts: dict[str, list[PointSeries]] = defaultdict(list)
    for one in load:
        if _is_time(one):
            parts[one.tags.get("op", "")].append(one)
    medians = {}
    for op, of_op in parts.items():
        values = np.concatenate([part.measured for part in of_op])
        if len(values) >= min_values(QUANTILES["p50"]) and (median := float(np.median(values))) > 0:
            medians[op] = median
    return medians


def timings(
    name: str, parts: Sequence[PointSeries], *, units_ms: Sequence[float] = ()
) -> Iterator[Reading]:
    """Yield counts, mean, percentiles and their errors; see `pipeline.judge.stats.summary`.

    `units_ms` has a positive divisor for the times of each part, for readings without a unit.
    """
    import numpy as np

    divisors = units_ms or [1e3] * len(parts)
    values = np.concatenate([part.measured for part in parts])
    lengths = [len(part.measured) for part in parts]
    values /= np.repeat(divisors, lengths)
    cut_off = np.repeat([part.cut_off for part in parts], lengths)
    # Sorted, so that the same points give the same numbers in any order of the file.
    order = np.lexsort((values, np.concatenate([part.times_us for part in parts])))
    yield from timing_readings(name, values[order], cut_off[order], unit="1" if units_ms else "s")
