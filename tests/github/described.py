"""GitHub's own description of its API: what a request may be, what an answer must be."""

import copy
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from openapi_core import OpenAPI

_FILE = Path(__file__).with_name("openapi.json")
_WHEN = "2026-01-02T03:04:05Z"
_FORMATS = {"uri": "https://github.example/x", "date-time": _WHEN, "email": "a@github.example"}


def complaint(
    method: str, path: str, query: str, body: bytes, *, status: int = 0, answer: bytes = b""
) -> str:
    """Return what is wrong with a request, or with an answer to it; empty where nothing is.

    Args:
        method: Of HTTP.
        path: From `/repos/` on.
        query: As it stands in the address.
        body: Of the request.
        status: Of the answer; 0 to look at the request alone.
        answer: Body of the answer; one with a status that is not described is not looked at.
    """
    from openapi_core.exceptions import OpenAPIError
    from openapi_core.testing import MockRequest, MockResponse

    asked = MockRequest(
        "https://api.github.com",
        method.lower(),
        path,
        args=dict(parse_qsl(query)),
        data=body or None,
        content_type="application/json",
    )
    try:
        if not status:
            _api().validate_request(asked)
            return _unknown(method, path, body)
        if f"{status}" in _operation(method, path)["responses"]:
            said = MockResponse(answer, status, content_type="application/json")
            _api().validate_response(asked, said)
    except OpenAPIError as error:
        reasons = getattr(error.__cause__, "schema_errors", None) or [error]
        return f"{method} {path}: {reasons[0]!s:.800}"
    return ""


def instance(name: str, **parts: object) -> dict[str, Any]:
    """Return an object that a schema describes, with all that it needs, and some of its parts set.

    Args:
        name: Of the schema.
        **parts: Objects among them are merged with what is there.
    """
    made: dict[str, Any] = copy.deepcopy(_least(name))
    return _merged(made, parts)


@cache
def _description() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"), object_hook=_nullable)
    return found


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Let null be one of the values of what may be null, as GitHub means it."""
    if schema.get("nullable") and None not in schema.get("enum", [None]):
        schema["enum"] = [*schema["enum"], None]
    return schema


@cache
def _api() -> "OpenAPI":
    from openapi_core import OpenAPI

    return OpenAPI.from_dict(_description())


def _operation(method: str, path: str) -> dict[str, Any]:
    """Return the description of an operation; the one with the fewest variables of those that fit.

    Raises:
        KeyError: It is not among what we call.
    """
    parts = path.split("/")
    for template, operations in sorted(
        _description()["paths"].items(), key=lambda item: item[0].count("{")
    ):
        wanted = template.split("/")
        fits = len(wanted) == len(parts) and all(
            one == other or one.startswith("{") for one, other in zip(wanted, parts, strict=True)
        )
        if fits and method.lower() in operations:
            found: dict[str, Any] = operations[method.lower()]
            return found
    raise KeyError(f"{method} {path}")


def _unknown(method: str, path: str, body: bytes) -> str:
    """Return what a request has that GitHub does not know; it would be ignored in silence."""
    if not body:
        return ""
    described = _operation(method, path)["requestBody"]["content"]["application/json"]["schema"]
    odd = sorted(set(json.loads(body)) - set(described["properties"]))
    return f"{method} {path}: unknown in its body: {', '.join(odd)}" if odd else ""


@cache
def _least(name: str) -> dict[str, Any]:
    made: dict[str, Any] = _made(_description()["components"]["schemas"][name])
    return made


def _made(  # noqa: C901, PLR0911 (a case for each kind of schema)
    schema: Mapping[str, Any],
) -> Any:  # noqa: ANN401 (JSON)
    if "$ref" in schema:
        return _made(_description()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    if schema.get("nullable"):
        return None
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return _made(schema[several][0])
    if "allOf" in schema:
        return {key: value for part in schema["allOf"] for key, value in _made(part).items()}
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {key: _made(properties[key]) for key in schema.get("required", ())}
        case "array":
            return []
        case "integer" | "number":
            return 1
        case "boolean":
            return False
        case _:
            return _FORMATS.get(schema.get("format", ""), "x")


def _merged(into: dict[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in parts.items():
        old = into.get(key)
        into[key] = (
            _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return into
