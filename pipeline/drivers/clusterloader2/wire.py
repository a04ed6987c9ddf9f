"""Values of a ClusterLoader2 report, and the checked form of the JSON that they are read from.

Unknown fields are ignored, so a later version may have more.  A field that we need must be there,
in the type that it always had.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from pipeline.model.perfdata import VERSION, Item
from pipeline.storage import strict_json
from pipeline.system.errors import LoadError
from pipeline.system.sanitize import truncate

AVAILABILITY = "APIAvailability"
LATENCY = "APIResponsivenessPrometheus"
QUERY = "GenericPrometheusQuery"
TIMER = "Timer"

METHODS = (AVAILABILITY, LATENCY, QUERY, TIMER)
"""Measurements whose summaries are read, by the names that a config uses."""

HINT = "see clusterloader2.log beside the report"

_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION_PART = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)(h|ms|m|s|us|µs|ns)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ReportedStep:
    """A step of a config, or one measurement of a step.

    Attributes:
        config: Name of the config.
        number: Number of the step, from 1.
        name: Name of the step.
        measurement: Identifier of the measurement; empty for a step of phases.
        duration_s: Seconds from the start of the step to the end of its phases or measurement.
        failure: Error message; empty if nothing failed.
    """

    config: str
    number: int
    name: str
    measurement: str
    duration_s: float
    failure: str


@dataclass(frozen=True, slots=True)
class ReportedConfig:
    """One config as a whole, including the deletion of its namespaces.

    The name of a config that could not be read is empty, and so is the failure if there is none.
    """

    config: str
    failure: str


@dataclass(frozen=True, slots=True)
class ApiAvailability:
    """Share of answered requests of `/readyz`, and most consecutive failures times the interval."""

    share: float
    longest_gap_s: float


@dataclass(frozen=True, slots=True)
class ReportSummary:
    """One file that a measurement left.

    Attributes:
        name: Beginning of the file name, such as `GenericPrometheusQuery Queue`.
        method: Name of the measurement, one of `METHODS`.
        at: Time at which the file was written.
        content: Parsed content; PerfData items for all methods but `APIAvailability`.
    """

    name: str
    method: str
    at: datetime
    content: ApiAvailability | tuple[Item, ...]

    @property
    def items(self) -> tuple[Item, ...]:
        """Items of PerfData; none for an availability."""
        return self.content if isinstance(self.content, tuple) else ()

    @property
    def is_empty(self) -> bool:
        """Whether the file has no number, as for a query without an answer."""
        return isinstance(self.content, tuple) and not any(item.data for item in self.content)


@dataclass(frozen=True, slots=True)
class ExpectedSummary:
    """A summary that a config asks for.

    Attributes:
        method: Name of the measurement, one of `METHODS`.
        identifier: Identifier of the measurement in the config.
        summary: Beginning of the file name if it is not the method: `GenericPrometheusQuery` and
            the `metricName` of a query, the `summaryName` of latencies.
    """

    method: str
    identifier: str
    summary: str = ""

    @property
    def name(self) -> str:
        """Beginning of the file name."""
        return self.summary or self.method

    def __str__(self) -> str:
        return f"{self.name} (measurement {self.identifier})"


@dataclass(frozen=True, slots=True)
class ClusterLoader2Report:
    """The report of one run of ClusterLoader2: steps in the order run, summaries by time.

    Of the expected summaries, `missing` have no file, and `empty` have no number.
    """

    configs: tuple[ReportedConfig, ...] = ()
    steps: tuple[ReportedStep, ...] = ()
    summaries: tuple[ReportSummary, ...] = ()
    missing: tuple[ExpectedSummary, ...] = ()
    empty: tuple[ExpectedSummary, ...] = ()


class _WireModel(BaseModel):
    model_config = ConfigDict(
        strict=True, frozen=True, allow_inf_nan=False, alias_generator=to_camel
    )


class _WireItem(_WireModel):
    data: dict[str, float] | None
    unit: str
    labels: dict[str, str] | None = None


class _WirePerfData(_WireModel):
    version: str
    data_items: list[_WireItem] | None
    labels: dict[str, str] | None = None


class _WireClusterMetrics(_WireModel):
    availability_percentage: Annotated[float, Field(ge=0, le=100)]
    longest_unavailable_period: str


class _WireAvailability(_WireModel):
    cluster_metrics: _WireClusterMetrics


_M = TypeVar("_M", bound=BaseModel)


def parse_summary(path: Path, method: str, body: object) -> ApiAvailability | tuple[Item, ...]:
    """Return the content of a summary of one of `METHODS`, from the JSON value of its file.

    Raises:
        LoadError: The body is not what that measurement writes, or of another version.
    """
    if method != AVAILABILITY:
        return parse_perfdata(path, body)
    cluster = _validate(_WireAvailability, path, body).cluster_metrics
    try:
        gap_s = parse_duration(cluster.longest_unavailable_period)
    except ValueError as error:
        raise LoadError(f"{path}: {error}", hint=HINT) from error
    return ApiAvailability(cluster.availability_percentage / 100, gap_s)


def parse_perfdata(path: Path, body: object) -> tuple[Item, ...]:
    """Return the items of PerfData."""
    form = _validate(_WirePerfData, path, body)
    if form.version != VERSION:
        raise LoadError(
            f"{path}: its version is `{truncate(form.version, 40)}`, and `{VERSION}` is read",
            hint=f"the `metricVersion` of a query must be {VERSION}",
        )
    return tuple(Item(one.data or {}, one.unit, one.labels or {}) for one in form.data_items or ())


def parse_duration(text: str) -> float:
    """Return the seconds of a duration as Go writes it, such as `1m2.5s`, or raise ValueError."""
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"`{truncate(text, 40)}` is not a duration")
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


def _validate(form: type[_M], path: Path, body: Any) -> _M:  # noqa: ANN401  # checked here
    try:
        return form.model_validate(body)
    except ValidationError as error:
        raise LoadError(f"{path}: {strict_json.sentence(error)}", hint=HINT) from error
