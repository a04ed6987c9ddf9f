"""Read untrusted CSV files in blocks: errors have their line, and memory is limited.

The caller declares which columns are numbers.  Text is never converted: `1.10`, `00048` and
`7e12345` are kept as names.  White space around a text is removed, because nobody sees it.
"""

import codecs
import csv
import io
import math
import os
import shutil
import stat
import string
import tempfile
import weakref
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, TextIO
from unicodedata import name as character_name

from pipeline.system.errors import ConfigError
from pipeline.system.sanitize import truncate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STDIN = Path("-")
"""The path that means standard input."""

BLOCK = 1_000_000
"""Bytes that are read at once; parsing them takes about 30 MB."""

MAX_COLUMNS = 1_000
"""Maximum number of columns, more than any table of measurements has."""

_MAX_RECORD = 8_000_000  # bytes of one line, or of a quoted value over several lines
_SHOWN = 40  # characters of a wrong value in a message
_SENTENCE = 300  # characters of a library's message, or of a list of names
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is its beginning
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_COMPRESSED = {
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a zip file or an Excel workbook",
    b"BZh": "a bzip2 file",
    b"\xfd7zX": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
}
_TYPES = {"f8": "d", "i8": "q", "i4": "i", "i1": "b"}  # type codes of arrays, by numpy's names
_BLANK = f",{string.whitespace}"
_SPACES = " \t\v\f\x1c\x1d\x1e\x1f"  # in ASCII, but for line ends
_SEPARATOR_LINE = "sep="  # spreadsheets declare the separator of columns with it
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a file.

    Attributes:
        name: Name in the first line of the file.
        is_needed: True if the file must have the column.
        is_number: True if each value must be a finite number, False for text.  A number may be
            empty in a column that is not needed.
        is_key: True if the value says to what a line belongs, so that no line may end before it.
    """

    name: str
    is_needed: bool = True
    is_number: bool = False
    is_key: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows of a file.

    Attributes:
        first: Number of the first row; the file begins with 0.
        texts: Values of each text column, shape (rows,).
        numbers: Values of each number column, shape (rows,); NaN for an empty value.
    """

    first: int
    texts: "Mapping[str, Sequence[str]]"
    numbers: "Mapping[str, NDArray[np.float64]]"


