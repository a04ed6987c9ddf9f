"""Schema of a ClusterLoader2 config after template expansion, and of its measurements' parameters.

It holds what works on an API server alone and what our configs need: no nodes, no pods, no chaos.
The keys are those of ClusterLoader2.  An unknown key or parameter is an error here, while
ClusterLoader2 ignores it.

Source: kubernetes/perf-tests, clusterloader2: api/types.go and pkg/measurement/common/.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt
from pydantic.alias_generators import to_camel

from pipeline.drivers.clusterloader2.wire import AVAILABILITY, LATENCY, QUERY, TIMER


def _check_duration(text: str) -> str:
    if re.fullmatch(r"([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+", text) is None:
        raise ValueError(f"`{text}` is not a time such as 500ms or 1m30s")
    return text


def _check_condition(text: str) -> str:
    if "=" not in text.strip("="):
        raise ValueError(f"`{text}` is not a condition such as Ready=True")
    return text


_Duration = Annotated[str, AfterValidator(_check_duration)]
_Condition = Annotated[str, AfterValidator(_check_condition)]
_Name = Annotated[str, Field(min_length=1)]
_Count = Annotated[int, Field(ge=0, lt=2**31)]


class ConfigPart(BaseModel):
    """Base of every part of a config; a number is a number and not a text."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel)


class MeasurementCall(ConfigPart):
    """One call of a measurement; see `METHOD_PARAMETERS` for the parameters."""

    method: str
    identifier: _Name
    params: dict[str, Any] = Field(default_factory=dict)


class NamespaceRange(ConfigPart):
    """A range of numbered namespaces, by default those that the config creates."""

    min: _Count
    max: _Count
    basename: str = ""


class LabelSelector(ConfigPart):
    """Labels of objects."""

    match_labels: dict[str, str]


class UnknownObjectOptions(ConfigPart):
    """Selection of objects that another program created and that count too."""

    label_selector: LabelSelector


class ObjectSpec(ConfigPart):
    """A template, and the beginning of the names of its objects."""

    basename: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]
    object_template_path: _Name
    template_fill_map: dict[str, Any] = Field(default_factory=dict)
    list_unknown_object_options: UnknownObjectOptions | None = None


class ConfigPhase(ConfigPart):
    """The number of objects after a phase, and the tuning set that leads there."""

    namespace_range: NamespaceRange | None = None
    namespace_list: tuple[_Name, ...] | None = None
    replicas_per_namespace: _Count
    tuning_set: _Name
    object_bundle: Annotated[tuple[ObjectSpec, ...], Field(min_length=1)]


class ConfigStep(ConfigPart):
    """Phases or measurements that run concurrently; readings are selected by its name."""

    name: _Name
    phases: tuple[ConfigPhase, ...] = ()
    measurements: tuple[MeasurementCall, ...] = ()


class QpsLoad(ConfigPart):
    """Actions per second, with a pause after each."""

    qps: PositiveFloat


class RandomizedLoad(ConfigPart):
    """Average actions per second, with random pauses."""

    average_qps: PositiveFloat


class GlobalQpsLoad(ConfigPart):
    """Actions per second, over all phases that share the tuning set."""

    qps: PositiveFloat
    burst: PositiveInt


class SteppedLoad(ConfigPart):
    """Bursts of actions with a delay between them."""

    burst_size: PositiveInt
    step_delay: _Duration


class TimeLimitedLoad(ConfigPart):
    """All actions within a time limit."""

    time_limit: _Duration


class ParallelismLimitedLoad(ConfigPart):
    """Actions as fast as possible, with a limit on concurrent ones."""

    parallelism_limit: PositiveInt


class PoissonLoad(ConfigPart):
    """Actions as a Poisson process."""

    expected_actions_per_second: PositiveFloat


class TuningSet(ConfigPart):
    """The rate of a phase's actions: exactly one of the kinds of load."""

    name: _Name
    initial_delay: _Duration = "0s"
    qps_load: QpsLoad | None = None
    randomized_load: RandomizedLoad | None = None
    stepped_load: SteppedLoad | None = None
    time_limited_load: TimeLimitedLoad | None = None
    randomized_time_limited_load: TimeLimitedLoad | None = None
    parallelism_limited_load: ParallelismLimitedLoad | None = None
    global_qps_load: Annotated[GlobalQpsLoad | None, Field(alias="globalQPSLoad")] = None
    poisson_load: PoissonLoad | None = None


