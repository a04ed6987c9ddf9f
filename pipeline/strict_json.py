"""Read JSON that anybody may have written: of known size, with one meaning, or refused.

Python's own reader takes the last of two equal keys, makes infinity of 1e400 and ends in a
RecursionError where brackets are deep; none of that may reach what decides.
"""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NoReturn

from pydantic import ValidationError

from pipeline.plain import clipped

MOST_BYTES = 2 * 2**20
"""Of a file; the largest of ours has a tenth of it.  `[[],[],…` takes 25 times as much memory."""

MOST_DEPTH = 16
"""Of objects and lists in each other; ours have 6."""

MOST_VALUES = 50_000
"""Of numbers, texts, lists and objects together; 200 pairs of 100 metrics have 45,000.  What
is wrong with each value is found before any of it is said: 250,000 would take 300 MB."""

MOST_CHARACTERS = 20_000
"""Of one text, such as the end of a log in a sentence."""

LARGEST = 2**63
"""Above every number of ours, sizes in bytes and seeds included; its square is finite."""

_DIGITS = 20  # of LARGEST, and a sign
_SHOWN = 40  # characters of a wrong text that are worth quoting
_SENTENCE = 300  # characters of a refusal: names in it may be those of a stranger


def loads(data: bytes) -> Any:  # noqa: ANN401 (JSON is of any type)
    """Return what a JSON text says.

    Args:
        data: UTF-8.

    Raises:
        ValueError: One sentence, on one line, that says what is wrong.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES / 2**20:g} MiB")
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
    _check(body)
    return body


def sentence(error: ValidationError) -> str:
    """Return the first thing that pydantic found wrong, and where, on one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    said = first["msg"].removeprefix("Value error, ")
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        said = "this version does not know the key"
    return clipped(f"{where + ': ' if where else ''}{said}", _SENTENCE)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key `{clipped(twice, _SHOWN)}` is there twice")
    return found


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS:  # Python itself refuses thousands, with an advice that is none here
        raise ValueError(f"{clipped(digits, _SHOWN)} is too large a number")
    return int(digits)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _check(body: Any) -> None:  # noqa: ANN401 (JSON is of any type)
    level = [body]
    values = 0
    for _ in range(MOST_DEPTH):
        values += len(level)
        if values > MOST_VALUES:
            raise ValueError(f"it has more than {MOST_VALUES} values")
        level = [value for one in level for value in _inside(one)]
    if any(isinstance(value, dict | list) for value in level):
        raise ValueError(f"it is nested more than {MOST_DEPTH} deep")
    for value in level:
        _inside(value)


def _inside(value: Any) -> Iterable[Any]:  # noqa: ANN401 (JSON is of any type)
    """Return what is in a value, after a look at the value itself."""
    match value:
        case dict():
            for key in value:
                _text(key)
            return value.values()
        case list():
            return value
        case str():
            _text(value)
        case int() | float() if not abs(value) < LARGEST:
            raise ValueError(f"{clipped(f'{value}', _SHOWN)} is too large a number")
    return ()


def _text(text: str) -> None:
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"a text has more than {MOST_CHARACTERS} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the text `{clipped(text, _SHOWN)}` is not Unicode") from None