class CsvFile:
    """An open CSV file, which can be read several times.

    Rows are numbered from 0 after the line with the names of the columns; blank lines are not rows.

    Attributes:
        name: Name of the file in messages.
        columns: Names of the known columns in the file.
    """

    def __init__(self, path: Path, columns: Sequence[Column], size: int = BLOCK) -> None:
        """Open a file and read the names of its columns.

        Args:
            path: CSV file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark; `-` is standard
                input.  A pipe is copied to a temporary file first.
            columns: Known columns, in any order; others are ignored.
            size: Characters of a block.

        Raises:
            ConfigError: The file is missing, empty or not such a CSV file.
        """
        self.name = "standard input" if path == STDIN else str(path)
        self._size = size
        self._file = self._open(path)
        weakref.finalize(self, self._file.close)
        self._starts: list[_Start] = []
        self._begin, self._names = self._read_names(columns)
        known = [column for column in columns if column.name in self._names]
        self.columns: Collection[str] = [column.name for column in known]
        self._at = {column: self._names.index(column.name) for column in known}
        self._texts_at = [at for column, at in self._at.items() if not column.is_number]
        self._unnamed = [at for at, name in enumerate(self._names) if not name]

    def blocks(self) -> Iterator[Block]:
        """Yield all rows, in blocks.

        Raises:
            ConfigError: A line has a wrong number of values, or a value is not a number.
        """
        self._starts = []
        start = self._begin
        while True:
            columns, end = self._columns(start)
            if end.line == start.line:
                break
            self._starts.append(start)
            if end.row > start.row:
                yield self._block(start.row, columns)
            start = end
        if not start.row:
            raise ConfigError(
                f"{self.name}: there is no line but the first, which names the columns"
            )

    def lookup(self, rows: Iterable[int], column: str) -> dict[int, str]:
        """Return the texts of some rows in one column; call it after `blocks`."""
        at = self._names.index(column)
        wanted: dict[_Start, list[int]] = defaultdict(list)
        for row in rows:
            wanted[self._start_of(row)].append(row)
        found: dict[int, str] = {}
        for start, few in wanted.items():
            texts = self._columns(start)[0][at]
            found.update((row, texts[row - start.row]) for row in few)
        return found

    def rows_with(self, column: str, is_wanted: Callable[[str], bool]) -> list[int]:
        """Return the rows with a wanted text in a column; call it after `blocks`."""
        at = self._names.index(column)
        found: list[int] = []
        for start in self._starts:
            texts = self._columns(start)[0][at]
            wanted = set(filter(is_wanted, set(texts)))
            found += [row for row, text in enumerate(texts, start.row) if text in wanted]
        return found

    def line(self, row: int) -> int:
        """Return the line number on which a row begins; an editor's first line is 1."""
        start = self._start_of(row)
        records = self._records(start.line, self._read(start, self._size))
        lines = (line for line, record in records if not _is_blank(record))
        return next(islice(lines, row - start.row, None))

    def place(self, row: int) -> str:
        """Return `FILE:LINE` of a row, for messages."""
        return f"{self.name}:{self.line(row)}"

    def refuse(
        self, row: int, column: str, value: object, expected: str, hint: str = ""
    ) -> NoReturn:
        """Raise the error of one value, with its line.

        Raises:
            ConfigError: Always.
        """
        shown, wanted = truncate(f"{value}", _SHOWN), truncate(expected, _SENTENCE)
        raise ConfigError(f"{self.place(row)}: {column}: `{shown}` is not {wanted}", hint=hint)

    def _open(self, path: Path) -> TextIO:
        """Return the file as seekable text; bytes that are not UTF-8 become lone surrogates."""
        try:
            # __init__ registers its closing.
            file: IO[bytes] = os.fdopen(os.dup(0), "rb") if path == STDIN else path.open("rb")
            if path == STDIN or not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                file = _copy(file)
            begin = file.read(4)
            file.seek(0)
        except OSError as error:
            reason = truncate(error.strerror or f"{error}", _SENTENCE)
            raise ConfigError(f"{self.name}: cannot be read: {reason}") from error
        for magic, what in _COMPRESSED.items():
            if begin.startswith(magic):
                file.close()
                raise ConfigError(f"{self.name}: {what}, and not CSV", hint="unpack it first")
        for mark, encoding in _MARKS.items():
            if begin.startswith(mark):
                return io.TextIOWrapper(file, encoding, newline="")
        return io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")

    def _read_names(self, columns: Sequence[Column]) -> tuple["_Start", list[str]]:
        """Return the start of the rows, and the names of the columns."""
        start = _Start(offset=0, line=1)
        while text := self._read(start, size=0):
            end = self._file.tell()
            (record,), lines = self._parse(start.line, text)
            if not _is_blank(record) and not record[0].startswith(_SEPARATOR_LINE):
                names = [name.strip().strip("\ufeff").strip() for name in record]
                self._check_names(start.line, names, columns)
                return _Start(end, start.line + lines), names
            start = _Start(end, start.line + lines)
        raise ConfigError(f"{self.name}: the file is empty")

    def _check_names(self, line: int, names: Sequence[str], columns: Sequence[Column]) -> None:
        where = f"{self.name}:{line}"
        if len(names) > MAX_COLUMNS:
            raise ConfigError(
                f"{where}: {len(names)} columns, and a table has at most {MAX_COLUMNS}",
                hint="write one line for each value; a metric is a row, not a column",
            )
        needed = [column.name for column in columns if column.is_needed]
        for name in {column.name for column in columns} & set(names):
            if names.count(name) > 1:
                raise ConfigError(f"{where}: the column `{name}` is there twice")
        missing = [name for name in needed if name not in names]
        if not missing:
            return
        whole = ",".join(names)
        for separator, word in _SEPARATORS.items():
            if set(needed) <= {name.strip(' "') for name in whole.split(separator)}:
                raise ConfigError(
                    f"{where}: the columns are separated by {word}, not by commas",
                    hint="write `,` between columns and `.` in numbers; a spreadsheet does so when"
                    " it saves CSV with English settings",
                )
        if "\0" in whole:
            raise ConfigError(
                f"{where}: it holds NUL bytes, so it is not text in UTF-8",
                hint="if it is UTF-16 without a byte order mark: `iconv -f UTF-16LE -t UTF-8`",
            )
        if whole.startswith("{"):
            raise ConfigError(
                f"{where}: it looks like JSON, not like CSV",
                hint="name a history of nights `*.jsonl`",
            )
        raise ConfigError(
            f"{where}: the column `{missing[0]}` is missing; there are:"
            f" {truncate(', '.join(names), _SENTENCE)}",
            hint="the first line names the columns: " + ",".join(needed),
        )

    def _read(self, start: "_Start", size: int) -> str:
        """Return about as many characters from a start on, up to the end of a record."""
        self._file.seek(start.offset)
        text = ""
        try:
            while more := self._file.read(size) + self._file.readline(_MAX_RECORD + 1):
                text += more
                if len(text) > _MAX_RECORD:
                    raise ConfigError(
                        f"{self.name}:{start.line}: a line that does not end within"
                        f" {_MAX_RECORD:,} characters",
                        hint='is there a `"` without the one that closes the value?',
                    )
                if '"' not in text or _is_csv(text) or not _is_csv(f'{text}"'):
                    break  # no quoted value continues, or it is no CSV
            if not text.isascii():
                text.encode(errors="surrogateescape").decode()
        except UnicodeDecodeError as error:
            if self._file.encoding != "utf-8-sig":
                message = f"{self.name}: not the UTF-16 that it begins as: {error}"
                raise ConfigError(message) from error
            before = io.StringIO(f"{error.object[: error.start].decode()}.", newline="")
            line = start.line + len(before.readlines()) - 1
            raise ConfigError(
                f"{self.name}:{line}: not UTF-8: {error.reason}"
                f" (byte {error.object[error.start]:#04x})",
                hint="save it as UTF-8, such as by `iconv -f WINDOWS-1252 -t UTF-8`",
            ) from error
        return text

    def _parse(self, line: int, text: str) -> tuple[list[list[str]], int]:
        """Return the records of a text that begins on a line, and its number of lines."""
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            return list(reader), reader.line_num
        except csv.Error:
            list(self._records(line, text))  # raises the error, with its line
            raise

    def _records(self, line: int, text: str) -> Iterator[tuple[int, list[str]]]:
        """Yield each record of a text with the line on which it begins."""
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        begin = line
        try:
            for record in reader:
                yield begin, record
                begin = line + reader.line_num
        except csv.Error as error:
            raise ConfigError(
                f"{self.name}:{begin}: cannot be read as CSV: {truncate(f'{error}', _SENTENCE)}",
                hint='a `"` before a value needs one that closes it, and is doubled inside',
            ) from error

    def _check_widths(self, line: int, text: str) -> None:
        """Refuse a line with too many values, or with too few."""
        width = len(self._names)
        last_needed = max(at for one, at in self._at.items() if one.is_needed or one.is_key)
        records = list(self._records(line, text))
        for number, record in records:
            is_cut = record is records[-1][1] and not text.endswith(("\n", "\r"))
            is_more = len(record) > width and self._has_decimal_comma(record)
            is_long = is_more or not _is_blank(record[width:])
            is_short = len(record) <= last_needed or (is_cut and len(record) < width)
            if (is_long or is_short) and not _is_blank(record):
                values = "1 value" if len(record) == 1 else f"{len(record)} values"
                raise ConfigError(
                    f"{self.name}:{number}: {values}, and the first line names {width}",
                    hint="write 1234.5, not 1,234.5 or 1234,5; a text with a comma goes into"
                    ' quotes: "a, b"'
                    if is_long
                    else "was the file cut off? A value may be empty, but needs its commas",
                )

    def _has_decimal_comma(self, record: Sequence[str]) -> bool:
        """Return True if digits follow a whole number, as where 4,05 was written for 4.05."""
        return any(
            column.is_number
            and record[at].strip().lstrip("+-").isdecimal()
            and record[at + 1].strip().isdecimal()
            for column, at in self._at.items()
        )

    def _block(self, first: int, columns: Mapping[int, list[str]]) -> Block:
        for at in self._unnamed:
            for row, text in enumerate(columns[at], first):
                if text.strip():
                    raise ConfigError(
                        f"{self.place(row)}: `{truncate(text, _SHOWN)}` is in a column without a"
                        " name",
                        hint="write 101.2, not 101,2; or name the column in the first line",
                    )
        texts: dict[str, list[str]] = {}
        numbers: dict[str, NDArray[np.float64]] = {}
        for column, at in self._at.items():
            if column.is_number:
                numbers[column.name] = self._numbers(first, column, columns[at])
            else:
                texts[column.name] = columns[at]
        return Block(first, texts, numbers)

    def _numbers(self, first: int, column: Column, texts: list[str]) -> "NDArray[np.float64]":
        import numpy as np

        numbers = np.empty(len(texts))
        try:
            numbers[:] = np.fromiter(map(float, texts), np.float64, len(texts))
            is_plain = _is_plain("".join(texts)) and bool(np.isfinite(numbers).all())
        except ValueError:
            is_plain = False
        if not is_plain:
            for row, text in enumerate(texts):
                numbers[row] = self.number(first + row, column.name, text, not column.is_needed)
        return numbers

    def number(self, row: int, column: str, text: str, may_be_empty: bool = False) -> float:  # noqa: FBT001, FBT002
        """Parse a finite number; NaN for an empty value, if that is allowed.

        Raises:
            ConfigError: The value is not a finite number.
        """
        if may_be_empty and not text.strip(" \t"):
            return math.nan
        try:
            number = float(text) if _is_plain(text) else None
        except ValueError:
            number = None
        if number is None:
            self.refuse(row, column, text, "a number", _number_hint(text))
        if not math.isfinite(number):
            self.refuse(row, column, text, "a finite number")
        return number

    def _columns(self, start: "_Start") -> tuple[dict[int, list[str]], "_Start"]:
        """Return the values of a block by the index of their column, and the start of the next."""
        text = self._read(start, self._size)
        end, width = self._file.tell(), len(self._names)
        places = {*self._at.values(), *self._unnamed}
        fields = _split_plain(text, width)
        if fields is not None:
            rows = lines = len(fields) // width
            columns = {at: fields[at::width] for at in places}
        else:
            records, lines = self._parse(start.line, text)
            if set(map(len, records)) - {width}:
                self._check_widths(start.line, text)
            records = [record for record in records if not _is_blank(record)]
            rows = len(records)
            columns = {at: _column(records, at) for at in places}
        if not text.isascii() or any(map(text.__contains__, _SPACES)):  # most blocks have none
            for at in self._texts_at:
                columns[at] = list(map(str.strip, columns[at]))
        return columns, _Start(end, start.line + lines, start.row + rows)

    def _start_of(self, row: int) -> "_Start":
        return self._starts[bisect_right(self._starts, row, key=lambda start: start.row) - 1]