class NamespaceOptions(ConfigPart):
    """The namespaces that ClusterLoader2 creates."""

    number: PositiveInt = 1
    prefix: str = ""
    delete_stale_namespaces: bool = False
    delete_automanaged_namespaces: bool = True
    enable_existing_namespaces: bool = False
    delete_namespace_timeout: _Duration = "10m"


class ConfigDocument(ConfigPart):
    """A config with its modules expanded."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    namespace: NamespaceOptions = NamespaceOptions()
    tuning_sets: tuple[TuningSet, ...] = ()
    steps: Annotated[tuple[ConfigStep, ...], Field(min_length=1)]


class ExpandedConfig(BaseModel):
    """The output of the program `expand`.

    Attributes:
        config: The config with its modules expanded.
        places: `FILE:LINE` of every part of the config, by JSON pointer.
        unused: Parameters that nothing in the config reads.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: dict[str, Any]
    places: dict[str, str]
    unused: tuple[str, ...]


class TimerParameters(ConfigPart):
    """Time between two steps; `gather` reports all timers by label."""

    action: Literal["start", "stop", "gather"]
    label: _Name | None = None


class SleepParameters(ConfigPart):
    """A pause."""

    duration: _Duration


class ExecParameters(ConfigPart):
    """A program that is run on this machine."""

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    timeout: _Duration = "1h"
    retries: PositiveInt = 1
    backoff_delay: _Duration = "1s"


class AvailabilityParameters(ConfigPart):
    """Polling of `/readyz`."""

    action: Literal["start", "pause", "unpause", "gather"]
    poll_frequency: _Duration | None = None
    threshold: float = 0.0


class ObjectNamespaces(ConfigPart):
    """Namespaces of the objects that are waited for."""

    all_namespaces: bool = False
    min: _Count = 1
    max: _Count = 1
    prefix: str = ""


class WaitParameters(ConfigPart):
    """Wait until a number of objects has a condition."""

    object_group: str
    object_version: _Name
    object_resource: _Name
    min_desired_object_count: _Count
    max_failed_object_count: _Count = 0
    namespace_range: ObjectNamespaces | None = None
    label_selector: str = ""
    successful_conditions: tuple[_Condition, ...] = ()
    failed_conditions: tuple[_Condition, ...] = ()
    refresh_interval: _Duration = "30s"
    timeout: _Duration = "30m"


class LatencyParameters(ConfigPart):
    """Latency of requests by the server's SLI histogram."""

    action: Literal["start", "gather"]
    use_simple_latency_query: bool = False
    summary_name: Annotated[str, Field(pattern=r"^[^/]+$")] = LATENCY
    enable_violations: bool = False
    allowed_slow_calls: _Count = 0
    custom_thresholds: str = ""
    single_resource_threshold: _Duration = "1s"


class PrometheusQuery(ConfigPart):
    """One value, or one for each combination of the dimensions."""

    name: _Name
    query: _Name
    threshold: float | None = None
    lower_bound: bool = False
    require_samples: bool = False


class QueryParameters(ConfigPart):
    """Queries of a Prometheus; `gather` reports the results of the queries in `start`."""

    action: Literal["start", "gather"]
    metric_name: Annotated[str, Field(pattern=r"^[^/_]+$")] | None = None  # `_` ends it in a file's
    metric_version: _Name | None = None
    unit: _Name | None = None
    dimensions: tuple[_Name, ...] = ()
    queries: tuple[PrometheusQuery, ...] = ()
    enable_violations: bool = False


METHOD_PARAMETERS: Mapping[str, type[ConfigPart]] = MappingProxyType(
    {
        TIMER: TimerParameters,
        "Sleep": SleepParameters,
        "Exec": ExecParameters,
        AVAILABILITY: AvailabilityParameters,
        "WaitForGenericK8sObjects": WaitParameters,
        LATENCY: LatencyParameters,
        QUERY: QueryParameters,
    }
)
"""Schema of the parameters of each measurement that an API server is enough for."""

REQUIRED_PARAMETERS: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType(
    {
        (TIMER, "start"): ("label",),
        (TIMER, "stop"): ("label",),
        (AVAILABILITY, "start"): ("pollFrequency",),
        (QUERY, "start"): ("metricName", "metricVersion", "unit", "queries"),
    }
)
"""Parameters that one action of a method requires although other actions do not."""
