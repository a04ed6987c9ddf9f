"""The JSON Schema of suite files, by which an editor checks and explains keys."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

from pipeline.model.metric import BASE_UNITS
from pipeline.runs.suite_file import Suite
from pipeline.storage.settings import Settings

_PERCENT = {"type": "string", "pattern": r"^\s*[0-9.]+\s*%$"}
"""A ratio as percent, such as `"5%"`, see `MetricSettings`."""

_ATTRIBUTE = re.compile(r"(\w+): ")


def suite_schema() -> dict[str, Any]:
    """Return the schema.

    A suite that it refuses is refused by `suite_file.load`, too, unless only a number or a truth
    value is written as another type.  It knows no files beside a suite, and few rules about several
    keys.
    """
    schema: dict[str, Any] = _in_toml(Suite.model_json_schema(by_alias=True))
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Suite of milo-perf"
    tables = {"Suite": schema, **schema["$defs"]}
    for model in _models():
        if "properties" in (table := tables.get(model.__name__, {})):
            _describe(table, model)
    metric = schema["$defs"]["MetricSettings"]["properties"]
    metric["unit"]["enum"] = list(BASE_UNITS)
    for key in ("margin", "tolerance"):
        number = {"type": "number", "exclusiveMinimum": metric[key].pop("exclusiveMinimum")}
        del metric[key]["type"]
        metric[key]["anyOf"] = [number, _PERCENT]
    amounts = [{"required": [key]} for key in ("rate", "iterations")]
    schema["$defs"]["K6"]["oneOf"] = amounts
    return schema


def _in_toml(part: Any) -> Any:  # noqa: ANN401 (any JSON)
    """Return a part of a schema without null, which TOML lacks."""
    match part:
        case dict():
            kept = {key: _in_toml(value) for key, value in part.items() if key != "discriminator"}
            return _without_null(kept)
        case list():
            return [_in_toml(value) for value in part]
        case _:
            return part


def _without_null(part: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that allows no null; a single alternative replaces the list of them."""
    if not isinstance(part.get("anyOf"), list) or {"type": "null"} not in part["anyOf"]:
        return part
    others = [one for one in part["anyOf"] if one != {"type": "null"}]
    rest = {key: value for key, value in part.items() if key != "anyOf"}
    if rest.get("default", ...) is None:
        del rest["default"]
    return rest | (others[0] if len(others) == 1 else {"anyOf": others})


def _describe(table: dict[str, Any], model: type[Settings]) -> None:
    """Give each key of a table the text that the docstrings of its model have for it."""
    meanings: dict[str, str] = {}
    for one in reversed(model.__mro__):
        meanings |= _meanings((one.__doc__ or "").partition("Attributes:\n")[2])
    for name, field in model.model_fields.items():
        if name in meanings:
            table["properties"][field.alias or name].setdefault("description", meanings[name])
    table["description"] = _one_line((model.__doc__ or "").partition("\n\n")[0])


def _models(model: type[Settings] = Settings) -> Iterator[type[Settings]]:
    """Yield every model of a table of a suite."""
    for one in model.__subclasses__():
        yield one
        yield from _models(one)


def _meanings(attributes: str) -> dict[str, str]:
    """Return the texts of an `Attributes:` section, by name."""
    meanings: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(f"\n{attributes}").splitlines():
        if match := _ATTRIBUTE.match(line):
            name = match[1]
            meanings[name] = line[match.end() :]
        elif name:
            meanings[name] += f" {line}"
    return {key: _one_line(text) for key, text in meanings.items()}


def _one_line(text: str) -> str:
    return " ".join(text.split())
