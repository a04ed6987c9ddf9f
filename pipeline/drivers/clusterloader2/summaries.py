"""Write the summaries that ClusterLoader2 cannot gather of local processes, in its own forms.

For ResourceUsageSummary it asks a kubelet, for EtcdMetrics it needs SSH: of a process it knows
neither.  Both are made here of what was seen from outside, and `read_report` reads them as it
reads ClusterLoader2's.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.drivers.clusterloader2.reported import ETCD, USAGE
from pipeline.storage import codec
from pipeline.system.errors import LoadError

PERCENTILES = (50, 90, 99, 100)
"""That ClusterLoader2 asks for."""

_HISTOGRAMS = {
    "etcd_disk_backend_commit_duration_seconds_bucket": "backendCommitDuration",
    "etcd_debugging_snap_save_total_duration_seconds_bucket": "snapshotSaveTotalDuration",
    "etcd_network_peer_round_trip_time_seconds_bucket": "peerRoundTripTime",
    "etcd_disk_wal_fsync_duration_seconds_bucket": "walFsyncDuration",
}
_SIZES = ("etcd_mvcc_db_total_size_in_bytes", "etcd_debugging_mvcc_db_total_size_in_bytes")

_Bucket = tuple[str, frozenset[tuple[str, str]], str]
"""Of a histogram: the field, the labels of its series, and the bound."""


class Look(NamedTuple):
    """One look at a process: Unix time and the CPU that it has used, in s; memory in B."""

    time_s: float
    cpu_s: float
    memory: int


def resource_usage(samples: Mapping[str, Sequence[Look]]) -> dict[str, Any]:
    """Return a ResourceUsageSummary: by percentile, what each component used.

    CPU is that between two looks, in processors; memory that of a look, in B.  The percentiles are
    nearest ranks, each by itself, as those of ClusterLoader2 are.

    Args:
        samples: By component, two looks or more, times rising.

    Raises:
        LoadError: A component was seen less than twice, or is not the process that it was.
    """
    cpu = {component: sorted(_cpu(component, looks)) for component, looks in samples.items()}
    memory = {name: sorted(look.memory for look in looks) for name, looks in samples.items()}
    return {
        f"{percentile}": [
            {
                "Name": component,
                "CPU": _nearest(cpu[component], percentile),
                "Mem": _nearest(memory[component], percentile),
            }
            for component in sorted(samples)
        ]
        for percentile in PERCENTILES
    }


def etcd_metrics(before: str, after: str) -> dict[str, Any]:
    """Return EtcdMetrics of the time between two scrapes; the database's size is the larger one.

    ClusterLoader2's own count from the start of etcd, so its durations of start-up are in them.

    Args:
        before: Prometheus text of etcd.
        after: The same, later.

    Raises:
        LoadError: One is not Prometheus text, or etcd was started again between the two.
    """
    first, first_size = _read(before)
    last, last_size = _read(after)
    series: dict[str, dict[frozenset[tuple[str, str]], dict[str, int]]] = {
        field: {} for field in _HISTOGRAMS.values()
    }
    if any(last.get(key, 0.0) < count for key, count in first.items()):
        raise LoadError("etcd counts less than it did: it was started again meanwhile")
    for key, count in last.items():
        field, labels, bound = key
        series[field].setdefault(labels, {})[bound] = int(count - first.get(key, 0.0))
    return {
        **{
            field: [{"labels": dict(sorted(labels)), "buckets": b} for labels, b in found.items()]
            for field, found in series.items()
        },
        "maxDatabaseSize": max(first_size, last_size),
    }


def write_resource_usage(
    folder: Path, config: str, samples: Mapping[str, Sequence[Look]], at: datetime
) -> Path:
    """Write a ResourceUsageSummary into a report, and return the file; see `resource_usage`."""
    return write_summary(folder, USAGE, config, resource_usage(samples), at)


def write_etcd_metrics(folder: Path, config: str, before: str, after: str, at: datetime) -> Path:
    """Write EtcdMetrics into a report, and return the file; see `etcd_metrics`."""
    return write_summary(folder, ETCD, config, etcd_metrics(before, after), at)


def write_summary(
    folder: Path, name: str, config: str, body: Mapping[str, Any], at: datetime
) -> Path:
    """Write a summary into a report as ClusterLoader2 names it, and return the file.

    Args:
        folder: Of the report.
        name: Of the summary, such as `EtcdMetrics`.
        config: Name of the config that was run.
        body: What it says.
        at: Of a time zone that is known.

    Raises:
        StorageError: It cannot be written.
    """
    time = at.isoformat(timespec="seconds").replace("+00:00", "Z")
    path = folder / f"{name}_{config}_{time}.json"
    codec.write_text(path, json.dumps(body, indent=2, allow_nan=False) + "\n")
    return path


def _cpu(component: str, looks: Sequence[Look]) -> list[float]:
    """Return the processors that were in use between each two looks."""
    if len(looks) < 2:
        raise LoadError(f"{component} was seen {len(looks)} times, and two looks are needed")
    used = []
    for one, next_one in pairwise(looks):
        lasted_s, rise_s = next_one.time_s - one.time_s, next_one.cpu_s - one.cpu_s
        if lasted_s <= 0:
            raise LoadError(f"{component}: the times of its looks do not rise")
        if rise_s < 0:
            raise LoadError(f"{component} has used less CPU than it had: it was started again")
        used.append(rise_s / lasted_s)
    return used


def _nearest(rising: Sequence[float], percentile: int) -> float:
    return rising[math.ceil(len(rising) * percentile / 100) - 1]


def _read(text: str) -> tuple[dict[_Bucket, float], float]:
    """Return how many values are in each bucket or below it, and the size of the database."""
    from prometheus_client.parser import text_string_to_metric_families

    known = (*_HISTOGRAMS, *_SIZES)
    lines = [line for line in text.splitlines() if line.startswith(known)]
    buckets: dict[_Bucket, float] = {}
    sizes = [0.0]
    try:
        families = list(text_string_to_metric_families("\n".join(lines) + "\n"))
    except ValueError as error:
        raise LoadError(f"etcd's metrics are not Prometheus text: {error}") from error
    for sample in (sample for family in families for sample in family.samples):
        if not 0 <= sample.value < math.inf:
            raise LoadError(f"etcd's {sample.name} is {sample.value}, and no count or size")
        if sample.name in _SIZES:
            sizes.append(sample.value)
        elif sample.name in _HISTOGRAMS and "le" in sample.labels:
            others = {k: v for k, v in sample.labels.items() if k != "le"}
            labels = frozenset({**others, "__name__": sample.name}.items())
            buckets[_HISTOGRAMS[sample.name], labels, sample.labels["le"]] = sample.value
    return buckets, max(sizes)
