"""A suite: what is measured, how, and what matters; a TOML file."""

import difflib
import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pipeline.drivers import tree
from pipeline.drivers.registry import DRIVER_SETTINGS, AnyDriverSettings
from pipeline.drivers.tree import FOLDER
from pipeline.environments.kind import KindSettings
from pipeline.environments.local import LocalSettings
from pipeline.environments.registry import AnyEnvironment
from pipeline.environments.remote import RemoteSettings
from pipeline.model.metric import Better, Metric, Scale, ambiguous_margin
from pipeline.model.subject import Product
from pipeline.model.units import BASE_UNITS
from pipeline.probes.registry import OptInProbe
from pipeline.storage import codec, toml_file
from pipeline.storage.settings import Settings
from pipeline.system import paths
from pipeline.system.errors import ConfigError
from pipeline.system.log import log
from pipeline.system.sanitize import clipped

_KINDS = (*DRIVER_SETTINGS, "local", "kind", "remote")
"""Tags that pydantic puts into the place of an error; they are no keys."""

SUITE = "suite.toml"
"""Name of the suite in the folder of a run."""

_NAME = r"^[a-z][a-z0-9_-]*$"

_SURELY_PERCENT = 2.0
"""A ratio that is written as a plain number from here on is refused: somebody means percent.
Between 1 and this it is questioned, because suites of before have 1.5."""

_OF_THE_RUN = ("pairs", "budget_s", "stop_at_red", "settled", "max_invalid", "description")
"""Keys that say how many values there are, and nothing of what one means."""

_NOT_OF_THE_LOAD = {
    *("ready_s", "gone_s", "prefix", "expires_h", "registry", "pull_secret"),
    *("kubeconfig", "context", "name", "keep"),
}
"""Settings of environments that say how builds get there, not what they get."""

_NOT_OF_THE_READING = {"margin", "gate", "tolerance", "description", "only"}
"""Settings of metrics that change no value."""

_MOST_COMPLAINTS = 20
_SENTENCE = 300  # characters of a key, or of what is wrong with it


class MetricSettings(Settings):
    """One metric of a workload.

    Attributes:
        name: Unique in the workload.
        select: What the driver or a probe calls the reading.
        per: The reading to divide it by, if any.
        unit: Base unit of the result.
        better: Direction of an improvement; of most metrics, less is better.
        margin: See `Metric`; `"150%"` is 1.5.  A plain ratio above 1 is questioned, and refused
            from 2 on; the same holds for `tolerance`.
        gate: See `Metric`.
        scale: See `Metric`.
        floor: See `Metric`.
        tolerance: See `Metric`; `"30%"` is 0.3.
        description: See `Metric`.
        only: The product that it is read from; empty for any.
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
    def _from_percent(cls, said: object) -> object:
        if isinstance(said, str) and said.endswith("%"):
            with suppress(ValueError):
                return float(said[:-1]) / 100
        return said

    @model_validator(mode="wrap")
    @classmethod
    def _ratios_are_meant(cls, said: object, check: ModelWrapValidatorHandler[Self]) -> Self:
        found = check(said)
        if found.scale is not Scale.RATIO or not isinstance(said, dict):
            return found
        for key in ("margin", "tolerance"):
            written = said.get(key)
            if not isinstance(written, int | float) or not (doubt := ambiguous_margin(written)):
                continue
            if written < _SURELY_PERCENT:
                log.warning("%s: %s %s, in quotes", found.name, key, doubt)
                continue
            error = PydanticCustomError(key, "{doubt}, in quotes", {"doubt": doubt})
            raise ValidationError.from_exception_data(
                cls.__name__, [{"type": error, "loc": (key,), "input": written}]
            )
        return found

    @field_validator("unit")
    @classmethod
    def _is_base(cls, unit: str) -> str:
        if unit not in BASE_UNITS:
            raise ValueError(f"`{unit}` is not one of {', '.join(BASE_UNITS)}")
        return unit

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        self.metric()
        return self

    def metric(self) -> Metric:
        """Return the part of this that is stored with results."""
        return Metric(
            name=self.name,
            unit=self.unit,
            better=self.better,
            margin=self.margin,
            gate=self.gate,
            scale=self.scale,
            floor=self.floor,
            tolerance=self.tolerance,
            description=self.description,
        )


class Workload(Settings):
    """One kind of load and what is read from it.

    Attributes:
        name: Unique in the suite.
        driver: What applies it.
        probes: What watches besides the probes that watch every workload.
        descriptions: What each metric is, in a few words, by its name: in a table of its own,
            because a metric that both products have stands twice.
        metrics: A name may stand once for each product.
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
            said = "no metric has this name" + (f"; did you mean `{near[0]}`?" if near else "")
            error = PydanticCustomError("description", "{said}", {"said": said})
            raise ValidationError.from_exception_data(
                type(self).__name__,
                [{"type": error, "loc": ("descriptions", unknown[0]), "input": unknown[0]}],
            )
        return self

    @model_validator(mode="after")
    def _metrics_differ(self) -> Self:
        for product in Product:
            _all_differ([metric.name for metric in self.of(product)], "metric")
        return self

    def of(self, product: Product) -> tuple[MetricSettings, ...]:
        """Return the metrics that are read from a product."""
        return tuple(metric for metric in self.metrics if metric.only in ("", product))


