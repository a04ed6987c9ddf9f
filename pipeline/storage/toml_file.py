"""Read TOML files that people wrote with any editor, and write TOML."""

import codecs
import difflib
import json
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.system.errors import ConfigError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # also part of the marks of UTF-32
_LARGEST = 1e15
_MAX_BYTES = 2**19  # ours have 12 kB


def read(path: Path, what: str) -> str:
    """Return the text of a file, without the byte order mark of Notepad and PowerShell.

    `what` names the file in messages, such as `the suite`.

    Raises:
        ConfigError: The file cannot be read, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path}: {what} cannot be read: {error.strerror}", hint=_nearest(path)
        ) from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path}: {what} cannot be read: it has more than {_MAX_BYTES:,} bytes")
    return decode(data, f"{path}")


def _nearest(path: Path) -> str:
    """Return a hint with the TOML files in the folder of a missing one."""
    try:
        known = sorted(other.name for other in path.parent.glob("*.toml") if other != path)
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, known, n=1) or known[:5]
    return f"in {path.parent} there is {', '.join(near)}" if near else ""


def decode(data: bytes, name: str) -> str:
    """Decode UTF-8, with or without a byte order mark.

    Raises:
        ConfigError: The bytes are not UTF-8.
    """
    if data.startswith(_UTF16) or b"\0" in data[:4]:
        raise ConfigError(
            f"{name}: is UTF-16 or UTF-32, and TOML and JSON are UTF-8",
            hint="save it as UTF-8; in PowerShell: `Set-Content -Encoding utf8`",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{name}:{line}: is not UTF-8: the byte 0x{data[error.start]:02x} begins no character",
            hint="save it as UTF-8",
        ) from error


def parse(text: str, name: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        ConfigError: The text is not TOML; the message has the line.
    """
    try:
        table = tomllib.loads(text)
        _require_sizes(table, name)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{name}: not TOML: it is nested too deeply") from error
    except ValueError as error:  # Python reads no number of thousands of digits
        raise ConfigError(f"{name}: a number in it has too many digits") from error
    return table


def _require_sizes(value: object, name: str, key: str = "") -> None:
    """Refuse numbers that no setting has, so that no calculation with them overflows."""
    if isinstance(value, dict):
        for inner, one in value.items():
            _require_sizes(one, name, f"{key}.{inner}" if key else inner)
    elif isinstance(value, list):
        for one in value:
            _require_sizes(one, name, key)
    elif isinstance(value, int | float) and _LARGEST < abs(value) < math.inf:
        raise ConfigError(f"{name}: {key}: no setting has a number above {_LARGEST:g}")


def line_of(text: str, keys: Sequence[int | str]) -> int:
    """Return the line number, from 1, of a key, or of the table that lacks it.

    Args:
        text: TOML with tables as `[a.b]` and `[[a]]`, one key per line; an array may have inline
            tables, one per line.
        keys: Location as pydantic gives it, such as `("workload", 0, "metric", 2, "unit")`.
    """
    best, best_depth = 1, -1
    counts: dict[tuple[int | str, ...], int] = {}
    table: tuple[int | str, ...] = ()
    array: tuple[int | str, ...] = ()
    for number, line in enumerate(text.split("\n"), start=1):
        if header := re.match(r"\s*(\[\[?)\s*([\w.-]+)\s*\]", line):
            table = _table_location(header[2].split("."), counts, is_array=header[1] == "[[")
            location = table
        elif re.match(r"\s*\{", line):
            counts[array] = counts.get(array, -1) + 1
            location = (*array, counts[array])
        elif key := re.match(r"\s*([\w-]+)\s*=", line):
            location = array = (*table, key[1])
        else:
            continue
        if location == tuple(keys[: len(location)]) and len(location) > best_depth:
            best, best_depth = number, len(location)
    return best


def _table_location(
    parts: Sequence[str], counts: dict[tuple[int | str, ...], int], *, is_array: bool
) -> tuple[int | str, ...]:
    location: tuple[int | str, ...] = ()
    for position, part in enumerate(parts):
        location = (*location, part)
        if is_array and position == len(parts) - 1:
            counts[location] = counts.get(location, -1) + 1
        if location in counts:
            location = (*location, counts[location])
    return location


def dumps(table: Mapping[str, Any]) -> str:
    """Return a table as TOML, one line per key."""
    return "".join(f"{json.dumps(key)} = {_value(value)}\n" for key, value in table.items())


def _value(value: object) -> str:
    match value:
        case dict():
            items = (f"{json.dumps(key)} = {_value(item)}" for key, item in value.items())
            return f"{{ {', '.join(items)} }}"
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case str() | bool():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return f"{value}"
