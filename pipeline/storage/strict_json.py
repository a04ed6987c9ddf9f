"""Parse untrusted JSON: limited in size and depth, without duplicate keys or infinite numbers.

Python's own parser takes the last of two equal keys, turns 1e400 into infinity, and raises a
RecursionError for deep nesting.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import ValidationError

from pipeline.system.sanitize import truncate

MAX_DEPTH = 16
"""Largest depth of nested objects and lists; our files have 6."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of a JSON file.

    Attributes:
        size: Bytes of the file.
        values: Total number of numbers, strings, lists and objects.
        characters: Characters of one string.
        number: Exclusive upper bound of the absolute value of numbers.
    """

    size: int
    values: int
    characters: int
    number: float


FOREIGN = Bounds(size=2 * 2**20, values=50_000, characters=20_000, number=2.0**63)
"""Limits of untrusted files: 200 pairs of 100 metrics have 45,000 values; squares of numbers are
finite.  Validation collects the errors of all values first and needs about 100 MB for so many; a
list such as `[[],[],…` needs 25 times its size."""

OURS = Bounds(size=4 * 2**20, values=80_000, characters=5_000, number=math.inf)
"""Limits of files that a person named: 500 pairs of the suite `pr` have 64,000 values.  `run`
refuses more pairs than can be read again."""

_DIGITS = 400  # more than the largest double has
_SHOWN = 40  # characters of a wrong text in a message
_SENTENCE = 300  # characters of a message, which may have untrusted names


def loads(data: bytes, bounds: Bounds = FOREIGN) -> Any:  # noqa: ANN401 (JSON is of any type)
    """Parse JSON in UTF-8 within bounds.

    Raises:
        ValueError: One sentence, on one line, that says what is wrong.
    """
    if len(data) > bounds.size:
        raise ValueError(f"it is larger than {bounds.size / 2**20:g} MiB")
    # Each value is after one of these, and a reader makes 50 bytes of two; texts have few of them.
    if sum(map(data.count, (b",", b"[", b"{"))) > 2 * bounds.values:
        raise ValueError(f"it has more than {bounds.values} values")
    try:
        body = json.loads(
            data.decode(), object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: {error.reason} at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from error
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep") from None
    _check(body, bounds)
    return body


def sentence(error: ValidationError) -> str:
    """Return the first error of pydantic and its place, on one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    problem = first["msg"].removeprefix("Value error, ")
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        problem = "this version does not know the key"
    return truncate(f"{where + ': ' if where else ''}{problem}", _SENTENCE)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        duplicate, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key `{truncate(duplicate, _SHOWN)}` is there twice")
    return result


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS:  # Python's own message gives advice that does not apply
        raise ValueError(f"{truncate(digits, _SHOWN)} is too large a number")
    return int(digits)


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _check(body: Any, bounds: Bounds) -> None:  # noqa: ANN401 (JSON is of any type)
    level = [body]
    values = 0
    for _ in range(MAX_DEPTH):
        values += len(level)
        if values > bounds.values:
            raise ValueError(f"it has more than {bounds.values} values")
        level = [value for one in level for value in _checked_children(one, bounds)]
    if any(isinstance(value, dict | list) for value in level):
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    for value in level:
        _checked_children(value, bounds)


def _checked_children(value: Any, bounds: Bounds) -> Iterable[Any]:  # noqa: ANN401 (JSON is of any type)
    """Check a value; return the values inside of it."""
    match value:
        case dict():
            for key in value:
                _text(key, bounds)
            return value.values()
        case list():
            return value
        case str():
            _text(value, bounds)
        case int() | float() if not abs(value) < bounds.number:
            raise ValueError(f"{truncate(f'{value}', _SHOWN)} is too large a number")
    return ()


def _text(text: str, bounds: Bounds) -> None:
    if len(text) > bounds.characters:
        raise ValueError(f"a text has more than {bounds.characters} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the text `{truncate(text, _SHOWN)}` is not Unicode") from None
