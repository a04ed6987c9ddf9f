"""A suite: what is measured, how, and what matters; a TOML file."""

import difflib
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    Field,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pipeline.drivers import load_files
from pipeline.drivers.load_files import FOLDER
from pipeline.drivers.registry import DRIVER_SETTINGS, AnyDriverSettings
from pipeline.environments.registry import ENVIRONMENT_SETTINGS, AnyEnvironmentSettings
from pipeline.model.metric import (
    BASE_UNITS,
    TIMES,
    Better,
    Metric,
    Scale,
    percent_question,
    share_question,
)
from pipeline.model.reading_names import ReadingNames
from pipeline.model.request import MAX_PAIRS
from pipeline.model.subject import Product
from pipeline.probes import names as probe_names
from pipeline.probes.registry import OptInProbe
from pipeline.storage import codec, toml_file
from pipeline.storage.settings import CountOrZero, Seconds, Settings, from_table
from pipeline.system import paths
from pipeline.system.errors import ConfigError
from pipeline.system.log import log
from pipeline.system.sanitize import truncate

_KINDS = (*DRIVER_SETTINGS, *ENVIRONMENT_SETTINGS)
"""Union tags that pydantic puts into the location of an error; they are not keys."""

SUITE = "suite.toml"
"""Name of the suite in the folder of a run."""

_NAME = r"^[a-z][a-z0-9_-]{0,62}$"  # folders are named after it

_SHARE = "_share"  # the end of the name of a reading that is a share of events

_SURELY_PERCENT = 2.0
"""A margin of this ratio or more is refused, because the author means percent.  Between 1 and this
it only causes a warning, because older suites have 1.5."""

_RUN_KEYS = ("pairs", "budget_s", "stop_at_red", "settled", "max_invalid", "description")
"""Keys that say how many pairs there are; they do not change what a value means."""

_DEPLOYMENT_KEYS = {
    *("ready_s", "gone_s", "prefix", "expires_h", "registry", "pull_secret"),
    *("kubeconfig", "context", "name", "keep"),
}
"""Settings of environments that say how builds are deployed; they do not change the load."""

_JUDGING_KEYS = {"margin", "gate", "tolerance", "description", "only"}
"""Settings of metrics that say how a value is judged; they do not change it."""

_MAX_ERRORS = 20
_MAX_TEXT = 300  # characters of a key, or of an error


