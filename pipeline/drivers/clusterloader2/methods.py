"""The measurements of ClusterLoader2 that an API server is enough for, and their parameters.

ClusterLoader2 passes over a parameter that it does not know, and takes the default instead.

Source: kubernetes/perf-tests, clusterloader2/pkg/measurement/common/.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt

from pipeline.drivers.clusterloader2.config import Count, Duration, Name, Part
from pipeline.drivers.clusterloader2.reported import AVAILABILITY, LATENCY, QUERY, TIMER


def _is_condition(text: str) -> str:
    if "=" not in text.strip("="):
        raise ValueError(f"`{text}` is not a condition such as Ready=True")
    return text


_Condition = Annotated[str, AfterValidator(_is_condition)]


class Timer(Part):
    """Times between two steps; `gather` reports all of them, by label."""

    action: Literal["start", "stop", "gather"]
    label: Name | None = None


class Sleep(Part):
    """Nothing is asked for a while."""

    duration: Duration


class Exec(Part):
    """A program of this machine is run."""

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    timeout: Duration = "1h"
    retries: PositiveInt = 1
    backoff_delay: Duration = "1s"


class APIAvailability(Part):
    """`/readyz` is asked, again and again."""

    action: Literal["start", "pause", "unpause", "gather"]
    poll_frequency: Duration | None = None
    threshold: float = 0.0


class NamespacesOfObjects(Part):
    """Where objects are that are waited for."""

    all_namespaces: bool = False
    min: Count = 1
    max: Count = 1
    prefix: str = ""


class WaitForGenericK8sObjects(Part):
    """A number of objects has a condition."""

    object_group: str
    object_version: Name
    object_resource: Name
    min_desired_object_count: Count
    max_failed_object_count: Count = 0
    namespace_range: NamespacesOfObjects | None = None
    label_selector: str = ""
    successful_conditions: tuple[_Condition, ...] = ()
    failed_conditions: tuple[_Condition, ...] = ()
    refresh_interval: Duration = "30s"
    timeout: Duration = "30m"


class APIResponsivenessPrometheus(Part):
    """Latency of requests by the server's own SLI histogram."""

    action: Literal["start", "gather"]
    use_simple_latency_query: bool = False
    summary_name: Annotated[str, Field(pattern=r"^[^/]+$")] = LATENCY
    enable_violations: bool = False
    allowed_slow_calls: Count = 0
    custom_thresholds: str = ""
    single_resource_threshold: Duration = "1s"


class Query(Part):
    """One value, or one for each combination of the dimensions."""

    name: Name
    query: Name
    threshold: float | None = None
    lower_bound: bool = False
    require_samples: bool = False


class GenericPrometheusQuery(Part):
    """Queries of a Prometheus; `gather` reports what those of `start` have for an answer."""

    action: Literal["start", "gather"]
    metric_name: Annotated[str, Field(pattern=r"^[^/_]+$")] | None = None  # `_` ends it in a file's
    metric_version: Name | None = None
    unit: Name | None = None
    dimensions: tuple[Name, ...] = ()
    queries: tuple[Query, ...] = ()
    enable_violations: bool = False


METHODS: Mapping[str, type[Part]] = MappingProxyType(
    {
        TIMER: Timer,
        "Sleep": Sleep,
        "Exec": Exec,
        AVAILABILITY: APIAvailability,
        "WaitForGenericK8sObjects": WaitForGenericK8sObjects,
        LATENCY: APIResponsivenessPrometheus,
        QUERY: GenericPrometheusQuery,
    }
)
"""The parameters of each measurement, by the name of its method."""

NEEDED: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType(
    {
        (TIMER, "start"): ("label",),
        (TIMER, "stop"): ("label",),
        (AVAILABILITY, "start"): ("pollFrequency",),
        (QUERY, "start"): ("metricName", "metricVersion", "unit", "queries"),
    }
)
"""Parameters that an action of a method must have, although others of its actions need not."""
