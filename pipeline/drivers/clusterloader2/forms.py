"""The JSON that ClusterLoader2's measurements write, checked, as values.

Three are not PerfData: APIAvailability, ResourceUsageSummary and EtcdMetrics.  Fields that we do
not know are left alone, so that a later version may have more; what we need must be there, in the
type that it always had.
"""

import math
import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, ValidationError
from pydantic.alias_generators import to_camel

from pipeline.drivers.clusterloader2.files import HINT
from pipeline.drivers.clusterloader2.reported import (
    AVAILABILITY,
    ETCD,
    USAGE,
    Availability,
    Content,
    EtcdHistograms,
    Usage,
    Use,
)
from pipeline.model.perfdata import VERSION, Item
from pipeline.storage import strict_json
from pipeline.system.errors import LoadError
from pipeline.system.sanitize import clipped

_SECONDS = {
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "ns": 1e-9,
}
_MOST = 2**64 - 1  # that Go can count
_PART = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)(h|ms|m|s|us|µs|ns)", re.ASCII)


_Count = Annotated[int, Field(ge=0, le=_MOST)]


class _Form(BaseModel):
    model_config = ConfigDict(
        strict=True, frozen=True, allow_inf_nan=False, alias_generator=to_camel
    )


class _Item(_Form):
    data: dict[str, float] | None
    unit: str
    labels: dict[str, str] | None = None


class _PerfData(_Form):
    version: str
    data_items: list[_Item] | None
    labels: dict[str, str] | None = None


class _Host(_Form):
    availability_percentage: Annotated[float, Field(ge=0, le=100)]
    longest_unavailable_period: str


class _Availability(_Form):
    cluster_metrics: _Host


class _Use(_Form):
    name: str = Field(alias="Name")
    cpu: NonNegativeFloat = Field(alias="CPU")
    memory: _Count = Field(alias="Mem")


class _Uses(_Form):
    uses: list[_Use]


class _Histogram(_Form):
    labels: dict[str, str] | None = None
    buckets: dict[str, _Count]


class _Etcd(_Form):
    backend_commit_duration: list[_Histogram]
    snapshot_save_total_duration: list[_Histogram]
    peer_round_trip_time: list[_Histogram]
    wal_fsync_duration: list[_Histogram]
    max_database_size: NonNegativeFloat


_M = TypeVar("_M", bound=BaseModel)


def content(path: Path, method: str, body: object) -> Content:
    """Return what the summary of a measurement says.

    Args:
        path: For messages.
        method: One of `METHODS`.
        body: The file's JSON.

    Raises:
        LoadError: It is not what that measurement writes, or of another version.
    """
    if method == AVAILABILITY:
        cluster = _checked(_Availability, path, body).cluster_metrics
        return Availability(
            cluster.availability_percentage / 100,
            _duration(path, cluster.longest_unavailable_period),
        )
    if method == USAGE:
        return _usage(path, body)
    if method == ETCD:
        return _etcd(path, body)
    return items(path, body)


def items(path: Path, body: object) -> tuple[Item, ...]:
    """Return the items of PerfData.

    Raises:
        LoadError: It is not PerfData, or of another version.
    """
    form = _checked(_PerfData, path, body)
    if form.version != VERSION:
        raise LoadError(
            f"{path}: its version is `{clipped(form.version, 40)}`, and `{VERSION}` is read",
            hint=f"the `metricVersion` of a query must be {VERSION}",
        )
    return tuple(Item(one.data or {}, one.unit, one.labels or {}) for one in form.data_items or ())


def seconds(duration: str) -> float:
    """Return how many seconds a duration has that Go wrote, such as `1m2.5s`.

    Raises:
        ValueError: It is none.
    """
    parts = _PART.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f"`{clipped(duration, 40)}` is no duration")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _duration(path: Path, text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise LoadError(f"{path}: {error}", hint=HINT) from error


def _usage(path: Path, body: object) -> Usage:
    if not isinstance(body, dict):
        raise LoadError(f"{path}: not a {USAGE}: an object is expected", hint=HINT)
    found = {}
    for key, uses in body.items():
        if not re.fullmatch(r"[1-9]\d?|100", key, re.ASCII):
            raise LoadError(
                f"{path}: `{clipped(key, 40)}` is no percentile from 1 to 100", hint=HINT
            )
        checked = _checked(_Uses, path, {"uses": uses}).uses
        found[int(key)] = tuple(Use(one.name, one.cpu, one.memory) for one in checked)
    return Usage(found)


def _etcd(path: Path, body: object) -> EtcdHistograms:
    form = _checked(_Etcd, path, body)
    said: dict[str, list[_Histogram]] = {
        "backend_commit": form.backend_commit_duration,
        "snapshot_save": form.snapshot_save_total_duration,
        "peer_round_trip": form.peer_round_trip_time,
        "wal_fsync": form.wal_fsync_duration,
    }
    at_most = {name: _together(path, name, histograms) for name, histograms in said.items()}
    return EtcdHistograms(at_most, form.max_database_size or None)


def _together(path: Path, name: str, histograms: list[_Histogram]) -> dict[float, float]:
    """Return how many values were at most each bound, all series together."""
    counts: dict[float, float] = {}
    for histogram in histograms:
        for bound, count in histogram.buckets.items():
            counts[_bound(path, bound)] = counts.get(_bound(path, bound), 0.0) + count
    rising = dict(sorted(counts.items()))
    if rising and (list(rising)[-1] != math.inf or sorted(rising.values()) != [*rising.values()]):
        raise LoadError(f"{path}: {name}: its buckets do not rise to `+Inf`", hint=HINT)
    return rising


def _bound(path: Path, text: str) -> float:
    try:
        bound = float(text)
    except ValueError:
        bound = math.nan
    if not bound > 0:
        raise LoadError(f"{path}: `{clipped(text, 40)}` is no bound of a bucket", hint=HINT)
    return bound


def _checked(form: type[_M], path: Path, body: Any) -> _M:  # noqa: ANN401  # checked here
    try:
        return form.model_validate(body)
    except ValidationError as error:
        raise LoadError(f"{path}: {strict_json.sentence(error)}", hint=HINT) from error
