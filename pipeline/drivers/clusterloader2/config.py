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


class _NamespaceRange(ConfigPart):
    min: _Count
    max: _Count
    basename: str = ""


class _LabelSelector(ConfigPart):
    match_labels: dict[str, str]


class _UnknownObjectOptions(ConfigPart):
    label_selector: _LabelSelector


class _ObjectSpec(ConfigPart):
    basename: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]
    object_template_path: _Name
    template_fill_map: dict[str, Any] = Field(default_factory=dict)
    list_unknown_object_options: _UnknownObjectOptions | None = None


class _ConfigPhase(ConfigPart):
    namespace_range: _NamespaceRange | None = None
    namespace_list: tuple[_Name, ...] | None = None
    replicas_per_namespace: _Count
    tuning_set: _Name
    object_bundle: Annotated[tuple[_ObjectSpec, ...], Field(min_length=1)]


class _ConfigStep(ConfigPart):
    """Phases or measurements that run concurrently; readings are selected by its name."""

    name: _Name
    phases: tuple[_ConfigPhase, ...] = ()
    measurements: tuple[MeasurementCall, ...] = ()


class _QpsLoad(ConfigPart):
    qps: PositiveFloat


class _RandomizedLoad(ConfigPart):
    average_qps: PositiveFloat


class _GlobalQpsLoad(ConfigPart):
    qps: PositiveFloat
    burst: PositiveInt


class _SteppedLoad(ConfigPart):
    burst_size: PositiveInt
    step_delay: _Duration


class _TimeLimitedLoad(ConfigPart):
    time_limit: _Duration


class _ParallelismLimitedLoad(ConfigPart):
    parallelism_limit: PositiveInt


class _PoissonLoad(ConfigPart):
    expected_actions_per_second: PositiveFloat


class _TuningSet(ConfigPart):
    """The rate of a phase's actions: exactly one of the kinds of load."""

    name: _Name
    initial_delay: _Duration = "0s"
    qps_load: _QpsLoad | None = None
    randomized_load: _RandomizedLoad | None = None
    stepped_load: _SteppedLoad | None = None
    time_limited_load: _TimeLimitedLoad | None = None
    randomized_time_limited_load: _TimeLimitedLoad | None = None
    parallelism_limited_load: _ParallelismLimitedLoad | None = None
    global_qps_load: Annotated[_GlobalQpsLoad | None, Field(alias="globalQPSLoad")] = None
    poisson_load: _PoissonLoad | None = None


class _NamespaceOptions(ConfigPart):
    number: PositiveInt = 1
    prefix: str = ""
    delete_stale_namespaces: bool = False
    delete_automanaged_namespaces: bool = True
    enable_existing_namespaces: bool = False
    delete_namespace_timeout: _Duration = "10m"


class ConfigDocument(ConfigPart):
    """A config with its modules expanded."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    namespace: _NamespaceOptions = _NamespaceOptions()
    tuning_sets: tuple[_TuningSet, ...] = ()
    steps: Annotated[tuple[_ConfigStep, ...], Field(min_length=1)]


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


class _TimerParameters(ConfigPart):
    action: Literal["start", "stop", "gather"]
    label: _Name | None = None


class _SleepParameters(ConfigPart):
    duration: _Duration


class _ExecParameters(ConfigPart):
    command: Annotated[tuple[str, ...], Field(min_length=1)]
    timeout: _Duration = "1h"
    retries: PositiveInt = 1
    backoff_delay: _Duration = "1s"


class _AvailabilityParameters(ConfigPart):
    action: Literal["start", "pause", "unpause", "gather"]
    poll_frequency: _Duration | None = None
    threshold: float = 0.0


class _ObjectNamespaces(ConfigPart):
    all_namespaces: bool = False
    min: _Count = 1
    max: _Count = 1
    prefix: str = ""


class _WaitParameters(ConfigPart):
    object_group: str
    object_version: _Name
    object_resource: _Name
    min_desired_object_count: _Count
    max_failed_object_count: _Count = 0
    namespace_range: _ObjectNamespaces | None = None
    label_selector: str = ""
    successful_conditions: tuple[_Condition, ...] = ()
    failed_conditions: tuple[_Condition, ...] = ()
    refresh_interval: _Duration = "30s"
    timeout: _Duration = "30m"


class _LatencyParameters(ConfigPart):
    action: Literal["start", "gather"]
    use_simple_latency_query: bool = False
    summary_name: Annotated[str, Field(pattern=r"^[^/]+$")] = LATENCY
    enable_violations: bool = False
    allowed_slow_calls: _Count = 0
    custom_thresholds: str = ""
    single_resource_threshold: _Duration = "1s"


class _PrometheusQuery(ConfigPart):
    name: _Name
    query: _Name
    threshold: float | None = None
    lower_bound: bool = False
    require_samples: bool = False


class _QueryParameters(ConfigPart):
    action: Literal["start", "gather"]
    metric_name: Annotated[str, Field(pattern=r"^[^/_]+$")] | None = None  # `_` ends it in a file's
    metric_version: _Name | None = None
    unit: _Name | None = None
    dimensions: tuple[_Name, ...] = ()
    queries: tuple[_PrometheusQuery, ...] = ()
    enable_violations: bool = False


METHOD_PARAMETERS: Mapping[str, type[ConfigPart]] = MappingProxyType(
    {
        TIMER: _TimerParameters,
        "Sleep": _SleepParameters,
        "Exec": _ExecParameters,
        AVAILABILITY: _AvailabilityParameters,
        "WaitForGenericK8sObjects": _WaitParameters,
        LATENCY: _LatencyParameters,
        QUERY: _QueryParameters,
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
