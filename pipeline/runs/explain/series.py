"""The metrics of a component before and after a load, as rates that can be compared.

A text of Milo's API server has 17,000 lines, of which most do not change under a load.  Only the
others are parsed.  Of histograms, sums and counts are compared, not the buckets.  Gauges are left
out: they show the moment of a scrape, such as just before or after a garbage collection.
"""

import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from pipeline.judge.causes import Series
from pipeline.probes.etcd import KEYS_AFTER, KEYS_BEFORE, read_key_counts
from pipeline.probes.scrape import LineSelection, parse_scrape
from pipeline.system.errors import ProbeError
from pipeline.system.sanitize import truncate

Labels: TypeAlias = tuple[tuple[str, str], ...]
_Values: TypeAlias = Sequence[Sequence[float]]
Growth: TypeAlias = dict[tuple[str, Labels], float]
"""Increase of each series under a load, by sample name and labels."""

_MAX_BYTES = 16 * 2**20
_MAX_TEXT = 64 * 2**20
_MAX_LABEL = 60  # characters of the value of a label
_MAX_SERIES = 300  # of one metric
_MAX_VALUE = 1e100  # sums of larger ones may be infinite, and then nothing else can be tested
_LEFT_OUT = re.compile(
    r"_(?:bucket|created)$|apiserver_flowcontrol_(?:demand_seats|priority_level_\w+_utilization|read_vs_)"
)
"""Samples that are no events; those of priority and fairness count nanoseconds."""

_GAUGE = re.compile(r"# TYPE (\S+) gauge\s*")
_COLLECTED = re.compile(r"go_(?:cpu_classes_|memstats_frees|gc_(?!heap_allocs|heap_tiny))")
"""Counters that Go's runtime advances only at the end of a garbage collection."""

_COLLECTIONS = ("go_gc_duration_seconds_count", ())
_LISTED = re.compile(r"(apiserver_\w+_list)_\w+_objects_total")
"""Counters of objects, which grow by all objects of a list at once."""

_UNSTABLE = frozenset(
    {"le", "quantile", "host", "endpoint", "address", "url", "uid", "id", "instance", "pod"}
)
"""Labels whose values differ from launch to launch."""

_LEAST = {"s": 1e-3, "B": 2.0**16}
"""Value of the smallest event of a metric that says nothing of its events, by its unit; else 1."""

_GROUPS = (
    ("etcd requests", r"etcd_requests?_|grpc_(?:server|client)_handled"),
    ("etcd keys", r"etcd_keys$"),
    ("etcd storage", r"etcd_(?:debugging_)?mvcc_(?!.*watch)|apiserver_storage_"),
    ("admission and webhooks", r"apiserver_admission_|webhook"),
    ("API requests", r"apiserver_request_total|apiserver_request_terminations"),
    ("client requests", r"rest_client_"),
    ("watch cache", r"apiserver_watch|watch_cache|apiserver_cache|etcd_(?:debugging_)?mvcc_watch"),
    ("priority and fairness", r"apiserver_(?:flowcontrol|request_filter)_"),
    ("work queues", r"workqueue_"),
    ("Milo", r"projectstorage_|milo_|controller_runtime_"),
    ("garbage collector", r"go_gc_(?:duration|cycles)|go_cpu_classes_gc"),
    ("request times", r"apiserver_request_|apiserver_response"),
    ("etcd disk", r"etcd_disk_"),
    ("Go runtime", r"go_"),
    ("process", r"process_"),
)
"""Groups of metrics by a pattern of their names; the first match counts."""

_OTHER = "other"
_SYMPTOMS = frozenset({"request times", "Go runtime", "process", "etcd disk", _OTHER})
"""Groups that say that something changed, but hardly why."""

_VIEWS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "apiserver_request_total": (("code",), ("verb", "resource")),
    "rest_client_requests_total": (("code",), ("method",)),
    "etcd_request_duration_seconds_count": (("operation", "type"), ("operation",)),
    "etcd_requests_total": (("operation", "type"), ("operation",)),
    "grpc_server_handled_total": (("grpc_method",),),
}
"""Labels by which some metrics are summed up, beside all of them and none."""


def growth(before: Path, after: Path) -> Growth:
    """Return the increase of every series between two compressed Prometheus texts.

    Raises:
        ProbeError: A file is missing, too large, or not Prometheus text.
    """
    first, last = _text(before).split("\n"), _text(after).split("\n")
    known = set(first)
    gauges = {match[1] for line in last if (match := _GAUGE.fullmatch(line))}
    changed = [
        line
        for line in last
        if line not in known and _is_counted(line) and _name_of(line) not in gauges
    ]
    series = {_series_of(line) for line in changed}
    old = [line for line in first if not line.startswith("#") and _series_of(line) in series]
    grown: Growth = {}
    unusable = set()
    for lines, sign in ((changed, 1.0), (old, -1.0)):
        names = {_name_of(line) for line in lines}
        wanted = [LineSelection(name, {}) for name in names]
        for name, samples in parse_scrape("\n".join(lines), wanted).samples.items():
            for one in samples:
                key = (name, _stable(one.labels))
                grown[key] = grown.get(key, 0.0) + sign * one.value
                if not abs(one.value) < _MAX_VALUE:
                    unusable.add(key)
    return {key: value for key, value in grown.items() if key not in unusable}


