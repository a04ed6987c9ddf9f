"""A config of ClusterLoader2 after its templates: what it may say, and in which types.

Only what works on an API server alone, and what our configs need: no nodes, no pods, no chaos.  All
keys are those of ClusterLoader2; an unknown one is an error here, while ClusterLoader2 passes over
it.

Source: kubernetes/perf-tests, clusterloader2/api/types.go.
"""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt
from pydantic.alias_generators import to_camel


def _is_duration(text: str) -> str:
    if re.fullmatch(r"([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+", text) is None:
        raise ValueError(f"`{text}` is not a time such as 500ms or 1m30s")
    return text


Duration = Annotated[str, AfterValidator(_is_duration)]
"""A time as Go writes it."""

Name = Annotated[str, Field(min_length=1)]
"""Text that says something."""

Count = Annotated[int, Field(ge=0, lt=2**31)]
"""A number of things."""


class Part(BaseModel):
    """Every part of a config; numbers are numbers, and no text in their place."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel)


class Measurement(Part):
    """One call of a measurement; the parameters are checked by its method."""

    method: str
    identifier: Name
    params: dict[str, Any] = Field(default_factory=dict)


class NamespaceRange(Part):
    """Namespaces by number, those that the config makes unless it says another name."""

    min: Count
    max: Count
    basename: str = ""


class LabelSelector(Part):
    """Labels that objects have."""

    match_labels: dict[str, str]


class UnknownObjects(Part):
    """Which objects that something else created count, too."""

    label_selector: LabelSelector


class Object(Part):
    """A template, and the beginning of the names of its objects."""

    basename: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]
    object_template_path: Name
    template_fill_map: dict[str, Any] = Field(default_factory=dict)
    list_unknown_object_options: UnknownObjects | None = None


class Phase(Part):
    """How many objects there are afterwards, and how fast that comes about."""

    namespace_range: NamespaceRange | None = None
    namespace_list: tuple[Name, ...] | None = None
    replicas_per_namespace: Count
    tuning_set: Name
    object_bundle: Annotated[tuple[Object, ...], Field(min_length=1)]


class Step(Part):
    """Phases or measurements, side by side; readings are selected by its name."""

    name: Name
    phases: tuple[Phase, ...] = ()
    measurements: tuple[Measurement, ...] = ()


class QPS(Part):
    """Actions per second, with a pause after each."""

    qps: PositiveFloat


class AverageQPS(Part):
    """Actions per second, with random pauses."""

    average_qps: PositiveFloat


class GlobalQPS(Part):
    """Actions per second, over all phases that share it."""

    qps: PositiveFloat
    burst: PositiveInt


class Stepped(Part):
    """As many actions at once, again and again."""

    burst_size: PositiveInt
    step_delay: Duration


class TimeLimit(Part):
    """All actions in this time."""

    time_limit: Duration


class Parallelism(Part):
    """As fast as it goes, with so many actions at once."""

    parallelism_limit: PositiveInt


class Poisson(Part):
    """Actions per second, at random and independent of each other."""

    expected_actions_per_second: PositiveFloat


class TuningSet(Part):
    """How fast the actions of a phase begin: one of the kinds."""

    name: Name
    initial_delay: Duration = "0s"
    qps_load: QPS | None = None
    randomized_load: AverageQPS | None = None
    stepped_load: Stepped | None = None
    time_limited_load: TimeLimit | None = None
    randomized_time_limited_load: TimeLimit | None = None
    parallelism_limited_load: Parallelism | None = None
    global_qps_load: Annotated[GlobalQPS | None, Field(alias="globalQPSLoad")] = None
    poisson_load: Poisson | None = None


class Namespace(Part):
    """The namespaces that ClusterLoader2 makes."""

    number: PositiveInt = 1
    prefix: str = ""
    delete_stale_namespaces: bool = False
    delete_automanaged_namespaces: bool = True
    enable_existing_namespaces: bool = False
    delete_namespace_timeout: Duration = "10m"


class Config(Part):
    """A config, its modules already in their place."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    namespace: Namespace = Namespace()
    tuning_sets: tuple[TuningSet, ...] = ()
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]


class Expanded(BaseModel):
    """What the program `expand` prints.

    Attributes:
        config: The config, its modules in their place.
        places: `FILE:LINE` of everything in it, by the keys and numbers that lead there,
            each after a `/`.
        unused: Parameters that nothing in it reads.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: dict[str, Any]
    places: dict[str, str]
    unused: tuple[str, ...]