class MetricSettings(Settings):
    """One metric of a workload.

    Attributes:
        name: Name of the metric, unique in the workload.
        select: Name of the reading of a driver or probe.
        per: Name of the reading to divide it by, if any.
        unit: Base unit of the result; `x` if both readings have the same unit.
        better: Direction of an improvement.
        margin: Smallest change worth a red verdict, as `Metric` says; `"150%"` is 1.5.  A plain
            ratio above 1 causes a warning, and one of 2 or more is refused.
        gate: True if a regression of the metric turns the run red.
        scale: Scale on which the two builds are compared.
        floor: Amount that is subtracted before the ratio, in `unit`.
        tolerance: Worsening that a pass must exclude, written like `margin`.
        description: What the metric is, in a few words.
        only: Product that the metric is read from; empty for any.
    """

    name: Annotated[str, Field(pattern=_NAME)]
    select: str
    per: str = ""
    unit: str
    better: Better = Better.LOWER
    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    gate: bool = False
    scale: Scale = Scale.RATIO
    floor: Annotated[float, Field(ge=0)] = 0.0
    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    description: str = ""
    only: Product | Literal[""] = ""

    @field_validator("margin", "tolerance", mode="before")
    @classmethod
    def _from_percent(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        with suppress(ValueError):
            if value.endswith("%"):
                return float(value[:-1]) / 100
        raise ValueError('a text must be a percentage, such as "5%"; or write a number: 0.05')

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_percent_as_ratio(
        cls, value: object, check: ModelWrapValidatorHandler[Self]
    ) -> Self:
        metric = check(value)
        if metric.scale is not Scale.RATIO or not isinstance(value, dict):
            return metric
        for key in ("margin", "tolerance"):
            ratio = value.get(key)
            if not isinstance(ratio, int | float) or not (doubt := percent_question(ratio)):
                continue
            if isinstance(ratio, float) and ratio == 1:
                continue  # 1.0 is meant as 100 %, and 1 may be 1 %
            if ratio < _SURELY_PERCENT:
                log.warning("%s: %s %s, in quotes", metric.name, key, doubt)
                continue
            error = PydanticCustomError(key, "{doubt}, in quotes", {"doubt": doubt})
            raise ValidationError.from_exception_data(
                cls.__name__, [{"type": error, "loc": (key,), "input": ratio}]
            )
        return metric

    @field_validator("unit")
    @classmethod
    def _is_base(cls, unit: str) -> str:
        if unit not in BASE_UNITS:
            raise ValueError(f"`{unit}` is not one of {', '.join(BASE_UNITS)}")
        return unit

    @model_validator(mode="after")
    def _is_ratio_of_two(self) -> Self:
        if self.unit == TIMES and not self.per:
            raise ValueError(f"`{TIMES}` is a ratio of two readings: name the divisor with `per`")
        return self

    @model_validator(mode="after")
    def _is_valid_metric(self) -> Self:
        metric = self.metric()
        is_share = self.select.endswith(_SHARE) and self.scale is Scale.DIFFERENCE
        if is_share and not self.per and (doubt := share_question(metric.tolerated)):
            raise ValueError(f"{'margin' if metric.margin >= 1 else 'tolerance'}: {doubt}")
        return self

    def metric(self) -> Metric:
        """Return the part of this that is stored with results."""
        return Metric(**{field.name: getattr(self, field.name) for field in fields(Metric)})


class Workload(Settings):
    """One load and the metrics that are read from it.

    Attributes:
        name: Name of the workload, unique in the suite.
        driver: Driver that applies the load, with its settings.
        probes: Probes beside those that watch every workload.
        descriptions: Description of each metric, by name.  A table of its own, because a metric
            of both products is listed twice.
        metrics: Metrics; a name may appear once for each product.
    """

    name: Annotated[str, Field(pattern=_NAME)]
    driver: AnyDriverSettings
    probes: tuple[OptInProbe, ...] = ()
    descriptions: dict[str, str] = Field(default_factory=dict)
    metrics: Annotated[tuple[MetricSettings, ...], Field(alias="metric", min_length=1)]

    @field_validator("metrics")
    @classmethod
    def _are_described(
        cls, metrics: tuple[MetricSettings, ...], info: ValidationInfo
    ) -> tuple[MetricSettings, ...]:
        known: dict[str, str] = info.data.get("descriptions", {})
        return tuple(
            metric.model_copy(
                update={"description": metric.description or known.get(metric.name, "")}
            )
            for metric in metrics
        )

    @model_validator(mode="after")
    def _descriptions_are_of_metrics(self) -> Self:
        names = {metric.name for metric in self.metrics}
        if unknown := [name for name in self.descriptions if name not in names]:
            near = difflib.get_close_matches(unknown[0], names, n=1)
            problem = "no metric has this name" + (f"; did you mean `{near[0]}`?" if near else "")
            error = PydanticCustomError("description", "{problem}", {"problem": problem})
            raise ValidationError.from_exception_data(
                type(self).__name__,
                [{"type": error, "loc": ("descriptions", unknown[0]), "input": unknown[0]}],
            )
        return self

    @model_validator(mode="after")
    def _metrics_differ(self) -> Self:
        for product in Product:
            _require_unique([metric.name for metric in self.of(product)], "metric")
        return self

    def of(self, product: Product) -> tuple[MetricSettings, ...]:
        """Return the metrics that are read from a product."""
        return tuple(metric for metric in self.metrics if metric.only in ("", product))


class Suite(Settings):
    """The workloads that are run in order on one launch.

    Attributes:
        name: Name of the suite.
        description: One sentence for people.
        pairs: Largest number of valid pairs, unless `--pairs` gives another.
        budget_s: Time budget in seconds from the first pair: no pair is started that would end
            later.  Ignored with `--pairs N`.
        stop_at_red: True if a run ends at the first interim analysis that finds a regression.
        settled: `leave-out` if later pairs skip the workloads that are settled, see
            `policy.settled_workloads`; a workload must not depend on those before it.
        max_invalid: Number of invalid pairs that are measured again before the run gives up.
        environment: Environment in which the builds run.
        workloads: Workloads, in the order in which they are run.
    """

    name: Annotated[str, Field(pattern=_NAME)]
    description: str
    pairs: Annotated[int, Field(ge=2, le=MAX_PAIRS)]
    budget_s: Seconds | None = None
    stop_at_red: bool = False
    settled: Literal["keep", "leave-out"] = "keep"
    max_invalid: CountOrZero = 2
    environment: AnyEnvironmentSettings
    workloads: Annotated[tuple[Workload, ...], Field(alias="workload", min_length=1)]

    @model_validator(mode="after")
    def _workloads_differ(self) -> Self:
        _require_unique([workload.name for workload in self.workloads], "workload")
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the programs that the environment and the drivers need, each once."""
        needs = [self.environment.needs, *(workload.driver.needs for workload in self.workloads)]
        return tuple(dict.fromkeys(itertools.chain.from_iterable(needs)))

    def by_key(self) -> dict[str, Metric]:
        """Return the metrics by sample key, for a suite of one product (see `of`)."""
        return {key: metric.metric() for key, metric in self.keyed_metrics()}

    def keyed_metrics(self) -> Iterator[tuple[str, MetricSettings]]:
        """Yield every metric with its sample key; one of both products is there twice."""
        for workload in self.workloads:
            for metric in workload.metrics:
                yield f"{workload.name}/{metric.name}", metric

    def of(self, product: Product) -> "Suite":
        """Return the suite with only the metrics that are read from a product."""
        workloads = tuple(
            workload.model_copy(update={"metrics": workload.of(product)})
            for workload in self.workloads
        )
        return self.model_copy(update={"workloads": workloads})

    def only(self, driver: str) -> "Suite":
        """Return the suite with only the workloads of a driver; all of them if it is empty.

        Raises:
            ConfigError: The suite has no such workload.
        """
        if not driver:
            return self
        workloads = tuple(one for one in self.workloads if one.driver.kind == driver)
        if not workloads:
            raise ConfigError(
                f"--driver {driver}: the suite {self.name} has no workload of it",
                hint=f"its drivers: {', '.join(self.drivers)}",
            )
        return self.model_copy(update={"workloads": workloads})

    @property
    def drivers(self) -> tuple[str, ...]:
        """Kinds of the drivers of all workloads, each once."""
        return tuple(dict.fromkeys(workload.driver.kind for workload in self.workloads))


_SUITE = TypeAdapter(Suite)


class LoadedSuite(BaseModel):
    """A suite and the text it was read from."""

    suite: Suite
    text: str
    digest: str


def path_of(name: str) -> Path:
    """Return the path of a suite, given its name or path, or raise ConfigError."""
    return paths.expand(name) if name.endswith(".toml") else bundled_path(name)


def bundled_path(name: str) -> Path:
    """Return the path of one of our suites, given its name, or raise ConfigError."""
    path = paths.project_path("suites", f"{name}.toml")
    if re.fullmatch(_NAME, name) and path.is_file():
        return path
    file = Path(f"{name.rstrip('/')}.toml")
    known = sorted(other.stem for other in paths.project_path("suites").glob("*.toml"))
    hint = f"known suites: {', '.join(known)}; or give the path of a .toml file"
    raise ConfigError(
        f"there is no suite `{truncate(name, _MAX_TEXT)}`",
        hint=f"did you mean {file}?" if file.is_file() else hint,
    )


def load(path: Path) -> LoadedSuite:
    """Read and check a suite.

    Raises:
        ConfigError: Naming the file, the line, the key and what was expected there.
    """
    text = toml_file.read(path, "the suite")
    try:
        tables = toml_file.parse(text, f"{path}")
        suite = from_table(_SUITE, tables, {FOLDER: path.parent})
    except ValidationError as error:
        errors = error.errors()
        locations = [e["loc"] for e in errors]
        first, *others = [
            _error_text(path, text, e["loc"], e["type"], e["msg"])
            for e in errors[:_MAX_ERRORS]
            if e["type"] != "too_short" or not any(_is_below(loc, e["loc"]) for loc in locations)
        ]
        raise ConfigError(first, hint="\n".join(others)) from error
    return LoadedSuite(suite=suite, text=text, digest=_digest(suite))


def load_to_measure(path: Path) -> LoadedSuite:
    """Read and check a suite that is about to be measured; see `load`.

    Results that were measured are judged by suites that only `load` checks.

    Raises:
        ConfigError: The suite is refused by `load`, or a metric needs a reading that nothing
            reports.
    """
    loaded = load(path)
    for number, workload in enumerate(loaded.suite.workloads):
        names = workload.driver.reading_names() + probe_names.reading_names(workload.probes)
        for index, metric in enumerate(workload.metrics):
            for key, problem in _unreadable(metric, names):
                keys = ("workload", number, "metric", index, key)
                raise ConfigError(_error_text(path, loaded.text, keys, "", problem))
    return loaded


def _unreadable(metric: MetricSettings, names: ReadingNames) -> Iterator[tuple[str, str]]:
    """Yield the key and the reason of each reading that nothing reports as the metric needs it."""
    for key in ("select", "per"):
        name = getattr(metric, key)
        if not name or names.allow(name):
            continue
        if probe := probe_names.probe_of(name):
            yield key, f'only the probe `{probe}` reports `{name}`: add "{probe}" to `probes`'
        else:
            near = names.nearest(name)
            hint = f"; did you mean `{near}`?" if near else ""
            yield key, f"nothing reports `{name}` of this load{hint}"
    unit, per = names.units.get(metric.select), names.units.get(metric.per)
    if metric.unit != TIMES and unit and unit != metric.unit:
        yield "unit", f"`{metric.select}` is in `{unit}`, and the metric in `{metric.unit}`"
    if metric.unit == TIMES and unit and per and unit != per:
        yield "unit", f"`{metric.select}` is in `{unit}`, and `{metric.per}` in `{per}`"


def keep(loaded: LoadedSuite, folder: Path) -> None:
    """Copy a suite and the scripts beside it into a folder, so that it can be run from there."""
    codec.write_text(folder / SUITE, loaded.text)
    keep_files(loaded.suite, folder)


def keep_files(suite: Suite, folder: Path) -> None:
    """Copy the scripts beside a suite into a folder."""
    load_files.copy(own_files(suite), folder)


def kept_names(suite: Suite) -> list[str]:
    """Return the names of what `keep` writes: the suite, and the scripts beside it."""
    return [SUITE, *sorted(own_files(suite))]


def own_files(suite: Suite) -> dict[str, Path]:
    """Return the scripts beside a suite that it uses, by relative path."""
    return {
        name: path
        for workload in suite.workloads
        for name, path in workload.driver.own_files().items()
    }


def _digest(suite: Suite) -> str:
    """Return the digest of what decides: the load, its scripts, and the metrics that gate.

    Baselines of another digest are refused.  Metrics that do not gate are no part of it, nor the
    number of pairs, nor descriptions.
    """
    gating = tuple(
        workload.model_copy(update={"metrics": tuple(m for m in workload.metrics if m.gate)})
        for workload in suite.workloads
    )
    set_keys = suite.model_copy(update={"workloads": gating}).model_dump_json(
        by_alias=True,
        exclude_defaults=True,  # a new key is no change
        exclude={
            **dict.fromkeys(_RUN_KEYS, True),
            "workloads": {
                "__all__": {"descriptions": True, "metrics": {"__all__": {"description": True}}}
            },
        },
    )
    return _digest_with_files(set_keys, suite)


def load_digest(suite: Suite) -> str:
    """Return the digest of what changes the spread of a suite's metrics, except the machine.

    It covers the load, its scripts, the environment, and how each metric is read.  It does not
    cover what only decides a verdict: margin, gate, tolerance and the number of pairs.

    Args:
        suite: Suite with the metrics of one product (see `Suite.of`), in the environment of the
            run.
    """
    set_keys = suite.model_dump(
        mode="json",
        by_alias=True,
        exclude_defaults=True,  # a new key is no change
        include={"environment", "workloads"},
        exclude={
            "environment": _DEPLOYMENT_KEYS,
            "workloads": {"__all__": {"descriptions": True, "metrics": {"__all__": _JUDGING_KEYS}}},
        },
    )
    set_keys["environment"]["kind"] = suite.environment.kind
    for workload in set_keys["workload"]:
        workload["metric"].sort(key=lambda metric: metric["name"])
    return _digest_with_files(json.dumps(set_keys, sort_keys=True), suite)


def _digest_with_files(set_keys: str, suite: Suite) -> str:
    """Return the digest of the keys of a suite and of the scripts that it uses."""
    content = hashlib.sha256(set_keys.encode())
    own = own_files(suite)
    used = {path for workload in suite.workloads for path in workload.driver.tree().values()}
    for path in sorted(used - set(own.values())):
        content.update(os.fsencode(path.name) + b"\0" + path.read_bytes())
    for name, path in sorted(own.items()):  # by name only: the suite may have been moved
        content.update(os.fsencode(name) + b"\0" + path.read_bytes())
    return f"sha256:{content.hexdigest()}"


def _is_below(loc: Sequence[int | str], other: Sequence[int | str]) -> bool:
    """Return whether a location is inside another, so that its error explains the outer one."""
    return len(loc) > len(other) and tuple(loc[: len(other)]) == tuple(other)


def _error_text(path: Path, text: str, loc: Sequence[int | str], kind: str, message: str) -> str:
    last = loc[-1:] if kind == "extra_forbidden" else ()  # a key, even if it has the name of a tag
    keys = [*(part for part in loc[: len(loc) - len(last)] if part not in _KINDS), *last]
    keys += ["kind"] if kind == "union_tag_invalid" else []
    dotted = ".".join(map(str, keys)) or "the suite"
    line = toml_file.line_of(text, keys)
    problem = message.removeprefix("Value error, ")
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(keys[-1]), _known_keys(), n=1)
        problem = "unknown key" + (f"; did you mean `{near[0]}`?" if near else "")
    return f"{path}:{line}: {truncate(dotted, _MAX_TEXT)}: {truncate(problem, _MAX_TEXT)}"


def _known_keys() -> list[str]:
    models: tuple[type[BaseModel], ...] = (
        Suite,
        Workload,
        MetricSettings,
        *ENVIRONMENT_SETTINGS.values(),
        *DRIVER_SETTINGS.values(),
    )
    fields = [item for model in models for item in model.model_fields.items()]
    return sorted({field.alias or name for name, field in fields})


def _require_unique(names: Sequence[str], what: str) -> None:
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two {what}s are called `{duplicates[0]}`")
