"""A limit of a capacity search: `p99(get)<1s`, `ready<60s`, `memory(server)<4GB`, `errors<1%`.

    LIMIT     = QUANTITY "<" NUMBER UNIT
    QUANTITY  = ( "p50" | "p90" | "p95" | "p99" | "mean" ) "(" OPERATION ")"
              | "ready" | "p95(ready)" | "errors" | "db" | "memory" [ "(" COMPONENT ")" ]
              | ( "files" | "goroutines" | "cpu" ) "(" COMPONENT ")"
              | "idle_cpu" [ "(" COMPONENT ")" ]

Spaces are allowed between the parts.  `files`, `goroutines`, `cpu` and `idle_cpu` (cores) have no
unit.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pipeline.model.bounds import MAX_SECONDS

OPERATIONS = ("get", "list", "create", "update", "delete")
COMPONENTS = ("server", "manager", "etcd")
STATISTICS = ("p50", "p90", "p95", "p99", "mean")

_TIMES = {"ms": 1e-3, "s": 1.0, "m": 60.0}
BYTES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
_SHARES = {"%": 0.01}
_COUNTS = {"": 1.0}


@dataclass(frozen=True, slots=True)
class _LimitSyntax:
    """How a limit of one quantity is written.

    Attributes:
        units: Factor of each unit to the base unit.
        base: Base unit.
        arguments: Arguments that it can have.
        is_plain: True if it can be written without an argument.
    """

    units: Mapping[str, float]
    base: str
    arguments: tuple[str, ...] = ()
    is_plain: bool = False


_OTHER_NAMES: Mapping[str, str] = MappingProxyType({"p95(ready)": "ready"})
"""Names of quantities that can be written in another way, too."""

_SYNTAX: Mapping[str, _LimitSyntax] = MappingProxyType(
    {
        **{name: _LimitSyntax(_TIMES, "s", OPERATIONS) for name in STATISTICS},
        "p95": _LimitSyntax(_TIMES, "s", (*OPERATIONS, "ready")),
        "ready": _LimitSyntax(_TIMES, "s", is_plain=True),
        "errors": _LimitSyntax(_SHARES, "1", is_plain=True),
        "db": _LimitSyntax(BYTES, "B", is_plain=True),
        "memory": _LimitSyntax(BYTES, "B", COMPONENTS, is_plain=True),
        "files": _LimitSyntax(_COUNTS, "1", COMPONENTS),
        "goroutines": _LimitSyntax(_COUNTS, "1", COMPONENTS),
        "cpu": _LimitSyntax(_COUNTS, "1", COMPONENTS),
        "idle_cpu": _LimitSyntax(_COUNTS, "1", COMPONENTS, is_plain=True),
    }
)

QUANTITIES: Mapping[str, str] = MappingProxyType(
    {
        name: syntax.base
        for word, syntax in _SYNTAX.items()
        for name in (
            *([word] if syntax.is_plain else []),
            *(f"{word}({argument})" for argument in syntax.arguments),
        )
        if name not in _OTHER_NAMES
    }
)
"""Base unit of every quantity that can have a limit, by name."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Upper bound of a quantity.

    Attributes:
        quantity: Key of `QUANTITIES`, such as `p99(get)`.
        below: Bound in the quantity's base unit, above zero.
        text: Text of the limit, without spaces.
    """

    quantity: str
    below: float
    text: str

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise ValueError(f"`{self.quantity}` is not a quantity that can have a limit")
        if not (math.isfinite(self.below) and self.below > 0):
            raise ValueError(f"{self.text}: a limit must be finite and above zero")

    @property
    def unit(self) -> str:
        """Base unit of `below`."""
        return QUANTITIES[self.quantity]

    @property
    def component(self) -> str:
        """Component that the quantity is about; empty if it is about the whole build."""
        argument = self.quantity.partition("(")[2].removesuffix(")")
        return argument if argument in COMPONENTS else ""


_LIMIT = re.compile(
    r"""
    \s* (?P<word> \w* )
    \s* (?: (?P<open> \( ) \s* (?P<argument> \w* ) \s* (?P<close> \)? ) )?
    \s* (?P<less> <? )
    \s* (?P<number> [0-9]+ (?: \. [0-9]+ )? | )
    \s* (?P<unit> % | [^\W\d_]* )
    \s* (?P<rest> .* )
    """,
    re.VERBOSE | re.DOTALL,
)
"""Matches every text; a part that is wrong or missing is an empty group at its place."""


def parse_limit(text: str) -> Limit:
    """Parse a limit.

    Raises:
        ValueError: The text is wrong; the message has it with a caret below the wrong column, and
            what was expected there.
    """
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise ValueError(f"`{text}` is not a limit")

    def require(condition: object, column: int, expected: str) -> None:
        if not condition:
            line = "".join(" " if character.isspace() else character for character in text)
            raise ValueError(
                f"a limit cannot be read at column {column + 1}: expected {expected}\n"
                f"  {line}\n  {' ' * column}^"
            )

    word, argument, number, unit = match.group("word", "argument", "number", "unit")
    syntax = _SYNTAX.get(word)
    require(syntax, match.start("word"), f"one of {', '.join(_SYNTAX)}")
    assert syntax is not None  # noqa: S101 (it is required above; for mypy)
    has_argument = bool(match["open"] and syntax.arguments)
    after_word = match.start("open" if match["open"] else "less")
    if has_argument:
        arguments = f"one of {', '.join(syntax.arguments)}"
        require(argument in syntax.arguments, match.start("argument"), arguments)
        require(match["close"], match.start("close"), "`)`")
    else:
        example = f"`(`, as in `{word}({next(iter(syntax.arguments), '')})`"
        require(syntax.is_plain, after_word, example)
        require(not match["open"], after_word, "`<`")
    may_open = syntax.arguments and not has_argument
    require(match["less"], match.start("less"), "`<` or `(`" if may_open else "`<`")
    value = float(number or "nan")
    require(number, match.start("number"), "a number, such as 1 or 0.5")
    require(value > 0, match.start("number"), "a number above zero")
    units = "no unit" if syntax.units is _COUNTS else f"a unit: {', '.join(syntax.units)}"
    require(unit in syntax.units, match.start("unit"), units)
    below = value * syntax.units[unit]
    largest = MAX_SECONDS / 2 if syntax.base == "s" else math.inf  # twice that is waited for
    require(below < largest, match.start("number"), "a smaller number")
    is_possible = syntax.units is not _SHARES or value <= 100
    require(is_possible, match.start("number"), "at most 100 %")
    require(not match["rest"], match.start("rest"), "the end of the limit")
    name = f"{word}({argument})" if has_argument else word
    name = _OTHER_NAMES.get(name, name)
    return Limit(name, below, re.sub(r"\s+", "", text))


def parse_limits(texts: Sequence[str]) -> tuple[Limit, ...]:
    """Parse several limits of different quantities.

    Raises:
        ValueError: A limit is wrong (see `parse_limit`), none is given, or a quantity has two.
    """
    limits = tuple(parse_limit(text) for text in texts)
    if not limits:
        raise ValueError("at least one limit is needed")
    names = [limit.quantity for limit in limits]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"`{duplicates[0]}` has two limits; give it one")
    return limits
