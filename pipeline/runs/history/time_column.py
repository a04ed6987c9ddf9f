"""Sort the points of a history by time, or refuse times that are ambiguous.

A column of times has one format throughout: numbers, dates or versions.  Only the order matters, so
a column that fits two formats is refused only if they sort its points differently.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.csv_file import CsvFile, GrowingArray, numbering
from pipeline.system.errors import ConfigError
from pipeline.system.sanitize import truncate

SortKeys: TypeAlias = tuple[NDArray[Any], ...]
"""Sort keys of points, each of shape (points,); the first key is the primary one."""

HINT = (
    "times are ISO 8601 (2025-03-01T02:00:00Z), seconds, milliseconds, microseconds or nanoseconds"
    " since 1970, whole numbers in order, or versions (v0.32.1)"
)
MAX_VERSIONS = 200_000
"""Most different versions; no product has as many."""

_DAY_S = 86_400
_MAX_QUOTED = 40  # characters of a time in a message
_MAX_VERSION = 200  # characters
_UNITS = {10**8: "seconds", 10**11: "milliseconds", 10**14: "microseconds", 10**17: "nanoseconds"}
_COMPACT = (8, 10, 12, 14)  # digits of YYYYMMDD, and with HH, HHMM, HHMMSS
_DIGITS = str.maketrans("123456789", "000000000")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september"),
    *("october", "november", "december"),
)

# All of these match the shape of a text, in which every digit is replaced by 0.
_NUMBER = re.compile(r"(?=.{1,40}$)[+-]?(?:0+(?:\.0*)?|\.0+)(?:[eE][+-]?00?)?")
_ZONE = r"(?P<zone>Z|z|UTC|GMT|[+-]00(?::?00)?(?: [A-Z]{3,5})?)"  # the last one is how Go prints it
_CLOCK = (
    r"(?P<hour>00?):(?P<minute>00)(?::(?P<second>00)(?:[.,](?P<part>0+))?)?"
    rf"(?: ?(?P<half>[AaPp][Mm]))?(?: ?{_ZONE})?"
)
_BASIC_CLOCK = rf"(?P<hour>00)(?P<minute>00)(?P<second>00)?(?:[.,](?P<part>0+))?{_ZONE}?"
_OFFSET = r"(?P<offset>[+-]0000)"
_DAY_NAME = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? )?"
_MONTH_NAME = r"(?P<name>[A-Za-z]{3,9})\.?"
_DATES = tuple(
    map(
        re.compile,
        (
            rf"(?P<year>0000)([-/])(?P<month>00)(?:\2(?P<day>00)(?:[Tt ]{_CLOCK})?)?",
            rf"(?P<year>0000)\.(?P<month>00)\.(?P<day>00)(?:[Tt ]{_CLOCK})?",
            rf"(?P<year>0000)(?P<month>00)(?P<day>00)[Tt]{_BASIC_CLOCK}",
            rf"(?P<year>0000)-?W(?P<week>00)(?:-?(?P<day>0))?(?:T{_CLOCK})?",
            rf"(?P<year>0000)-(?P<ordinal>000)(?:T{_CLOCK})?",
            rf"{_DAY_NAME}(?P<day>00?)[ -]{_MONTH_NAME}[ -](?P<year>0000)(?:,? {_CLOCK})?",
            rf"{_DAY_NAME}{_MONTH_NAME} +(?P<day>00?),? (?P<year>0000)(?:,? {_CLOCK})?",
            rf"{_DAY_NAME}{_MONTH_NAME} +(?P<day>00?) {_CLOCK} (?P<year>0000)(?: {_OFFSET})?",
        ),
    )
)
_YEAR = rf"(?P<year>0000)(?:,? {_CLOCK})?"
_DAY_FIRST = (re.compile(r"(?P<day>00?)([./-])(?P<month>00?)\2" + _YEAR),)
_MONTH_FIRST = (re.compile(r"(?P<month>00?)([./-])(?P<day>00?)\2" + _YEAR),)
_SHORT_YEAR = r"(?P<year>00)"  # only with dots, where it could be a version
_SHORT_DAY_FIRST = (re.compile(r"(?P<day>00?)\.(?P<month>00?)\." + _SHORT_YEAR),)
_SHORT_MONTH_FIRST = (re.compile(r"(?P<month>00?)\.(?P<day>00?)\." + _SHORT_YEAR),)
_ISO = re.compile(r"0000-00(?:-00(?:[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]00:?00)?)?)?")
_VERSION = re.compile(
    r"0{1,8}|(?:v0{1,8}|0{1,8}(?=\.0))(?:\.0{1,6})*"
    r"(?:[-+~][0-9A-Za-z.+~-]+|\.?(?:alpha|beta|dev|post|pre|rc|a|b|c)[0-9A-Za-z.+~-]*)?"
)
_RELEASE = re.compile(r"v?([0-9]+(?:\.[0-9]+)*)(.*)")
_DESCRIBED = re.compile(r"(.*)-([0-9]+)-g[0-9a-f]{4,40}")  # of `git describe`
_DIRTY = re.compile(r"(.*)-(?:dirty|modified|broken)")  # the same, of a changed worktree


@dataclass
class _TimeFormat:
    """One format of a column of times.

    Attributes:
        how: Name of the format, such as `as dates`.
        what: Name of one such time.
        keys: Function that returns the keys of texts, or raises ValueError or OverflowError.
        all: Keys of the rows until now.
        fails_at: First row whose text does not fit, and the text; None while all fit.
    """

    how: str
    what: str
    keys: Callable[[Sequence[str]], SortKeys]
    all: list[GrowingArray] = field(default_factory=lambda: [GrowingArray(), GrowingArray()])
    fails_at: tuple[int, str] | None = None

    def add(
        self, first: int, texts: Sequence[str], different: Sequence[str], at: NDArray[np.int32]
    ) -> None:
        """Add a block, each row of which has one of the different texts."""
        try:
            keys = self.keys(different)
        except (ValueError, OverflowError):
            number = next(n for n, text in enumerate(different) if not self._can_read(text))
            row = int((at == number).argmax())
            self.fails_at = (first + row, texts[row])
            self.all.clear()
            return
        for grown, key in zip(self.all, keys, strict=False):
            if len(grown) < first:  # no row before has this key
                grown.add(np.zeros(first - len(grown), dtype=key.dtype))
            grown.add(key[at])

    def all_keys(self) -> SortKeys:
        """Return the keys of all rows; a key that only some rows have is 0 for the others."""
        first, *others = [grown.to_numpy() for grown in self.all if len(grown)]
        self.all.clear()
        return (first, *(np.append(key, np.zeros(len(first) - len(key))) for key in others))

    def _can_read(self, text: str) -> bool:
        try:
            self.keys([text])
        except (ValueError, OverflowError):
            return False
        return True


class TimeColumn:
    """The column of times of a file, to which blocks are added one by one.

    Attributes:
        days: Days since 1970-01-01 in UTC of each row, shape (rows,), once sorted; None if the
            times have no days, such as versions.
    """

    def __init__(self, file: CsvFile) -> None:
        """Start without any row."""
        self.days: NDArray[np.int64] | None = None
        self._file = file
        self._version_numbers = numbering()
        self._version_keys: list[tuple[Any, ...]] = []
        self._numbers = _TimeFormat("as numbers", "a number", _number_keys)
        dates, day_first, month_first, *short = (
            partial(_nanoseconds, patterns)
            for patterns in (_DATES, _DAY_FIRST, _MONTH_FIRST, _SHORT_DAY_FIRST, _SHORT_MONTH_FIRST)
        )
        self._day_first = _TimeFormat("with the day first", "a date, the day first", day_first)
        self._versions = _TimeFormat("as versions", "a version", self._numbers_of_versions)
        self._readings = (
            self._numbers,
            _TimeFormat("as dates", "a date", dates),
            self._day_first,
            _TimeFormat("with the month first", "a date, the month first", month_first),
            self._versions,
            *(_TimeFormat("as dates with years of two digits", "a date", one) for one in short),
        )

    def add(self, first: int, texts: Sequence[str]) -> None:
        """Add the times of a block, whose first row has the number `first`.

        Raises:
            ConfigError: No format fits these and the times before.
        """
        numbers = numbering()
        at = np.fromiter(map(numbers.__getitem__, texts), np.int32, len(texts))
        different = list(numbers)
        for reading in self._readings:
            if reading.fails_at is None:
                reading.add(first, texts, different, at)
        if all(reading.fails_at for reading in self._readings):
            self._refuse()

    def order(self, series: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Sort the rows by series and time, and mark repeated times.

        Args:
            series: Number of the series of each row, shape (rows,).

        Returns:
            Order of the rows, shape (rows,); and for each but the first whether it has the same
            series and time as the one before, shape (rows - 1,).

        Raises:
            ConfigError: Two formats fit, and sort the rows differently.
        """
        first, *others = [reading for reading in self._readings if reading.fails_at is None]
        if first not in (self._numbers, self._versions):
            others = [reading for reading in others if reading is not self._versions]
        keys = self._keys(first)
        order = np.lexsort((*reversed(keys), series))
        is_same_series = series[order][1:] == series[order][:-1]
        steps = _steps(keys, order)
        for other in others:
            differ = is_same_series & (steps != _steps(self._keys(other), order))
            if differ.any():
                self._refuse_both(first, other, _pair(order, differ))
        if first is self._numbers:
            self.days = self._days_of_numbers(keys[0], order, is_same_series)
        elif first is not self._versions:
            self.days = keys[0] // (_DAY_S * 10**9)
        return order, is_same_series & (steps == 0)

    def _keys(self, reading: _TimeFormat) -> SortKeys:
        keys = reading.all_keys()
        if reading is not self._versions:
            return keys
        ordered = {key: rank for rank, key in enumerate(sorted(set(self._version_keys)))}
        ranks = np.array([ordered[key] for key in self._version_keys], dtype=np.int64)
        return (ranks[keys[0]],)

    def _numbers_of_versions(self, texts: Sequence[str]) -> SortKeys:
        for text in texts:
            if text in self._version_numbers:
                continue
            is_version = len(text) <= _MAX_VERSION and _VERSION.fullmatch(_shape(text))
            if len(self._version_keys) == MAX_VERSIONS or not is_version:
                raise ValueError
            self._version_keys.append(_version_key(text))
            self._version_numbers[text]
        found = map(self._version_numbers.__getitem__, texts)
        return (np.fromiter(found, np.int32, len(texts)),)

    def _days_of_numbers(
        self, numbers: NDArray[np.int64], order: NDArray[np.int64], is_same: NDArray[np.bool_]
    ) -> NDArray[np.int64] | None:
        """Return the days of numbers: of dates such as 20250310 or 202503100300, or since 1970.

        Seconds since 1970 and their parts are told apart by their size; other numbers have no days.

        Raises:
            ConfigError: There are several units, and the order depends on them.
        """
        if (compact := _days_of_compact_dates(numbers)) is not None:
            return compact
        unit = np.searchsorted(list(_UNITS), numbers, "right")
        per_second = np.array([1, 1, 10**3, 10**6, 10**9])[unit]
        wrong = is_same & (np.diff((numbers / per_second)[order]) < 0)
        if len(np.unique(unit[unit > 0])) > 1 and wrong.any():
            rows = _pair(order, wrong)
            texts = self._texts(rows)
            names = ["order", *_UNITS.values()]
            quoted = [f"`{texts[row]}` in {names[unit[row]]}" for row in rows]
            raise ConfigError(
                f"{self._file.place(rows[1])}: time: {quoted[1]} since 1970 by its size, and"
                f" {quoted[0]} in line {self._file.line(rows[0])}",
                hint="write all times in one unit",
            )
        days: NDArray[np.int64] = numbers // (_DAY_S * per_second)
        return days if (unit > 0).all() else None

    def _refuse_both(self, one: _TimeFormat, other: _TimeFormat, rows: tuple[int, int]) -> None:
        texts = self._texts(rows)
        if one is self._day_first:
            days = [_day(reading, texts[rows[0]]) for reading in (one, other)]
            row = rows[0] if days[0] != days[1] else rows[1]
            days = [_day(reading, texts[row]) for reading in (one, other)]
            reason = f"`{texts[row]}` is {days[0]} {one.how}, and {days[1]} {other.how}"
            hint = "write dates as in 2025-03-01"
        else:
            row = rows[1]
            reason = (
                f"`{texts[row]}` and `{texts[rows[0]]}` of line {self._file.line(rows[0])} are in"
                f" one order {one.how}, and in another {other.how}"
            )
            hint = (
                "write `v1.10` for a version, and 2025-03-01 for a date"
                if one is self._versions
                else "write `v1.10` for a version; give all numbers as many decimals"
            )
        raise ConfigError(f"{self._file.place(row)}: time: {reason}", hint=hint)

    def _texts(self, rows: Sequence[int]) -> Mapping[int, str]:
        found = self._file.lookup(rows, "time")
        return {row: truncate(text, _MAX_QUOTED) for row, text in found.items()}

    def _refuse(self) -> None:
        best = max(self._readings, key=lambda reading: reading.fails_at or (0, ""))
        row, text = best.fails_at or (0, "")
        last = next(r for r in self._readings if r.fails_at and r.fails_at[0] == row)
        expected = f"{last.what}, as the times before" if row else "a time"
        self._file.refuse(row, "time", text, expected, HINT)


