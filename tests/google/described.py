"""Google's own description of its API: what a request may be, what an answer must be.

It ships in the wheel of google-api-python-client, and is read from there.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl

_FREE = {"$alt"}  # how the libraries ask for numbers in place of enums; no description has it


def complaint(method: str, path: str, query: str, body: bytes, answer: object = None) -> str:
    """Return what is wrong with a request, or with the answer to it; empty where nothing is.

    Args:
        method: Of HTTP.
        path: From the first slash on.
        query: As it stands in the address.
        body: Of the request.
        answer: To a request that succeeded; None to look at the request alone.
    """
    named = f"{method} {path}"
    found = _method(method, path)
    if found is None:
        return f"{named}: Google describes no such method"
    document, described = found
    if answer is not None:
        return _wrong(named, document, described["response"]["$ref"], answer)
    known = {*described.get("parameters", {}), *_document(document)["parameters"], *_FREE}
    strangers = [key for key, _ in parse_qsl(query) if key not in known]
    if strangers:
        return f"{named}: no parameter {strangers[0]}"
    if "request" not in described:
        return f"{named}: has a body" if body else ""
    return _wrong(named, document, described["request"]["$ref"], json.loads(body))


def _wrong(named: str, document: str, schema: str, value: object) -> str:
    error = next(iter(_validator(document, schema).iter_errors(value)), None)
    return f"{named}: {error.json_path}: {error.message[:300]}" if error else ""


def _method(method: str, path: str) -> tuple[str, Mapping[str, Any]] | None:
    for name in ("container.v1", "compute.v1"):
        for verb, pattern, described in _methods(name):
            if verb == method and pattern.fullmatch(path):
                return name, described
    return None


@cache
def _methods(name: str) -> list[tuple[str, re.Pattern[str], Mapping[str, Any]]]:
    document = _document(name)
    found = []
    for described in _nested(document):
        template = f"/{document['servicePath']}{described['flatPath']}"
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
        found.append((described["httpMethod"], re.compile(pattern), described))
    return found


def _nested(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from part.get("methods", {}).values()
    for below in part.get("resources", {}).values():
        yield from _nested(below)


@cache
def _document(name: str) -> dict[str, Any]:
    folder = resources.files("googleapiclient.discovery_cache.documents")
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return found


@cache
def _validator(document: str, schema: str) -> Any:  # noqa: ANN401 (the library's)
    """Return what checks one schema, with those alone that it needs: there are thousands."""
    from jsonschema import Draft202012Validator

    described, needed, left = _document(document)["schemas"], {}, [schema]
    while left:
        name = left.pop()
        if name not in needed:
            needed[name] = _rule(described[name])
            left += re.findall(r'"#/\$defs/(\w+)"', json.dumps(needed[name]))
    return Draft202012Validator({"$ref": f"#/$defs/{schema}", "$defs": needed})


def _rule(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule of JSON Schema for one of Google's, in which what is not described is wrong."""
    if "$ref" in described:
        return {"$ref": f"#/$defs/{described['$ref']}"}
    kind = described.get("type")
    if kind == "object":
        parts = {key: _rule(value) for key, value in described.get("properties", {}).items()}
        others = described.get("additionalProperties")
        return {
            "type": "object",
            "properties": parts,
            "additionalProperties": _rule(others) if others else False,
        }
    if kind == "array":
        return {"type": "array", "items": _rule(described["items"])}
    if "enum" in described:  # the libraries send its number, as protocol buffers allow
        return {"anyOf": [{"enum": described["enum"]}, {"type": "integer"}]}
    if described.get("format") == "google-datetime":
        return {
            "type": "string",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$",
        }
    return {} if kind == "any" else {"type": kind}