class Suite(Settings):
    """The workloads that are run in order on one launch.

    Attributes:
        name: By which it is asked for.
        description: One sentence.
        pairs: How many valid pairs a run has at most, unless it is asked for another number.
        budget_s: No pair is started that would end later, in seconds from the first one, unless a
            number of pairs is asked for.
        stop_at_red: Whether a run ends at the first look that finds a regression.
        settled: Whether pairs after a look leave out the workloads that are settled; see
            `policy.settled_workloads`.  What one leaves behind must not matter to those after it.
        max_invalid: How many pairs may turn out invalid, and be measured again, before the run
            gives up.
        environment: Where subjects run.
        workloads: In the order run.
    """

    name: Annotated[str, Field(pattern=_NAME)]
    description: str
    pairs: Annotated[int, Field(ge=2)]
    budget_s: Annotated[float, Field(gt=0)] | None = None
    stop_at_red: bool = False
    settled: Literal["keep", "leave-out"] = "keep"
    max_invalid: Annotated[int, Field(ge=0)] = 2
    environment: AnyEnvironment
    workloads: Annotated[tuple[Workload, ...], Field(alias="workload", min_length=1)]

    @model_validator(mode="after")
    def _workloads_differ(self) -> Self:
        _all_differ([workload.name for workload in self.workloads], "workload")
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the programs that the environment and the drivers want, each once."""
        wanted = (self.environment, *(workload.driver for workload in self.workloads))
        return tuple(dict.fromkeys(name for one in wanted for name in one.needs))

    def by_key(self) -> dict[str, Metric]:
        """Return the metrics by their sample key; of a suite of one product (see `of`)."""
        return {
            f"{workload.name}/{metric.name}": metric.metric()
            for workload in self.workloads
            for metric in workload.metrics
        }

    def of(self, product: Product) -> "Suite":
        """Return the suite with only the metrics that are read from a product."""
        workloads = tuple(
            workload.model_copy(update={"metrics": workload.of(product)})
            for workload in self.workloads
        )
        return self.model_copy(update={"workloads": workloads})


class LoadedSuite(BaseModel):
    """A suite and the text it was read from."""

    suite: Suite
    text: str
    digest: str


def path_of(name: str) -> Path:
    """Return the file of a suite, given its name or a path.

    Raises:
        ConfigError: There is none.
    """
    if name.endswith(".toml"):
        return Path(name)
    path = paths.ours("suites", f"{name}.toml")
    if not re.fullmatch(_NAME, name) or not path.is_file():
        known = sorted(found.stem for found in paths.ours("suites").glob("*.toml"))
        raise ConfigError(
            f"there is no suite `{name}`",
            hint=f"known suites: {', '.join(known)}; or give the path of a .toml file",
        )
    return path


def load(path: Path) -> LoadedSuite:
    """Read and check a suite.

    Raises:
        ConfigError: Naming the file, the line, the key and what was expected there.
    """
    text = toml_file.read(path, "the suite")
    try:
        tables = toml_file.parsed(text, f"{path}")
        suite = Suite.model_validate(tables, context={FOLDER: path.parent})
    except ValidationError as error:
        found = error.errors()
        inside = [e["loc"] for e in found]
        first, *others = [
            _sentence(path, text, e["loc"], e["type"], e["msg"])
            for e in found[:_MOST_COMPLAINTS]
            if e["type"] != "too_short" or not any(_is_below(loc, e["loc"]) for loc in inside)
        ]
        raise ConfigError(first, hint="\n".join(others)) from error
    return LoadedSuite(suite=suite, text=text, digest=_digest(suite))


def keep(loaded: LoadedSuite, folder: Path) -> None:
    """Write a suite into a folder, with the scripts beside it, so that it can be run from there.

    Raises:
        LoadError: It cannot be written.
    """
    codec.write_text(folder / SUITE, loaded.text)
    keep_files(loaded.suite, folder)


def keep_files(suite: Suite, folder: Path) -> None:
    """Copy the scripts that stand beside a suite to where it is going to be."""
    tree.copy(own_files(suite), folder)


def own_files(suite: Suite) -> dict[str, Path]:
    """Return what stands beside a suite and is used by it, by its path from there."""
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
            **dict.fromkeys(_OF_THE_RUN, True),
            "workloads": {
                "__all__": {"descriptions": True, "metrics": {"__all__": {"description": True}}}
            },
        },
    )
    return _with_files(set_keys, suite)


def load_digest(suite: Suite) -> str:
    """Return the digest of what the spread of a suite's metrics depends on, besides the machine.

    That is the load, its scripts, where the builds run, and how each metric is read.  What decides
    a verdict is no part of it: margin, gate, tolerance, and how many pairs there are.

    Args:
        suite: With the metrics of one product (see `Suite.of`), and with the environment that it
            runs in.
    """
    set_keys = suite.model_dump(
        mode="json",
        by_alias=True,
        exclude_defaults=True,  # a new key is no change
        include={"environment", "workloads"},
        exclude={
            "environment": _NOT_OF_THE_LOAD,
            "workloads": {
                "__all__": {"descriptions": True, "metrics": {"__all__": _NOT_OF_THE_READING}}
            },
        },
    )
    set_keys["environment"]["kind"] = suite.environment.kind
    for workload in set_keys["workload"]:
        workload["metric"].sort(key=lambda metric: metric["name"])
    return _with_files(json.dumps(set_keys, sort_keys=True), suite)


def _with_files(set_keys: str, suite: Suite) -> str:
    """Return the digest of what a suite sets and of the scripts that it uses."""
    content = hashlib.sha256(set_keys.encode())
    own = own_files(suite)
    used = {path for workload in suite.workloads for path in workload.driver.tree().values()}
    for path in sorted(used - set(own.values())):
        content.update(path.name.encode() + b"\0" + path.read_bytes())
    for name, path in sorted(own.items()):  # by name alone: the suite may have been moved
        content.update(name.encode() + b"\0" + path.read_bytes())
    return f"sha256:{content.hexdigest()}"


def _is_below(loc: Sequence[int | str], other: Sequence[int | str]) -> bool:
    """Return whether a place is within another: what is wrong there may be all that is wrong."""
    return len(loc) > len(other) and tuple(loc[: len(other)]) == tuple(other)


def _sentence(path: Path, text: str, loc: Sequence[int | str], kind: str, message: str) -> str:
    last = loc[-1:] if kind == "extra_forbidden" else ()  # a key, even if it is called as a tag is
    keys = [*(part for part in loc[: len(loc) - len(last)] if part not in _KINDS), *last]
    keys += ["kind"] if kind == "union_tag_invalid" else []
    dotted = ".".join(map(str, keys)) or "the suite"
    line = line_of(text, keys)
    said = message.removeprefix("Value error, ")
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(keys[-1]), _known_keys(), n=1)
        said = "unknown key" + (f"; did you mean `{near[0]}`?" if near else "")
    return f"{path}:{line}: {clipped(dotted, _SENTENCE)}: {clipped(said, _SENTENCE)}"


def line_of(text: str, keys: Sequence[int | str]) -> int:
    """Return the line, from 1, of a key of a TOML text, or of the table that it is missing from.

    Args:
        text: Tables as `[a.b]` and `[[a]]`, one key a line.
        keys: Path as pydantic gives it, such as `("workload", 0, "metric", 2, "unit")`.
            An array may have its tables inline, one a line.
    """
    best, best_depth = 1, -1
    counts: dict[tuple[int | str, ...], int] = {}
    here: tuple[int | str, ...] = ()
    array: tuple[int | str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*(\[\[?)\s*([\w.-]+)\s*\]", line):
            here = _table(header[2].split("."), counts, is_array=header[1] == "[[")
            found = here
        elif re.match(r"\s*\{", line):
            counts[array] = counts.get(array, -1) + 1
            found = (*array, counts[array])
        elif key := re.match(r"\s*([\w-]+)\s*=", line):
            found = array = (*here, key[1])
        else:
            continue
        if found == tuple(keys[: len(found)]) and len(found) > best_depth:
            best, best_depth = number, len(found)
    return best


def _table(
    parts: Sequence[str], counts: dict[tuple[int | str, ...], int], *, is_array: bool
) -> tuple[int | str, ...]:
    where: tuple[int | str, ...] = ()
    for position, part in enumerate(parts):
        where = (*where, part)
        if is_array and position == len(parts) - 1:
            counts[where] = counts.get(where, -1) + 1
        if where in counts:
            where = (*where, counts[where])
    return where


def _known_keys() -> list[str]:
    models: tuple[type[BaseModel], ...] = (
        Suite,
        Workload,
        MetricSettings,
        LocalSettings,
        KindSettings,
        RemoteSettings,
        *DRIVER_SETTINGS.values(),
    )
    fields = [item for model in models for item in model.model_fields.items()]
    return sorted({field.alias or name for name, field in fields})


def _all_differ(names: Sequence[str], what: str) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two {what}s are called `{twice[0]}`")