def _steps(keys: SortKeys, order: NDArray[np.int64]) -> NDArray[np.int8]:
    """Return 1 for each row later than the one before, -1 for earlier, 0 for equal."""
    signs = np.zeros(len(order) - 1, dtype=np.int8)
    for key in keys:
        ordered = key[order]
        step = (ordered[1:] > ordered[:-1]).astype(np.int8) - (ordered[1:] < ordered[:-1])
        signs = np.where(signs == 0, step, signs)
    return signs


def _pair(order: NDArray[np.int64], where: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the rows of the first two neighbours for which the condition holds."""
    at = int(where.argmax())
    first, second = sorted((int(order[at]), int(order[at + 1])))
    return first, second


def _day(reading: _TimeFormat, text: str) -> str:
    (since,) = reading.keys([text])
    return str(since.astype("datetime64[ns]").astype("datetime64[D]")[0])


def _shape(text: str) -> str:
    return text.translate(_DIGITS)


def _number_keys(texts: Sequence[str]) -> SortKeys:
    """Return whole numbers, and fractions if there are any; a double would lose digits."""
    if not all(map(_NUMBER.fullmatch, set(map(_shape, texts)))):
        raise ValueError
    try:
        return (np.fromiter(map(int, texts), np.int64, len(texts)),)
    except ValueError:
        numbers = list(map(Decimal, texts))
    whole = list(map(math.floor, numbers))
    rest = [float(number - floor) for number, floor in zip(numbers, whole, strict=True)]
    return (np.array(whole, dtype=np.int64), np.array(rest))


def _days_of_compact_dates(numbers: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return the days since 1970 of YYYYMMDD, also with HH, HHMM or HHMMSS; None for others."""
    import pandas as pd

    if not len(numbers):
        return None
    lowest, highest = f"{numbers.min()}", f"{numbers.max()}"
    digits = len(highest)
    if digits not in _COMPACT or len(lowest) != digits:
        return None
    if not "1970" <= lowest[:4] <= highest[:4] <= "2099":
        return None
    dates, clock = np.divmod(numbers, 10 ** (digits - _COMPACT[0]))
    clock *= 10 ** (_COMPACT[-1] - digits)  # HHMMSS
    hours, minutes, seconds = clock // 10_000, clock // 100 % 100, clock % 100
    if hours.max() > 23 or minutes.max() > 59 or seconds.max() > 59:
        return None
    different, at = np.unique(dates, return_inverse=True)
    try:
        found = pd.to_datetime(different.astype(str), format="%Y%m%d")
    except ValueError:
        return None
    days: NDArray[np.int64] = found.to_numpy().astype("datetime64[D]").astype(np.int64)
    return days[at]


def _version_key(text: str) -> tuple[Any, ...]:
    """Return the sort key of a version: 1.9, 1.10-rc.1, 1.10, 1.10-3-gabcd (of git), 1.11.

    Source:
        Semantic Versioning 2.0.0, section 11, but numbers inside words count as numbers: rc9, rc10.
    """
    if dirty := _DIRTY.fullmatch(text):
        text = dirty.group(1)
    described = _DESCRIBED.fullmatch(text)
    text, later = described.group(1, 2) if described else (text, "0")
    ((release, suffix),) = _RELEASE.findall(text)
    numbers = list(map(int, release.split(".")))
    while numbers and not numbers[-1]:
        numbers.pop()
    words = re.findall(r"[0-9]+|[a-z]+", suffix.lower())
    rank = 0 if not suffix else 1 if suffix[0] == "+" or "post" in words[:1] else -1
    natural = tuple((0, int(w), "") if w.isdigit() else (1, 0, w) for w in words)
    return tuple(numbers), rank, natural, int(later), bool(dirty)


def _nanoseconds(patterns: tuple[re.Pattern[str], ...], texts: Sequence[str]) -> SortKeys:
    """Return nanoseconds since 1970; a time without zone counts as UTC."""
    import pandas as pd

    shapes = list(map(_shape, texts))
    layouts = {shape: _layout(shape, patterns) for shape in set(shapes)}
    dates = [
        _iso_text(text, layout) if (layout := layouts[shape]) else text
        for text, shape in zip(texts, shapes, strict=True)
    ]
    times = pd.to_datetime(dates, format="ISO8601", utc=True, cache=False)
    return (times.as_unit("ns").asi8,)


@lru_cache(maxsize=10_000)
def _layout(shape: str, patterns: tuple[re.Pattern[str], ...]) -> Mapping[str, slice]:
    """Return the position of each part of a date in texts of a shape; empty for ISO 8601."""
    found = next(filter(None, (pattern.fullmatch(shape) for pattern in patterns)), None)
    if found is None:
        raise ValueError
    if _ISO.fullmatch(shape):
        return {}
    return {name: slice(*found.span(name)) for name, part in found.groupdict().items() if part}


def _iso_text(text: str, layout: Mapping[str, slice]) -> str:
    """Return a date in ISO 8601, as pandas reads it."""
    part = {name: text[span] for name, span in layout.items()}
    year, day = f"20{part['year']}"[-4:], part.get("day", "01")
    if "week" in part:
        day = date.fromisoformat(f"{year}-W{part['week']}-{day[-1]}").isoformat()
    elif "ordinal" in part:
        day = f"{date(int(year), 1, 1) + timedelta(int(part['ordinal']) - 1)}"
        if day[:4] != year:
            raise ValueError
    else:
        month = part.get("month") or next(
            (f"{n}" for n, m in enumerate(_MONTHS, 1) if m.startswith(part["name"].lower())), "0"
        )
        day = f"{year}-{month:0>2}-{day:0>2}"
    hour = int(part.get("hour", 0))
    if half := part.get("half"):
        if not 1 <= hour <= 12:
            raise ValueError
        hour = hour % 12 + (12 if half.upper() == "PM" else 0)
    clock = f"{hour:02}:{part.get('minute', '00')}:{part.get('second', '00')}"
    zone = (part.get("zone") or part.get("offset") or "Z").split()[0]
    return f"{day}T{clock}.{part.get('part', '0')}{zone if zone[0] in '+-' else 'Z'}"
