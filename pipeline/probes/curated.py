"""Which readings are taken from the Prometheus text of each component: a table.

A watch lasts as long as its client likes, so its duration is none of the server's and is left out.
Requests that the server sends to itself are counted like all others.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from pipeline.probes.scrape import Labels, Selection


class Kind(StrEnum):
    """What is made of a family."""

    AFTER = "after"
    """A gauge as it is after the load."""

    ADDED = "added"
    """A gauge after the load less what it was before, and 0 where it fell."""

    COUNT = "count"
    """How far a counter rose."""

    MEAN = "mean"
    """Mean of what a histogram saw during the load: sum by count."""

    SUM = "sum"
    """Sum of what a histogram saw during the load."""

    P99 = "p99"
    """Quantile of what a histogram saw during the load, with the width of its bucket."""


@dataclass(frozen=True, slots=True)
class Curated:
    """One reading, or the pair of a quantile and its width.

    Attributes:
        component: Whose text it is in; empty for every component that has one.
        name: What stands after `COMPONENT.`.
        family: As the text's TYPE line names it.
        kind: What is made of it.
        unit: Of the family's values.
        labels: Only series that fit are counted.
        beside: A family that tells, where this one is not there, that it would be if it had
            counted anything: a counter with labels appears with its first series.
    """

    component: str
    name: str
    family: str
    kind: Kind
    unit: str = "1"
    labels: Labels = field(default_factory=dict)
    beside: str = ""

    @property
    def selections(self) -> tuple[Selection, ...]:
        """Which lines are needed: sum and count, buckets, or the family itself."""
        suffixes = {
            Kind.MEAN: ("_sum", "_count"),
            Kind.SUM: ("_sum",),
            Kind.P99: ("_bucket",),
        }.get(self.kind, ("",))
        return tuple(Selection(f"{self.family}{suffix}", self.labels) for suffix in suffixes)


_GOROUTINES = "go_goroutines"
_REQUESTS = "apiserver_request_total"
_DURATION = "apiserver_request_duration_seconds"
_CHILDREN = "projectstorage_child_creations_total"
_QUEUE = "apiserver_flowcontrol"
_VERBS = ("GET", "LIST", "POST", "PUT", "PATCH", "DELETE", "DELETECOLLECTION")
_OBJECTS = ("secrets", "configmaps")
_USED = (*_OBJECTS, "projects")

_SERVER = (
    Curated("server", "requests", _REQUESTS, Kind.COUNT),
    Curated("server", "requests_429", _REQUESTS, Kind.COUNT, labels={"code": ("429",)}),
    Curated("server", "requests_5xx", _REQUESTS, Kind.COUNT, labels={"code": ("5*",)}),
    Curated("server", "storage_children", _CHILDREN, Kind.COUNT),
    Curated("server", "first_ready_mean", "projectstorage_first_ready_seconds", Kind.MEAN, "s"),
    Curated(
        "server",
        "reinitializing",
        "projectstorage_reinitializing_errors_total",
        Kind.COUNT,
        beside=_CHILDREN,
    ),
    Curated(
        "server",
        "rejected",
        f"{_QUEUE}_rejected_requests_total",
        Kind.COUNT,
        beside=f"{_QUEUE}_dispatched_requests_total",
    ),
    Curated("server", "queue_mean", f"{_QUEUE}_request_wait_duration_seconds", Kind.MEAN, "s"),
    Curated(
        "server",
        "duration",
        _DURATION,
        Kind.P99,
        "s",
        {"resource": _USED, "verb": _VERBS, "subresource": ("",)},
    ),
)

_ETCD = (
    Curated("etcd", "requests", "grpc_server_handled_total", Kind.COUNT),
    Curated("etcd", "puts", "etcd_mvcc_put_total", Kind.COUNT),
    Curated("etcd", "watchers", "etcd_debugging_mvcc_watcher_total", Kind.AFTER),
    Curated("etcd", "watchers_added", "etcd_debugging_mvcc_watcher_total", Kind.ADDED),
    Curated("etcd", "fsync_mean", "etcd_disk_wal_fsync_duration_seconds", Kind.MEAN, "s"),
    Curated("etcd", "commit_mean", "etcd_disk_backend_commit_duration_seconds", Kind.MEAN, "s"),
)


def _of_objects() -> Iterator[Curated]:
    """Yield what was answered about Secrets and ConfigMaps, by class of code, and reads of one."""
    for code in ("2xx", "4xx", "5xx"):
        labels = {"resource": _OBJECTS, "verb": _VERBS, "code": (f"{code[0]}*",)}
        name = f"answers{{code={code}}}"
        yield Curated("server", name, _REQUESTS, Kind.COUNT, labels=labels)
    labels = {"resource": _OBJECTS, "verb": ("GET",)}
    yield Curated("server", "reads", _REQUESTS, Kind.COUNT, labels=labels)
    labels = {"resource": _OBJECTS, "verb": _VERBS, "subresource": ("",)}
    yield Curated("server", "answer_time", _DURATION, Kind.SUM, "s", labels=labels)


def _by_label() -> Iterator[Curated]:
    """Yield requests of each verb and resource, and the mean duration of each pair of them."""
    for verb in (*_VERBS, "WATCH"):
        name = f"requests{{verb={verb}}}"
        yield Curated("server", name, _REQUESTS, Kind.COUNT, labels={"verb": (verb,)})
    for resource in (*_USED, "namespaces"):
        name = f"requests{{resource={resource}}}"
        yield Curated("server", name, _REQUESTS, Kind.COUNT, labels={"resource": (resource,)})
    for resource in _USED:
        for verb in _VERBS:
            name = f"duration_mean{{verb={verb},resource={resource}}}"
            labels = {"verb": (verb,), "resource": (resource,), "subresource": ("",)}
            yield Curated("server", name, _DURATION, Kind.MEAN, "s", labels)


CURATED = (
    Curated("", "goroutines", _GOROUTINES, Kind.AFTER),
    Curated("", "goroutines_added", _GOROUTINES, Kind.ADDED),
    *_SERVER,
    *_by_label(),
    *_of_objects(),
    *_ETCD,
    Curated("manager", "requests", "rest_client_requests_total", Kind.COUNT),
)
