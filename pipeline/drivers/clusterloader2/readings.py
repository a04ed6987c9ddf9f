"""The readings of a report of ClusterLoader2, and what a reader of them must know.

| reading | unit | what |
| :-- | :-- | :-- |
| `cl2.step{step=create objects}` | s | how long the steps of that name took, all together |
| `cl2.step{step=create objects}/count` | 1 | how many they were |
| `cl2.timer{label=total}` | s | between the start and the stop of a Timer |
| `cl2.availability_share` | 1 | probes of `/readyz` that were answered, as a share |
| `cl2.longest_gap` | s | probes failed in a row, times the period: 0 or a multiple of it |
| `cl2.api_latency{verb=POST,resource=secrets,scope=resource}/p50` | s | p50, p90, p99: by the \
server, without webhooks and queueing; `subresource=` stands before `scope` where there is one |
| …`/p50_width` | s | how far that can be off: the bucket that it lies in |
| …`/count`, …`/slow_count` | 1 | requests; of those, slower than 1 s, a list than 5 or 30 s |
| `cl2.query{name=Queue,verb=POST}/Perc99` | its own | of a GenericPrometheusQuery: by the names \
of its queries and its dimensions |
| `cl2.cpu{component=server}/p50` | 1 | p50, p90, p99, p100 over the looks: processors in use, \
which ClusterLoader2 calls cores |
| `cl2.memory{component=server}/p50` | B | the same of memory |
| `cl2.etcd{metric=wal_fsync}/share_8ms` | 1 | that took at most 8 ms, as a share; of \
`backend_commit` too |
| `cl2.etcd{metric=wal_fsync}/p99`, …`/p99_width` | s | of `backend_commit`, `snapshot_save` and \
`peer_round_trip` too |
| `cl2.etcd{metric=wal_fsync}/count` | 1 | how many there were |
| `cl2.etcd{metric=database_size}` | B | the largest that was seen |

The measurements of a step run side by side, so the longest of them is the step.  Latencies of a
summary that is not called as its measurement have `summary=NAME` as their first label.  EtcdMetrics
has no sums, so no means can be told; those that ClusterLoader2 gathers itself count from the start
of etcd, those of `summaries.py` from the start of the load.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from pipeline.drivers.clusterloader2.reported import (
    LATENCY,
    QUERY,
    TIMER,
    Availability,
    EtcdHistograms,
    Report,
    Step,
    Summary,
    Usage,
)
from pipeline.judge.stats.histogram import quantile
from pipeline.model.perfdata import Item
from pipeline.model.results import Reading

# Of `apiserver_request_sli_duration_seconds`, from the source of k8s.io/apiserver v0.34.
_SLI_BOUNDS = (
    *(0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0),
    *(15.0, 20.0, 30.0, 45.0, 60.0),
)
_SLI_FLOOR_S = _SLI_BOUNDS[1]
_WATCH_LIST = "WATCHLIST"  # of another histogram
_PERCENTILES = {"Perc50": "p50", "Perc90": "p90", "Perc99": "p99"}
_LABELS = {"verb": "Verb", "resource": "Resource", "subresource": "Subresource", "scope": "Scope"}
_FAST_S = 0.008
_ON_DISK = ("wal_fsync", "backend_commit")
_UNITS = {"bytes": "B", "cores": "1", "count": "1"}  # other names of ours


def readings(report: Report) -> tuple[Reading, ...]:
    """Return all readings, each name once; of two summaries that tell the same, the later one's.

    What was not measured has no reading.
    """
    found: dict[str, Reading] = {one.name: one for one in _steps(report.steps)}
    for summary in report.summaries:
        found |= {one.name: one for one in _of(summary)}
    return tuple(found.values())


def warnings(report: Report) -> tuple[str, ...]:
    """Return what a reader of the readings must know, as sentences."""
    said = []
    latencies = [item for s in report.summaries if s.method == LATENCY for item in _items(s)]
    low = [item for item in latencies if _is_counted(item) and _lowest(item) < _SLI_FLOOR_S]
    if low:
        said.append(
            f"server-side latencies of {len(low)} of {len(latencies)} kinds of requests are below"
            f" {1e3 * _SLI_FLOOR_S:g} ms, where the server's SLI histogram starts: they are a"
            " guess, and a change below it cannot be seen"
        )
    counts = Counter(summary.name for summary in report.summaries)
    for name, count in counts.items():
        if count > 1:
            said.append(f"{count} summaries are called {name}: where they tell the same, the last")
    return tuple(said)


def _of(summary: Summary) -> Iterator[Reading]:
    match summary.content:
        case Availability(share, longest_gap_s):
            yield Reading("cl2.availability_share", share, "1")
            yield Reading("cl2.longest_gap", longest_gap_s, "s")
        case Usage(percentiles):
            for percentile, uses in sorted(percentiles.items()):
                for use in uses:
                    of = f"{_labelled({'component': use.name})}/p{percentile}"
                    yield Reading(f"cl2.cpu{of}", use.cpu, "1")
                    yield Reading(f"cl2.memory{of}", float(use.memory), "B")
        case EtcdHistograms() as found:
            yield from _etcd(found)
        case items:
            for item in items:
                yield from _item(summary, item)


def _item(summary: Summary, item: Item) -> Iterator[Reading]:
    if summary.method == TIMER:
        for label, value in item.data.items():
            yield Reading(f"cl2.timer{_labelled({'label': label})}", value, _unit(item))
    elif summary.method == QUERY:
        name = summary.name.removeprefix(QUERY).strip()
        of = f"cl2.query{_labelled({'name': name, **item.labels})}"
        for key, value in item.data.items():
            yield Reading(f"{of}/{key}", value, _unit(item))
    elif summary.method == LATENCY:
        yield from _latency(summary, item)


def _latency(summary: Summary, item: Item) -> Iterator[Reading]:
    labels = {ours: item.labels.get(theirs, "") for ours, theirs in _LABELS.items()}
    if not labels["subresource"]:
        del labels["subresource"]
    if summary.name not in (LATENCY, f"{LATENCY}_simple"):
        labels = {"summary": summary.name, **labels}
    of = f"cl2.api_latency{_labelled(labels)}"
    for key, label in (("count", "Count"), ("slow_count", "SlowCount")):
        if item.labels.get(label, "").isdecimal():
            yield Reading(f"{of}/{key}", float(item.labels[label]), "1")
    if not _is_counted(item):
        return
    for theirs, ours in _PERCENTILES.items():
        value = _seconds(item, theirs)
        if value is None:
            continue
        yield Reading(f"{of}/{ours}", value, "s")
        width = None if labels["verb"] == _WATCH_LIST else _width(value)
        if width is not None:
            yield Reading(f"{of}/{ours}_width", width, "s")


def _etcd(found: EtcdHistograms) -> Iterator[Reading]:
    for metric, at_most in found.at_most.items():
        of = f"cl2.etcd{_labelled({'metric': metric})}"
        count = list(at_most.values())[-1] if at_most else 0.0
        if not count:
            continue
        yield Reading(f"{of}/count", count, "1")
        if metric in _ON_DISK and _FAST_S in at_most:
            yield Reading(f"{of}/share_8ms", at_most[_FAST_S] / count, "1", of=count)
        if (p99 := quantile(at_most, 0.99)) is not None:
            yield Reading(f"{of}/p99", p99[0], "s")
            yield Reading(f"{of}/p99_width", p99[1], "s")
    if found.database_bytes is not None:
        name = f"cl2.etcd{_labelled({'metric': 'database_size'})}"
        yield Reading(name, found.database_bytes, "B")


def _steps(steps: Sequence[Step]) -> Iterator[Reading]:
    lasted: dict[tuple[str, int, str], float] = {}
    for step in steps:
        key = (step.config, step.number, step.name)
        lasted[key] = max(step.duration_s, lasted.get(key, 0.0))
    by_name: dict[str, list[float]] = {}
    for (_, _, name), duration_s in lasted.items():
        by_name.setdefault(name, []).append(duration_s)
    for name, durations in by_name.items():
        of = f"cl2.step{_labelled({'step': name})}"
        yield Reading(of, sum(durations), "s")
        yield Reading(f"{of}/count", float(len(durations)), "1")


def _items(summary: Summary) -> tuple[Item, ...]:
    return summary.content if isinstance(summary.content, tuple) else ()


def _is_counted(item: Item) -> bool:
    """Return whether there was a request: without one, the quantiles mean nothing.

    ClusterLoader2 makes a whole number of the NaN that they then are: the lowest that there is.
    """
    return item.labels.get("Count", "0") != "0"


def _seconds(item: Item, percentile: str) -> float | None:
    value = item.data.get(percentile)
    return None if value is None or value < 0 else value / 1e3  # they are in ms, always


def _lowest(item: Item) -> float:
    values = [v for name in _PERCENTILES if (v := _seconds(item, name)) is not None]
    return min(values, default=_SLI_FLOOR_S)


def _width(value_s: float) -> float | None:
    """Return the width of the SLI histogram's bucket that a value lies in; None beyond the last."""
    return next((high - low for low, high in pairwise(_SLI_BOUNDS) if value_s <= high), None)


def _unit(item: Item) -> str:
    return _UNITS.get(item.unit, item.unit)


def _labelled(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{name}={value}" for name, value in labels.items()) + "}"