def key_growth(folder: Path) -> Growth | None:
    """Return the increase of the keys in etcd by type, named in the way of a metric.

    etcd itself exports only their sum.  None if the etcd probe did not list them.

    Raises:
        ProbeError: A file of the probe is broken.
    """
    before, after = (read_key_counts(folder / name) for name in (KEYS_BEFORE, KEYS_AFTER))
    if before is None or after is None:
        return None
    return {
        ("etcd_keys", (("in", where), ("type", kind))): after.get((where, kind), 0.0)
        - before.get((where, kind), 0.0)
        for where, kind in {*before, *after}
    }


def comparable_series(pairs: Sequence[tuple[Growth, Growth]]) -> tuple[Series, ...]:
    """Return the series that grew in some arm: as they are, and summed up by metric.

    A series that one arm never exports has not grown there.  A metric that an arm does not have at
    all is left out, as long as the other arm is not the only one in which anything was counted.

    Args:
        pairs: Growth of the baseline and the candidate in each pair.
    """
    sums: dict[tuple[str, Labels], list[list[float]]] = {}
    for at, pair in enumerate(pairs):
        for arm, grown in enumerate(pair):
            for (name, labels), value in grown.items():
                for view in _views(name, labels):
                    values = sums.setdefault((name, view), [[0.0, 0.0] for _ in pairs])
                    values[at][arm] += value
    counts: dict[str, int] = {}
    kept = []
    for (name, labels), values in sorted(sums.items(), key=lambda item: _order(*item[0])):
        counts[name] = counts.get(name, 0) + 1
        event = _event(name, labels, sums)
        if counts[name] > _MAX_SERIES or _total(values) < 2 * len(pairs) * event:
            continue
        group = group_of(name)
        kept.append(
            Series(
                name=_title(name, labels),
                group=group,
                unit=_unit(name),
                event=event,
                may_cause=group not in _SYMPTOMS,
                values=tuple((one[0], one[1]) for one in values),
            )
        )
    return tuple(kept)


def group_of(name: str) -> str:
    """Return the group of a metric."""
    return next((group for group, pattern in _GROUPS if re.match(pattern, name)), _OTHER)


def _text(path: Path) -> str:
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        with path.open("rb") as file:
            body = unpacker.decompress(file.read(_MAX_BYTES), _MAX_TEXT)
    except (OSError, zlib.error) as error:
        raise ProbeError(f"{path.name}: cannot be read") from error
    if not unpacker.eof:
        raise ProbeError(f"{path.name}: cut off, or too large")
    return body.decode(errors="replace")


def _name_of(line: str) -> str:
    return line.partition(" ")[0].partition("{")[0]


def _is_counted(line: str) -> bool:
    return not (line.startswith("#") or _LEFT_OUT.search(_name_of(line)))


def _series_of(line: str) -> str:
    return line.rpartition(" ")[0]


def _stable(labels: Mapping[str, str]) -> Labels:
    kept = ((key, value) for key, value in labels.items() if value and key not in _UNSTABLE)
    return tuple(sorted(kept))


def _views(name: str, labels: Labels) -> list[Labels]:
    views = [labels, ()]
    views += [
        tuple((key, value) for key, value in labels if key in of) for of in _VIEWS.get(name, ())
    ]
    return list(dict.fromkeys(views))


def _order(name: str, labels: Labels) -> tuple[int, int, str, Labels]:
    groups = [group for group, _ in _GROUPS]
    group = group_of(name)
    return (groups.index(group) if group in groups else len(groups), len(labels), name, labels)


def _event(name: str, labels: Labels, sums: Mapping[tuple[str, Labels], _Values]) -> float:
    """Return the value of one event: of a sum, the mean of what was added up.

    Without it, five answers of 1 kB would be 5,000 events, and chance alone would seem to tell them
    from four.
    """
    least = _LEAST.get(_unit(name), 1.0)
    counted = (name, labels)
    if name.endswith("_sum"):
        counted = (f"{name.removesuffix('_sum')}_count", labels)
    elif _COLLECTED.match(name):
        counted = _COLLECTIONS
    elif match := _LISTED.fullmatch(name):
        counted = (f"{match[1]}_total", labels)
    number = _total(sums.get(counted, ()))
    return max(least, _total(sums[name, labels]) / number) if number else least


def _total(values: _Values) -> float:
    return sum(abs(value) for pair in values for value in pair)


def _unit(name: str) -> str:
    if re.search(r"_seconds(?:_sum|_total)?$", name):
        return "s"
    return "B" if re.search(r"_bytes(?:_sum|_total)?$", name) else "1"


def _title(name: str, labels: Labels) -> str:
    inside = ",".join(f'{key}="{truncate(value, _MAX_LABEL)}"' for key, value in labels)
    return f"{name}{{{inside}}}" if inside else name
