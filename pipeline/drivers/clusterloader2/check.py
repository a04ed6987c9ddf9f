"""Check a ClusterLoader2 config before a run, and list the summaries that it will write.

ClusterLoader2 ignores unknown keys and parameters, skips measurements that it cannot make, and
finds other errors in the middle of a run.  Here each of them is an error with file and line.
The Go program `expand` evaluates templates, modules and line numbers.
"""

import difflib
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.drivers.clusterloader2 import config as schema
from pipeline.drivers.clusterloader2.config import (
    METHOD_PARAMETERS,
    REQUIRED_PARAMETERS,
    ConfigDocument,
    ConfigPart,
    ExpandedConfig,
    MeasurementCall,
)
from pipeline.drivers.clusterloader2.wire import QUERY, TIMER, ExpectedSummary
from pipeline.model.ports import Program
from pipeline.system import processes
from pipeline.system.errors import ConfigError, LaunchError

_TIMEOUT_S = 60.0
_FAULT = re.compile(r".+:\d+: ")  # FILE:LINE: message, as `expand` prints it

_Location = tuple[int | str, ...]
"""Keys and indexes that lead to a part of a config."""


@dataclass(frozen=True, slots=True)
class CheckedConfig:
    """A config without errors: the summaries that it writes, and the parameters that it ignores."""

    expected: tuple[ExpectedSummary, ...]
    unused: tuple[str, ...]


def check(
    config: Path, overrides: Mapping[str, bool | float | str], expander: Program
) -> CheckedConfig:
    """Return the summaries of a config, which is a file beside its modules and templates.

    Raises:
        ConfigError: The config has an error; the message names file, line and error.
        LaunchError: `expand` failed.
    """
    expanded = _expand(config, overrides, expander)
    try:
        document = ConfigDocument.model_validate_json(json.dumps(expanded.config))
    except ValidationError as error:  # the other checks need correct types
        faults = [
            f"{_place(expanded, one['loc'])}: {one['loc'][-1]}:"
            f" {_describe(one, 'key', _known_keys())}"
            for one in _unknown_keys_first(error)
        ]
        raise _config_error(faults) from error
    if faults := list(_faults(expanded, document)):
        raise _config_error(faults)
    return CheckedConfig(tuple(_expected(document)), expanded.unused)


def _config_error(faults: Sequence[str]) -> ConfigError:
    first, *others = dict.fromkeys(faults)
    return ConfigError(first, hint="\n".join(others))


def _expand(config: Path, overrides: Mapping[str, object], expander: Program) -> ExpandedConfig:
    with tempfile.TemporaryDirectory(prefix="expand-") as folder:
        given, output = Path(folder, "overrides.json"), Path(folder, "expanded.json")
        given.write_text(json.dumps(overrides), encoding="utf-8")
        argv = [str(expander.path), "-overrides", str(given), str(config)]
        try:
            processes.run(argv, output=output, timeout_s=_TIMEOUT_S)
        except processes.CommandError as error:
            text = output.read_text(encoding="utf-8", errors="replace") if output.exists() else ""
            if not (faults := [line for line in text.splitlines() if _FAULT.match(line)]):
                ended = f"{expander.path} {error.status}" if error.status else f"{error}"
                raise LaunchError(
                    f"{config} cannot be expanded: {ended}", hint=text[-1000:] or error.hint
                ) from error
            raise ConfigError(faults[0], hint="\n".join(faults[1:])) from error
        text = output.read_text(encoding="utf-8", errors="replace")
    try:
        return ExpandedConfig.model_validate_json(text)
    except ValidationError as error:
        raise LaunchError(
            f"{expander.path} does not print what a config expands to", hint=text[:1000]
        ) from error


def _faults(expanded: ExpandedConfig, config: ConfigDocument) -> Iterator[str]:
    yield from _phase_faults(expanded, config)
    wrong = list(_measurement_faults(expanded, config))
    yield from wrong
    if not wrong:
        yield from _order_faults(expanded, config)
        yield from _gathering_faults(expanded, config)


def _phase_faults(expanded: ExpandedConfig, config: ConfigDocument) -> Iterator[str]:
    sets = [one.name for one in config.tuning_sets]
    for number, one in enumerate(config.tuning_sets):
        at = _place(expanded, ("tuningSets", number))
        if sets.count(one.name) > 1:
            yield f"{at}: there are two tuning sets `{one.name}`"
        kinds = one.model_fields_set - {"name", "initial_delay"}
        if len(kinds) != 1:
            yield f"{at}: `{one.name}` has {len(kinds)} kinds of load, not one"
    for number, step in enumerate(config.steps):
        if bool(step.phases) == bool(step.measurements):
            yield (
                f"{_place(expanded, ('steps', number))}: `{step.name}` must have either phases or"
                " measurements"
            )
        for index, phase in enumerate(step.phases):
            location = ("steps", number, "phases", index)
            if phase.tuning_set not in sets:
                near = _suggest(phase.tuning_set, sets)
                at = _place(expanded, (*location, "tuningSet"))
                yield f"{at}: there is no tuning set `{phase.tuning_set}`{near}"
            spaces = phase.namespace_range
            if spaces and phase.namespace_list is not None:
                yield f"{_place(expanded, location)}: namespaces are given twice"
            if spaces and spaces.max < spaces.min:
                at = _place(expanded, (*location, "namespaceRange"))
                yield f"{at}: there is no namespace from {spaces.min} to {spaces.max}"


