"""Check a config of ClusterLoader2 before anything is started, and say which reports it will leave.

ClusterLoader2 passes over unknown keys and parameters, leaves out measurements that it cannot make,
and finds much of the rest in the middle of a run.  Here all of it is an error, with file and line.
The program `expand` does what is Go: templates, modules, lines.
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
from pipeline.drivers.clusterloader2.config import Config, Expanded, Measurement, Part
from pipeline.drivers.clusterloader2.methods import METHODS, NEEDED, Query
from pipeline.drivers.clusterloader2.reported import QUERY, TIMER, Expected
from pipeline.model.ports import Program
from pipeline.system import processes
from pipeline.system.errors import ConfigError, LaunchError

_TIMEOUT_S = 60.0
_FAULT = re.compile(r".+:\d+: ")  # FILE:LINE: what is wrong, as `expand` says it

_Where = tuple[int | str, ...]
"""Keys and numbers that lead to a part of a config."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A config that can be run.

    Attributes:
        expected: The reports that it leaves; a run without one of them is not whole.
        unused: Parameters that it was given and does not read.
    """

    expected: tuple[Expected, ...]
    unused: tuple[str, ...]


def check(config: Path, overrides: Mapping[str, bool | float | str], expander: Program) -> Checked:
    """Return what a config leaves, once it is sure that it can be run.

    Args:
        config: Its file, beside its modules and templates.
        overrides: Its parameters.
        expander: The program `expand`.

    Raises:
        ConfigError: Naming the file, the line and what is wrong there.
        LaunchError: `expand` does not do its work.
    """
    expanded = _expanded(config, overrides, expander)
    faults = list(_faults(expanded))
    if faults:
        first, *others = dict.fromkeys(faults)
        raise ConfigError(first, hint="\n".join(others))
    return Checked(tuple(_expected(_config(expanded))), expanded.unused)


def _expanded(config: Path, overrides: Mapping[str, object], expander: Program) -> Expanded:
    with tempfile.TemporaryDirectory(prefix="expand-") as folder:
        given, output = Path(folder, "overrides.json"), Path(folder, "expanded.json")
        given.write_text(json.dumps(overrides), encoding="utf-8")
        argv = [str(expander.path), "-overrides", str(given), str(config)]
        try:
            processes.run(argv, output=output, timeout_s=_TIMEOUT_S)
        except processes.CommandError as error:
            said = output.read_text(encoding="utf-8", errors="replace") if output.exists() else ""
            if not (faults := [line for line in said.splitlines() if _FAULT.match(line)]):
                raise
            raise ConfigError(faults[0], hint="\n".join(faults[1:])) from error
        said = output.read_text(encoding="utf-8", errors="replace")
    try:
        return Expanded.model_validate_json(said)
    except ValidationError as error:
        raise LaunchError(
            f"{expander.path} does not print what a config expands to", hint=said[:1000]
        ) from error


def _config(expanded: Expanded) -> Config:
    return Config.model_validate_json(json.dumps(expanded.config))


def _faults(expanded: Expanded) -> Iterator[str]:
    """Yield what is wrong, first where types are, as the rest can only be told without these."""
    try:
        config = _config(expanded)
    except ValidationError as error:
        yield from _of_types(expanded, error)
        return
    yield from _of_phases(expanded, config)
    wrong = list(_of_measurements(expanded, config))
    yield from wrong
    if not wrong:
        yield from _of_order(expanded, config)
        yield from _of_gathering(expanded, config)


def _of_types(expanded: Expanded, error: ValidationError) -> Iterator[str]:
    for one in _unknown_first(error):
        where = one["loc"]
        yield f"{_place(expanded, where)}: {where[-1]}: {_said(one, 'key', _keys())}"


def _of_phases(expanded: Expanded, config: Config) -> Iterator[str]:
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
            below = ("steps", number, "phases", index)
            if phase.tuning_set not in sets:
                near = _nearest(phase.tuning_set, sets)
                at = _place(expanded, (*below, "tuningSet"))
                yield f"{at}: there is no tuning set `{phase.tuning_set}`{near}"
            spaces = phase.namespace_range
            if spaces and phase.namespace_list is not None:
                yield f"{_place(expanded, below)}: namespaces are given twice"
            if spaces and spaces.max < spaces.min:
                at = _place(expanded, (*below, "namespaceRange"))
                yield f"{at}: there is no namespace from {spaces.min} to {spaces.max}"


def _calls(config: Config) -> Iterator[tuple[_Where, Measurement]]:
    """Yield every call of a measurement, and where it is."""
    for number, step in enumerate(config.steps):
        for index, call in enumerate(step.measurements):
            yield ("steps", number, "measurements", index), call


def _of_measurements(expanded: Expanded, config: Config) -> Iterator[str]:
    for where, call in _calls(config):
        if (params := METHODS.get(call.method)) is None:
            near = _nearest(call.method, METHODS)
            yield (
                f"{_place(expanded, (*where, 'method'))}: `{call.method}` is no measurement that an"
                f" API server is enough for{near}"
            )
            continue
        try:
            params.model_validate_json(json.dumps(call.params))
        except ValidationError as error:
            for one in _unknown_first(error):
                at = _place(expanded, (*where, "params", *one["loc"]))
                name = ".".join(map(str, one["loc"]))
                known = _keys() if one["loc"][1:] else _names(params)
                yield f"{at}: {call.method}: {name}: {_said(one, 'parameter', known)}"
            continue
        action = call.params.get("action", "")
        for name in NEEDED.get((call.method, action), ()):
            if not call.params.get(name):
                at = _place(expanded, (*where, "params"))
                yield f"{at}: {call.method}: `{action}` needs `{name}`"


def _of_order(expanded: Expanded, config: Config) -> Iterator[str]:
    """Yield what would stop a step, leave no report, or leave one over another."""
    open_timers: dict[tuple[str, str], _Where] = {}
    started: dict[tuple[str, str], _Where] = {}
    reports: set[str] = set()
    names = iter(_expected(config))
    for where, call in _calls(config):
        at, label = _place(expanded, where), call.params.get("label", "")
        key, action = (call.method, call.identifier), call.params.get("action")
        if action == "start":
            started[key] = where
        if action == "start" and call.method == TIMER:
            open_timers[call.identifier, label] = where
        if action == "stop" and open_timers.pop((call.identifier, label), None) is None:
            yield f"{at}: {call.method}: `{label}` is stopped and was not started"
        if action == "gather":
            if started.pop(key, None) is None:
                yield f"{at}: {call.method} `{call.identifier}` is gathered and was not started"
            if (name := next(names).name) in reports:
                yield f"{at}: a second report is called {name}, and may take the place of the first"
            reports.add(name)
    for (method, identifier), where in started.items():
        yield f"{_place(expanded, where)}: {method} `{identifier}` is started and not gathered"
    for (_, label), where in open_timers.items():
        yield f"{_place(expanded, where)}: {TIMER}: `{label}` is started and not stopped"


def _of_gathering(expanded: Expanded, config: Config) -> Iterator[str]:
    """Yield what is gathered beside something else: its report may be lost, without a word."""
    for where, call in _calls(config):
        beside = len(config.steps[int(where[1])].measurements) - 1
        if call.params.get("action") == "gather" and beside:
            yield (
                f"{_place(expanded, where)}: {call.method} `{call.identifier}` must be gathered in"
                " a step of its own, or ClusterLoader2 may lose its report"
            )


def _expected(config: Config) -> Iterator[Expected]:
    """Yield the reports of a config, in the order in which it gathers them."""
    queries: dict[str, str] = {}  # what they were called when they were started
    for _, call in _calls(config):
        summary, action = call.params.get("summaryName", ""), call.params.get("action")
        if call.method == QUERY:
            queries.setdefault(call.identifier, call.params.get("metricName", ""))
            summary = f"{QUERY} {queries[call.identifier]}"
        if action == "gather":
            yield Expected(call.method, call.identifier, summary)


def _unknown_first(error: ValidationError) -> list[ErrorDetails]:
    """Return what is wrong, beginning with unknown names: one misspelt is often another missing."""
    return sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")


def _said(error: ErrorDetails, what: str, known: Iterable[str]) -> str:
    if error["type"] == "extra_forbidden":
        return f"unknown {what}{_nearest(str(error['loc'][-1]), known)}"
    said = error["msg"].removeprefix("Value error, ")
    return said[:1].lower() + said[1:]


def _place(expanded: Expanded, where: Sequence[int | str]) -> str:
    """Return `FILE:LINE` of a part of a config, or of the nearest part around it that is there."""
    for length in range(len(where), -1, -1):
        pointer = "".join(f"/{part}" for part in where[:length])
        if pointer in expanded.places:
            return expanded.places[pointer]
    return expanded.places[""]


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _keys() -> list[str]:
    parts: list[object] = list(vars(schema).values())
    models: list[type[Part]] = [Query]
    models += [part for part in parts if isinstance(part, type) and issubclass(part, Part)]
    return sorted({name for model in models for name in _names(model)})
