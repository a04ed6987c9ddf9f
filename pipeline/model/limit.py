"""A limit of a capacity: `p99(get)<1s`, `ready<60s`, `memory(server)<4GB`, `errors<1%`.

    LIMIT     = QUANTITY "<" NUMBER UNIT
    QUANTITY  = ( "p50" | "p90" | "p95" | "p99" | "mean" ) "(" OPERATION ")"
              | "ready" | "errors" | "db" | "memory" [ "(" COMPONENT ")" ]
              | ( "files" | "goroutines" | "cpu" ) "(" COMPONENT ")"

Spaces may stand between the parts.  The unit of `files`, `goroutines` and `cpu` (cores) is nothing.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NoReturn

OPERATIONS = ("get", "list", "create", "update", "delete")
COMPONENTS = ("server", "manager", "etcd")
STATISTICS = ("p50", "p90", "p95", "p99", "mean")

_TIMES = {"ms": 1e-3, "s": 1.0, "m": 60.0}
_BYTES = {
    "B": 1.0,
    "kB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
}
_SHARES = {"%": 0.01}
_COUNTS = {"": 1.0}


@dataclass(frozen=True, slots=True)
class _Form:
    """What may be written about one quantity: units by factor, the base unit, and arguments."""

    units: Mapping[str, float]
    base: str
    arguments: tuple[str, ...] = ()
    is_plain: bool = False
    """Whether it may stand without an argument."""


_FORMS: Mapping[str, _Form] = MappingProxyType(
    {
        **{name: _Form(_TIMES, "s", OPERATIONS) for name in STATISTICS},
        "ready": _Form(_TIMES, "s", is_plain=True),
        "errors": _Form(_SHARES, "1", is_plain=True),
        "db": _Form(_BYTES, "B", is_plain=True),
        "memory": _Form(_BYTES, "B", COMPONENTS, is_plain=True),
        "files": _Form(_COUNTS, "1", COMPONENTS),
        "goroutines": _Form(_COUNTS, "1", COMPONENTS),
        "cpu": _Form(_COUNTS, "1", COMPONENTS),
    }
)

QUANTITIES: Mapping[str, str] = MappingProxyType(
    {
        name: form.base
        for word, form in _FORMS.items()
        for name in (
            *([word] if form.is_plain else []),
            *(f"{word}({argument})" for argument in form.arguments),
        )
    }
)
"""The base unit of every quantity that can have a limit, by its name."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a quantity must stay below for a step to hold.

    Attributes:
        quantity: A key of `QUANTITIES`, such as `p99(get)`.
        below: In the quantity's base unit, above zero.
        text: As it was written, without spaces.
    """

    quantity: str
    below: float
    text: str

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise ValueError(f"`{self.quantity}` is no quantity that can have a limit")
        if not (math.isfinite(self.below) and self.below > 0):
            raise ValueError(f"{self.text}: a limit must be finite and above zero")

    @property
    def unit(self) -> str:
        """Base unit of `below`."""
        return QUANTITIES[self.quantity]

    @property
    def component(self) -> str:
        """The component whose processes it is about; empty where it is about none alone."""
        argument = self.quantity.partition("(")[2].removesuffix(")")
        return argument if argument in COMPONENTS else ""


def parse_limit(text: str) -> Limit:
    """Read a limit.

    Raises:
        ValueError: Showing the text with a caret under the column that is wrong, and what was
            expected there.
    """
    return _Reader(text).limit()


def parse_limits(texts: Sequence[str]) -> tuple[Limit, ...]:
    """Read several limits, each on another quantity.

    Raises:
        ValueError: One is wrong (see `parse_limit`), there is none, or a quantity has two.
    """
    limits = tuple(parse_limit(text) for text in texts)
    if not limits:
        raise ValueError("at least one limit is needed: without it nothing can break")
    names = [limit.quantity for limit in limits]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"`{twice[0]}` has two limits; give it one")
    return limits


class _Reader:
    """Reads from left to right and remembers the column."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def limit(self) -> Limit:
        word, form = self._quantity()
        name = word + self._argument(word, form)
        may_still_open = bool(form.arguments) and name == word
        self._symbol("<", "`<` or `(`" if may_still_open else "`<`")
        below = self._number() * form.units[self._unit(form)]
        self._space()
        if self.at < len(self.text):
            self._fail(self.at, "the end of the limit")
        return Limit(name, below, re.sub(r"\s+", "", self.text))

    def _quantity(self) -> tuple[str, _Form]:
        start, word = self._word()
        if word not in _FORMS:
            self._fail(start, f"one of {', '.join(_FORMS)}")
        return word, _FORMS[word]

    def _argument(self, word: str, form: _Form) -> str:
        self._space()
        if form.is_plain and (not form.arguments or not self._is("(")):
            return ""
        self._symbol("(", f"`(`, as in `{word}({form.arguments[0]})`")
        start, argument = self._word()
        if argument not in form.arguments:
            self._fail(start, f"one of {', '.join(form.arguments)}")
        self._symbol(")", "`)`")
        return f"({argument})"

    def _number(self) -> float:
        self._space()
        start = self.at
        found = re.compile(r"[0-9]+(?:\.[0-9]+)?").match(self.text, self.at)
        if found is None:
            self._fail(start, "a number, such as 1 or 0.5")
        self.at = found.end()
        value = float(found[0])
        if not 0 < value < math.inf:
            self._fail(start, "a number above zero" if value == 0 else "a smaller number")
        return value

    def _unit(self, form: _Form) -> str:
        self._space()
        start = self.at
        found = re.compile(r"%|[^\W\d_]*").match(self.text, self.at)
        unit = found[0] if found else ""
        if unit not in form.units:
            expected = "no unit" if form.units is _COUNTS else f"a unit: {', '.join(form.units)}"
            self._fail(start, expected)
        self.at = start + len(unit)
        return unit

    def _word(self) -> tuple[int, str]:
        """Return the column and the text of the next word, which may be empty."""
        self._space()
        start = self.at
        found = re.compile(r"\w*").match(self.text, self.at)
        word = found[0] if found else ""
        self.at = start + len(word)
        return start, word

    def _symbol(self, symbol: str, expected: str) -> None:
        self._space()
        if not self._is(symbol):
            self._fail(self.at, expected)
        self.at += len(symbol)

    def _is(self, symbol: str) -> bool:
        return self.text.startswith(symbol, self.at)

    def _space(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def _fail(self, column: int, expected: str) -> NoReturn:
        shown = "".join(" " if c.isspace() else c for c in self.text)
        raise ValueError(
            f"a limit cannot be read at column {column + 1}: expected {expected}\n"
            f"  {shown}\n  {' ' * column}^"
        )
