"""Change an input so that it mostly stays of its kind: bytes alone seldom get past a parser."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

FILE = b"\n=== "
"""Begins a file of a folder, and its name, in the one text that a harness takes."""

_DEEP: Any = []
for _ in range(40):
    _DEEP = [_DEEP]

VALUES: tuple[Any, ...] = (
    *(0, -1, 1, 2, 2**31, 2**63, 10**30, -0.0, 0.5, 1e-9, 5e-324, 1e18, -1e18, 1e308),
    *(float("nan"), float("inf"), "", "x", "0.01", "NaN", "1e400", "baseline", "ratio"),
    *("\u202e", "\x00", "\ud800", "<script>", "a|b`@x -->", "x" * 3000, "2026-01-02T03:04:05"),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:00", None, True, [], {}, [[]], _DEEP),
)
TEXTS = (
    *("", "0", "-1", "1e308", "1e-320", "1e400", "NaN", "inf", "-inf", "0x1p3", "1_0", "1,2", '"'),
    *("candidate", "baseline", "ratio", "difference", "higher", "5%", "nan%", "\x00", "\ufeff"),
    *("\u202e", "9" * 400, "x" * 3000, "99999999999999999999", "0001-01-01", "9999-12-31", "le"),
    *(
        "phase=load&arm=baseline",
        "arm=candidate&phase=load&unit=ms",
        "true",
        "false",
        " ",
        "{",
        "}",
    ),
)

Mutate = Callable[[random.Random, bytes], bytes]


def in_json(rng: random.Random, data: bytes) -> bytes:
    """Change some values of a JSON text, or drop, repeat or exchange them."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return in_bytes(rng, data)
    for _ in range(rng.randint(1, 4)):
        places = list(_places(body))
        if not places:
            return in_bytes(rng, data)
        inside, key = rng.choice(places)
        match rng.randrange(5):
            case 0:
                del inside[key]
            case 1 if isinstance(inside, list):
                inside.insert(key, json.loads(json.dumps(inside[key])))
            case 1:
                inside[f"{key}x"] = json.loads(json.dumps(inside[key]))
            case 2:
                other, at = rng.choice(places)
                inside[key] = json.loads(json.dumps(other[at]))
            case _:
                inside[key] = copy.deepcopy(rng.choice(VALUES))
    return json.dumps(body).encode()


def in_lines(rng: random.Random, data: bytes) -> bytes:
    """Change some fields of a text of lines, or drop, repeat or exchange lines."""
    lines = data.decode("utf-8", "replace").split("\n")
    for _ in range(rng.randint(1, 4)):
        at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(8):
            case 0 if len(lines) > 1:
                del lines[at]
            case 1:
                lines.insert(at, lines[other])
            case 2:
                lines[at], lines[other] = lines[other], lines[at]
            case _:
                by = rng.choice(",  ={}")
                fields = lines[at].split(by)
                fields[rng.randrange(len(fields))] = rng.choice(TEXTS)
                lines[at] = by.join(fields)
    return "\n".join(lines).encode("utf-8", "replace")


def in_bytes(rng: random.Random, data: bytes) -> bytes:
    """Change some bytes, or drop, repeat or insert them."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(4):
            case 0:
                del changed[at : at + rng.randint(1, 16)]
            case 1:
                changed[at:at] = changed[: rng.randint(1, 64)]
            case 2:
                changed[at:at] = rng.choice(TEXTS).encode()
            case _:
                changed[at : at + 1] = bytes([rng.randrange(256)])
    return bytes(changed)


def of(reader: str) -> Mutate:
    """Return the function that mutates inputs of a reader without changing their kind."""
    match reader:
        case "results" | "agent" | "spreads":
            return in_json
        case "artifact":
            return in_bytes
        case "nights":
            return _in_json_lines
        case "clusterloader2":
            return _in_a_file
        case _:
            return in_lines


def _in_json_lines(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at] = in_json(rng, lines[at])
    return b"\n".join(lines)


def _in_a_file(rng: random.Random, data: bytes) -> bytes:
    files = data.split(FILE)
    at = rng.randrange(len(files))
    name, newline, content = files[at].partition(b"\n")
    changed = in_json(rng, content) if content[:1] in b"{[" else in_lines(rng, content)
    files[at] = name + newline + changed
    return FILE.join(files)


def _places(body: Any) -> "list[tuple[Any, Any]]":  # noqa: ANN401 (JSON is of any type)
    found = []
    waiting = [body]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict | list):
            keys = list(one) if isinstance(one, dict) else range(len(one))
            found += [(one, key) for key in keys]
            waiting += [one[key] for key in keys]
    return found