@dataclass(frozen=True, slots=True)
class _Start:
    """The start of a block.

    Attributes:
        offset: Position in the file, as `tell` returns it.
    """

    offset: int
    line: int
    row: int = 0


class GrowingArray:
    """A numpy array that is built block by block in one piece of memory.

    Concatenating thousands of small arrays would leave their memory with the process.
    """

    def __init__(self) -> None:
        """Create an empty array."""
        self._kind = ""
        self._numbers: array[int] | array[float] = array("b")

    def add(self, numbers: "NDArray[Any]") -> None:
        """Append numbers, all of the same type."""
        if not self._kind:
            self._kind = numbers.dtype.str
            self._numbers = array(_TYPES[self._kind[-2:]])
        self._numbers.frombytes(numbers.tobytes())

    def __len__(self) -> int:
        """Return the number of elements."""
        return len(self._numbers)

    def to_numpy(self) -> "NDArray[Any]":
        """Return the array; nothing may be added after that."""
        import numpy as np

        return np.frombuffer(self._numbers, dtype=self._kind or "i1")


def numbering() -> defaultdict[str, int]:
    """Return a dictionary that assigns each new text the next number, from 0."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    return numbers


def _copy(file: IO[bytes]) -> IO[bytes]:
    copy = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    with file:
        shutil.copyfileobj(file, copy)
    copy.seek(0)
    return copy


def _is_csv(text: str) -> bool:
    try:
        list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        return False
    return True


def _split_plain(text: str, width: int) -> list[str] | None:
    """Return the values of a text, line after line; None if it needs the CSV parser.

    Most files have no quotes, and the same number of values in each line; splitting them takes a
    third of the parser's time.
    """
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    if (
        '"' in text
        or {line.count(",") for line in lines} != {width - 1}
        or max(map(len, lines)) > csv.field_size_limit()
    ):
        return None
    plain = ",".join(lines)
    is_plain = "\r" not in plain and all(line.strip(_BLANK) for line in lines)
    return plain.split(",") if is_plain else None


def _column(rows: Sequence[Sequence[str]], at: int) -> list[str]:
    try:
        return list(map(itemgetter(at), rows))
    except IndexError:
        return [row[at] if at < len(row) else "" for row in rows]


def _is_blank(values: Sequence[str]) -> bool:
    return not any(map(str.strip, values))


def _is_plain(text: str) -> bool:
    """Return False for numbers that only Python accepts: `1_0`, digits of other scripts."""
    return text.isascii() and "_" not in text


def _number_hint(text: str) -> str:
    """Return the reason why a text that looks like a number is none; empty if it does not."""
    odd = next((c for c in text if not c.isascii()), "")
    if not text.strip():
        return "the value is missing"
    if odd:
        name = character_name(odd, "a character").lower()
        return f"it holds U+{ord(odd):04X} ({name}); write digits, `.` and `-` only"
    if "," in text:
        return "write 1234.5, not 1,234.5 or 1234,5"
    return ""
