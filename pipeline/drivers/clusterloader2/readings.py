"""The readings of a ClusterLoader2 report, and warnings for their reader.

| reading | unit | meaning |
| :-- | :-- | :-- |
| `cl2.step{step=create objects}` | s | total duration of the steps of that name |
| `cl2.step{step=create objects}/count` | 1 | number of these steps |
| `cl2.timer{label=total}` | s | time between the start and the stop of a Timer |
| `cl2.availability_share` | 1 | share of `/readyz` requests that were answered |
| `cl2.longest_gap` | s | consecutive failures times the polling interval |
| `cl2.api_latency{verb=POST,resource=secrets,scope=resource}/p50` | s | p50, p90, p99 on the \
server, without webhooks and queueing; `subresource=` stands before `scope` if there is one |
| …`/p50_width` | s | width of the histogram bucket that the percentile lies in |
| …`/count`, …`/slow_count` | 1 | requests; of those, slower than 1 s (lists: 5 or 30 s) |
| `cl2.query{name=Queue,verb=POST}/Perc99` | its own | GenericPrometheusQuery: by the names \
of its queries and its dimensions |

The measurements of a step run concurrently, so a step lasts as long as its longest measurement.
If the name of a latency summary differs from its method, `summary=NAME` is the first label.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from pipeline.drivers.clusterloader2.wire import (
    LATENCY,
    QUERY,
    TIMER,
    ApiAvailability,
    ClusterLoader2Report,
    ReportedStep,
    ReportSummary,
)
from pipeline.model.perfdata import Item
from pipeline.model.results import Reading

# Buckets of `apiserver_request_sli_duration_seconds`, from the source of k8s.io/apiserver v0.34.
_SLI_BOUNDS = (
    *(0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0),
    *(15.0, 20.0, 30.0, 45.0, 60.0),
)
_SLI_FLOOR_S = _SLI_BOUNDS[1]
_WATCH_LIST = "WATCHLIST"  # has another histogram
_PERCENTILES = {"Perc50": "p50", "Perc90": "p90", "Perc99": "p99"}
_LABELS = {"verb": "Verb", "resource": "Resource", "subresource": "Subresource", "scope": "Scope"}
_UNITS = {"bytes": "B", "cores": "1", "count": "1"}  # in our names


def readings(report: ClusterLoader2Report) -> tuple[Reading, ...]:
    """Return all readings, each name once; of two summaries with the same reading, the later one's.

    A quantity that was not measured has no reading.
    """
    by_name = {one.name: one for one in _step_readings(report.steps)}
    for summary in report.summaries:
        by_name |= {one.name: one for one in _summary_readings(summary)}
    return tuple(by_name.values())


def warnings(report: ClusterLoader2Report) -> tuple[str, ...]:
    """Return sentences about readings that may mislead."""
    texts = []
    latencies = [item for s in report.summaries if s.method == LATENCY for item in s.items]
    low = [item for item in latencies if _has_requests(item) and _lowest(item) < _SLI_FLOOR_S]
    if low:
        texts.append(
            f"server-side latencies of {len(low)} of {len(latencies)} kinds of requests are below"
            f" {1e3 * _SLI_FLOOR_S:g} ms, where the server's SLI histogram starts: they are a"
            " guess, and a change below it cannot be seen"
        )
    counts = Counter(summary.name for summary in report.summaries)
    for name, count in counts.items():
        if count > 1:
            texts.append(
                f"{count} summaries are named {name}: of equal readings, the last one counts"
            )
    return tuple(texts)


def _summary_readings(summary: ReportSummary) -> Iterator[Reading]:
    if isinstance(summary.content, ApiAvailability):
        yield Reading("cl2.availability_share", summary.content.share, "1")
        yield Reading("cl2.longest_gap", summary.content.longest_gap_s, "s")
    for item in summary.items:
        unit = _UNITS.get(item.unit, item.unit)
        if summary.method == TIMER:
            for label, value in item.data.items():
                yield Reading(f"cl2.timer{_format_labels({'label': label})}", value, unit)
        elif summary.method == QUERY:
            name = summary.name.removeprefix(QUERY).strip()
            prefix = f"cl2.query{_format_labels({'name': name, **item.labels})}"
            for key, value in item.data.items():
                yield Reading(f"{prefix}/{key}", value, unit)
        elif summary.method == LATENCY:
            yield from _latency_readings(summary, item)


def _latency_readings(summary: ReportSummary, item: Item) -> Iterator[Reading]:
    labels = {ours: item.labels.get(theirs, "") for ours, theirs in _LABELS.items()}
    if not labels["subresource"]:
        del labels["subresource"]
    if summary.name not in (LATENCY, f"{LATENCY}_simple"):
        labels = {"summary": summary.name, **labels}
    prefix = f"cl2.api_latency{_format_labels(labels)}"
    for key, label in (("count", "Count"), ("slow_count", "SlowCount")):
        if item.labels.get(label, "").isdecimal():
            yield Reading(f"{prefix}/{key}", float(item.labels[label]), "1")
    if not _has_requests(item):
        return
    for theirs, ours in _PERCENTILES.items():
        value = _seconds(item, theirs)
        if value is None:
            continue
        yield Reading(f"{prefix}/{ours}", value, "s")
        width = None if labels["verb"] == _WATCH_LIST else _bucket_width(value)
        if width is not None:
            yield Reading(f"{prefix}/{ours}_width", width, "s")


def _step_readings(steps: Sequence[ReportedStep]) -> Iterator[Reading]:
    longest: dict[tuple[str, int, str], float] = {}
    for step in steps:
        key = (step.config, step.number, step.name)
        longest[key] = max(step.duration_s, longest.get(key, 0.0))
    by_name: dict[str, list[float]] = {}
    for (_, _, name), duration_s in longest.items():
        by_name.setdefault(name, []).append(duration_s)
    for name, durations in by_name.items():
        prefix = f"cl2.step{_format_labels({'step': name})}"
        yield Reading(prefix, sum(durations), "s")
        yield Reading(f"{prefix}/count", float(len(durations)), "1")


def _has_requests(item: Item) -> bool:
    """Return whether there was a request; without one, ClusterLoader2 turns NaN into an integer."""
    return item.labels.get("Count", "0") != "0"


def _seconds(item: Item, percentile: str) -> float | None:
    value = item.data.get(percentile)
    return None if value is None or value < 0 else value / 1e3  # always milliseconds


def _lowest(item: Item) -> float:
    values = [v for name in _PERCENTILES if (v := _seconds(item, name)) is not None]
    return min(values, default=_SLI_FLOOR_S)


def _bucket_width(value_s: float) -> float | None:
    """Return the width of the SLI histogram's bucket of a value; None beyond the last bucket."""
    return next((high - low for low, high in pairwise(_SLI_BOUNDS) if value_s <= high), None)


def _format_labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{name}={value}" for name, value in labels.items()) + "}"
