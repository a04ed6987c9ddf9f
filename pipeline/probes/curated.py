"""The table of readings that are taken from the Prometheus text of each component.

The client decides how long a watch lasts, so the durations of watches are left out.  Requests that
the server sends to itself are counted like all others.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from pipeline.probes.scrape import LabelValues, LineSelection


class Reduction(StrEnum):
    """How a family becomes a reading."""

    AFTER = "after"
    """Value of a gauge after the load."""

    ADDED = "added"
    """Increase of a gauge from before to after the load; 0 if it fell."""

    COUNT = "count"
    """Increase of a counter."""

    MEAN = "mean"
    """Mean of a histogram's values under load: sum by count."""

    SUM = "sum"
    """Sum of a histogram's values under load."""

    P99 = "p99"
    """99th percentile of a histogram's values under load, with the width of its bucket."""


@dataclass(frozen=True, slots=True)
class CuratedMetric:
    """One reading, or the pair of a quantile and its width.

    Attributes:
        component: Component whose text has the family; empty for every component.
        name: Name of the reading after `COMPONENT.`.
        family: Name of the family in the text's TYPE line.
        reduction: How the family becomes a reading.
        unit: Unit of the family's values.
        labels: Label values of the counted series.
        beside: Family whose presence means that this family is 0 if it is absent: a counter with
            labels appears with its first series.
        is_replicated: True if each replica counts the same events, so that one of them is read.
    """

    component: str
    name: str
    family: str
    reduction: Reduction
    unit: str = "1"
    labels: LabelValues = field(default_factory=dict)
    beside: str = ""
    is_replicated: bool = False

    @property
    def selections(self) -> tuple[LineSelection, ...]:
        """The needed lines: sum and count, buckets, or the family itself."""
        suffixes = {
            Reduction.MEAN: ("_sum", "_count"),
            Reduction.SUM: ("_sum",),
            Reduction.P99: ("_bucket",),
        }.get(self.reduction, ("",))
        return tuple(LineSelection(f"{self.family}{suffix}", self.labels) for suffix in suffixes)


_GOROUTINES = "go_goroutines"
_REQUESTS = "apiserver_request_total"
_DURATION = "apiserver_request_duration_seconds"
_CHILDREN = "projectstorage_child_creations_total"
_REINITIALIZING = "projectstorage_reinitializing_errors_total"
_QUEUE = "apiserver_flowcontrol"
_REJECTED = f"{_QUEUE}_rejected_requests_total"
_DISPATCHED = f"{_QUEUE}_dispatched_requests_total"
_WAITED = f"{_QUEUE}_request_wait_duration_seconds"
# Built into Kubernetes: the load is in the first of both.
_LEVELS = ("global-default", "workload-low", "workload-high", "system", "catch-all", "exempt")
_SCHEMAS = ("global-default", "service-accounts", "catch-all", "exempt")
_VERBS = ("GET", "LIST", "POST", "PUT", "PATCH", "DELETE", "DELETECOLLECTION")
_OBJECTS = ("secrets", "configmaps")
_USED = (*_OBJECTS, "projects")
_ANSWERED = {"verb": _VERBS, "subresource": ("",)}

_server, _etcd = (partial(CuratedMetric, component) for component in ("server", "etcd"))

_SERVER = (
    _server("requests", _REQUESTS, Reduction.COUNT),
    _server("requests_429", _REQUESTS, Reduction.COUNT, labels={"code": ("429",)}),
    _server("requests_5xx", _REQUESTS, Reduction.COUNT, labels={"code": ("5*",)}),
    _server("storage_children", _CHILDREN, Reduction.COUNT),
    _server("first_ready_mean", "projectstorage_first_ready_seconds", Reduction.MEAN, "s"),
    _server("reinitializing", _REINITIALIZING, Reduction.COUNT, beside=_CHILDREN),
    _server("rejected", _REJECTED, Reduction.COUNT, beside=_DISPATCHED),
    _server("queue_mean", _WAITED, Reduction.MEAN, "s"),
    _server("duration", _DURATION, Reduction.P99, "s", {"resource": _USED, **_ANSWERED}),
)

_ETCD = (
    _etcd("requests", "grpc_server_handled_total", Reduction.COUNT),
    _etcd("puts", "etcd_mvcc_put_total", Reduction.COUNT, is_replicated=True),
    _etcd("watchers", "etcd_debugging_mvcc_watcher_total", Reduction.AFTER),
    _etcd("watchers_added", "etcd_debugging_mvcc_watcher_total", Reduction.ADDED),
    _etcd("fsync_mean", "etcd_disk_wal_fsync_duration_seconds", Reduction.MEAN, "s"),
    _etcd("commit_mean", "etcd_disk_backend_commit_duration_seconds", Reduction.MEAN, "s"),
)


def _object_metrics() -> Iterator[CuratedMetric]:
    """Yield answers about Secrets and ConfigMaps by status class, reads, and their total time."""
    for code in ("2xx", "4xx", "5xx"):
        labels = {"resource": _OBJECTS, "verb": _VERBS, "code": (f"{code[0]}*",)}
        yield _server(f"answers{{code={code}}}", _REQUESTS, Reduction.COUNT, labels=labels)
    labels = {"resource": _OBJECTS, "verb": ("GET",)}
    yield _server("reads", _REQUESTS, Reduction.COUNT, labels=labels)
    yield _server("answer_time", _DURATION, Reduction.SUM, "s", {"resource": _OBJECTS, **_ANSWERED})


def _request_metrics() -> Iterator[CuratedMetric]:
    """Yield requests by verb and by resource, and the mean duration of each pair of them."""
    for label, values in (("verb", (*_VERBS, "WATCH")), ("resource", (*_USED, "namespaces"))):
        for value in values:
            name = f"requests{{{label}={value}}}"
            yield _server(name, _REQUESTS, Reduction.COUNT, labels={label: (value,)})
    for resource in _USED:
        for verb in _VERBS:
            name = f"duration_mean{{verb={verb},resource={resource}}}"
            labels = {"verb": (verb,), "resource": (resource,), "subresource": ("",)}
            yield _server(name, _DURATION, Reduction.MEAN, "s", labels)


def _flow_metrics() -> Iterator[CuratedMetric]:
    """Yield requests begun and rejected (429) by priority level and by flow schema, and waits."""
    groups = (("level", "priority_level", _LEVELS), ("schema", "flow_schema", _SCHEMAS))
    for short, label, values in groups:
        for value in values:
            key, labels = f"{{{short}={value}}}", {label: (value,)}
            yield _server(f"dispatched{key}", _DISPATCHED, Reduction.COUNT, labels=labels)
            yield _server(
                f"rejected{key}", _REJECTED, Reduction.COUNT, labels=labels, beside=_DISPATCHED
            )
            yield _server(f"queue_mean{key}", _WAITED, Reduction.MEAN, "s", labels)


CURATED_METRICS = (
    CuratedMetric("", "goroutines", _GOROUTINES, Reduction.AFTER),
    CuratedMetric("", "goroutines_added", _GOROUTINES, Reduction.ADDED),
    *_SERVER,
    *_request_metrics(),
    *_object_metrics(),
    *_flow_metrics(),
    *_ETCD,
    CuratedMetric("manager", "requests", "rest_client_requests_total", Reduction.COUNT),
)