def _calls(config: ConfigDocument) -> Iterator[tuple[_Location, MeasurementCall]]:
    for number, step in enumerate(config.steps):
        for index, call in enumerate(step.measurements):
            yield ("steps", number, "measurements", index), call


def _measurement_faults(expanded: ExpandedConfig, config: ConfigDocument) -> Iterator[str]:
    for location, call in _calls(config):
        if (parameters := METHOD_PARAMETERS.get(call.method)) is None:
            near = _suggest(call.method, METHOD_PARAMETERS)
            yield (
                f"{_place(expanded, (*location, 'method'))}: `{call.method}` is"
                f" unknown, or needs more than an API server{near}"
            )
            continue
        try:
            parameters.model_validate_json(json.dumps(call.params))
        except ValidationError as error:
            for one in _unknown_keys_first(error):
                at = _place(expanded, (*location, "params", *one["loc"]))
                name = ".".join(map(str, one["loc"]))
                known = _known_keys() if one["loc"][1:] else _key_names(parameters)
                yield f"{at}: {call.method}: {name}: {_describe(one, 'parameter', known)}"
            continue
        action = call.params.get("action", "")
        for name in REQUIRED_PARAMETERS.get((call.method, action), ()):
            if not call.params.get(name):
                at = _place(expanded, (*location, "params"))
                yield f"{at}: {call.method}: `{action}` needs `{name}`"


def _order_faults(expanded: ExpandedConfig, config: ConfigDocument) -> Iterator[str]:
    """Yield calls that fail a step, leave no summary, or overwrite another summary."""
    open_timers: dict[tuple[str, str], _Location] = {}
    started: dict[tuple[str, str], _Location] = {}
    summaries: set[str] = set()
    names = iter(_expected(config))
    for location, call in _calls(config):
        at, label = _place(expanded, location), call.params.get("label", "")
        key, action = (call.method, call.identifier), call.params.get("action")
        if action == "start":
            started[key] = location
        if action == "start" and call.method == TIMER:
            open_timers[call.identifier, label] = location
        if action == "stop" and open_timers.pop((call.identifier, label), None) is None:
            yield f"{at}: {call.method}: `{label}` is stopped and was not started"
        if action == "gather":
            if started.pop(key, None) is None:
                yield f"{at}: {call.method} `{call.identifier}` is gathered and was not started"
            if (name := next(names).name) in summaries:
                yield f"{at}: a second report is called {name}, and may take the place of the first"
            summaries.add(name)
    for (method, identifier), location in started.items():
        yield f"{_place(expanded, location)}: {method} `{identifier}` is started and not gathered"
    for (_, label), location in open_timers.items():
        yield f"{_place(expanded, location)}: {TIMER}: `{label}` is started and not stopped"


def _gathering_faults(expanded: ExpandedConfig, config: ConfigDocument) -> Iterator[str]:
    """Yield summaries that are gathered beside another measurement and may be lost silently."""
    for location, call in _calls(config):
        others = len(config.steps[int(location[1])].measurements) - 1
        if call.params.get("action") == "gather" and others:
            yield (
                f"{_place(expanded, location)}: {call.method} `{call.identifier}` must be gathered"
                " in a step of its own, or ClusterLoader2 may lose its report"
            )


def _expected(config: ConfigDocument) -> Iterator[ExpectedSummary]:
    """Yield the summaries of a config, in the order in which it gathers them."""
    queries: dict[str, str] = {}  # metric names by identifier, which only `start` has
    for _, call in _calls(config):
        summary, action = call.params.get("summaryName", ""), call.params.get("action")
        if call.method == QUERY:
            queries.setdefault(call.identifier, call.params.get("metricName", ""))
            summary = f"{QUERY} {queries[call.identifier]}"
        if action == "gather":
            yield ExpectedSummary(call.method, call.identifier, summary)


def _unknown_keys_first(error: ValidationError) -> list[ErrorDetails]:
    """Return the errors, unknown keys first: a misspelt key is often another one missing."""
    return sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")


def _describe(error: ErrorDetails, what: str, known: Iterable[str]) -> str:
    if error["type"] == "extra_forbidden":
        return f"unknown {what}{_suggest(str(error['loc'][-1]), known)}"
    text = error["msg"].removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def _place(expanded: ExpandedConfig, location: Sequence[int | str]) -> str:
    """Return `FILE:LINE` of a part of a config, or of the nearest enclosing part."""
    for length in range(len(location), -1, -1):
        pointer = "".join(f"/{part}" for part in location[:length])
        if pointer in expanded.places:
            return expanded.places[pointer]
    return expanded.places[""]


def _suggest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


def _key_names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _known_keys() -> list[str]:
    """Return the keys of all parts of a config, without the parameters of measurements."""
    parts = [one for one in vars(schema).values() if isinstance(one, type)]
    models = {one for one in parts if issubclass(one, ConfigPart)} - {*METHOD_PARAMETERS.values()}
    return sorted({name for model in models for name in _key_names(model)})
