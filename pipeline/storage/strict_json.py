"""Read JSON that anybody may have written: of known size, with one meaning, or refused.

Python's own reader takes the last of two equal keys, makes infinity of 1e400 and ends in a
RecursionError where brackets are deep; none of that may reach what decides.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import ValidationError

from pipeline.system.sanitize import truncate

MOST_DEPTH = 16
"""Of objects and lists in each other; ours have 6."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a file may be.

    Attributes:
        size: In bytes.
        values: Numbers, texts, lists and objects together.
        characters: Of one text.
        number: Above the size of every number.
    """

    size: int
    values: int
    characters: int
    number: float


FOREIGN = Bounds(size=2 * 2**20, values=50_000, characters=20_000, number=2.0**63)
"""Of what a stranger may send: 200 pairs of 100 metrics have 45,000 values, and squares of numbers
are finite.  What is wrong with each value is found before any of it is said, which takes 100 MB
for so many; and `[[],[],…` takes 25 times its size."""

OURS = Bounds(size=4 * 2**20, values=80_000, characters=5_000, number=math.inf)
"""Of a file that a person named, which may be from elsewhere: 500 pairs of the suite `pr` have
64,000 values.  `run` refuses more pairs than can be read again."""

_DIGITS = 400  # of the largest double, and more
_SHOWN = 40  # characters of a wrong text that are worth quoting
_SENTENCE = 300  # characters of a refusal: names in it may be those of a stranger


def loads(data: bytes, bounds: Bounds = FOREIGN) -> Any:  # noqa: ANN401 (JSON is of any type)
    """Return what a JSON text says.

    Args:
        data: UTF-8.
        bounds: That it must keep to.

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
            data.decode(),
            object_pairs_hook=_object,
            parse_constant=_no_number,
            parse_int=_whole,
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: {error.reason} at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from error
    except RecursionError:
        raise ValueError(f"it is nested more than {MOST_DEPTH} deep") from None
    _check(body, bounds)
    return body


def sentence(error: ValidationError) -> str:
    """Return the first thing that pydantic found wrong, and where, on one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    said = first["msg"].removeprefix("Value error, ")
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        said = "this version does not know the key"
    return truncate(f"{where + ': ' if where else ''}{said}", _SENTENCE)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key `{truncate(twice, _SHOWN)}` is there twice")
    return found


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS:  # Python itself refuses thousands, with an advice that is none here
        raise ValueError(f"{truncate(digits, _SHOWN)} is too large a number")
    return int(digits)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _check(body: Any, bounds: Bounds) -> None:  # noqa: ANN401 (JSON is of any type)
    level = [body]
    values = 0
    for _ in range(MOST_DEPTH):
        values += len(level)
        if values > bounds.values:
            raise ValueError(f"it has more than {bounds.values} values")
        level = [value for one in level for value in _inside(one, bounds)]
    if any(isinstance(value, dict | list) for value in level):
        raise ValueError(f"it is nested more than {MOST_DEPTH} deep")
    for value in level:
        _inside(value, bounds)


def _inside(value: Any, bounds: Bounds) -> Iterable[Any]:  # noqa: ANN401 (JSON is of any type)
    """Return what is in a value, after a look at the value itself."""
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
