"""Read untrusted CSV files in blocks: errors have their line, and memory is limited.

The caller declares which columns are numbers.  Text is never converted: `1.10`, `00048` and
`7e12345` are kept as names.
"""

import codecs
import csv
import gc
import io
import math
import os
import shutil
import stat
import tempfile
import weakref
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn
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
_COMPRESSED = {b"\x1f\x8b": "a gzip file", b"PK\x03\x04": "a zip file or an Excel workbook"}
_TYPES = {"f8": "d", "i8": "q", "i4": "i", "i1": "b"}  # type codes of arrays, by numpy's names
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
    """

    name: str
    is_needed: bool = True
    is_number: bool = False


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
            size: Bytes that are read at once.

        Raises:
            ConfigError: The file is missing, empty or not such a CSV file.
        """
        self.name = "standard input" if path == STDIN else str(path)
        self._size = size
        self._file = self._open(path)
        weakref.finalize(self, self._file.close)
        self._newest = (0, b"")  # offset and bytes of the last part that was read
        self._parts: list[_Part] = []
        self._header, self._begin = self._read_header()
        self._check_header(columns)
        known = [column for column in columns if column.name in self._header]
        self.columns: Collection[str] = [column.name for column in known]
        self._at = {column: self._header.index(column.name) for column in known}
        self._unnamed = [at for at, name in enumerate(self._header) if not name]

    def blocks(self) -> Iterator[Block]:
        """Yield all rows, in blocks.

        Raises:
            ConfigError: A line has a wrong number of values, or a value is not a number.
        """
        self._parts = []
        part, first = self._begin, 0
        while not part.is_last:
            part = self._next_part(replace(part, first=first))
            self._parts.append(part)
            columns = self._columns(part)
            if rows := len(next(iter(columns.values()))):
                yield self._block(first, columns)
                first += rows
        if not first:
            raise ConfigError(
                f"{self.name}: there is no line but the first, which names the columns"
            )

    def lookup(self, rows: Iterable[int], column: str) -> dict[int, str]:
        """Return the texts of some rows in one column; call it after `blocks`."""
        at = self._header.index(column)
        wanted: dict[int, list[int]] = defaultdict(list)
        for row in rows:
            wanted[self._part_of(row)].append(row)
        return {
            row: texts[row - self._parts[number].first]
            for number, few in wanted.items()
            for texts in (self._columns(self._parts[number])[at],)
            for row in few
        }

    def rows_with(self, column: str, texts: AbstractSet[str]) -> list[int]:
        """Return the rows with one of some texts in a column; call it after `blocks`."""
        at = self._header.index(column)
        return [
            part.first + number
            for part in self._parts
            for number, text in enumerate(self._columns(part)[at])
            if text in texts
        ]

    def line(self, row: int) -> int:
        """Return the line number on which a row begins; an editor's first line is 1."""
        part = self._parts[self._part_of(row)]
        lines = (line for line, record in self._lines(part) if not _is_blank(record))
        return next(islice(lines, row - part.first, None))

    def place(self, row: int) -> str:
        """Return `FILE:LINE` of a row, for messages."""
        return f"{self.name}:{self.line(row)}"

    def refuse(
        self, row: int, column: str, value: object, expected: str, hint: str = ""
    ) -> NoReturn:
        """Raise the error of one value.

        Args:
            row: Number of the row.
            column: Name of the column.
            value: Value in the file.
            expected: Description of an accepted value.
            hint: Advice.

        Raises:
            ConfigError: Always.
        """
        shown, wanted = truncate(f"{value}", _SHOWN), truncate(expected, _SENTENCE)
        raise ConfigError(f"{self.place(row)}: {column}: `{shown}` is not {wanted}", hint=hint)

    def _open(self, path: Path) -> IO[bytes]:
        """Return the file, or a seekable copy in UTF-8."""
        try:
            # __init__ registers its closing.
            file: IO[bytes] = os.fdopen(os.dup(0), "rb") if path == STDIN else path.open("rb")
            if path == STDIN or not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                file = _copy(file)
            begin = file.read(4)
            encoding = next((name for mark, name in _MARKS.items() if begin.startswith(mark)), "")
            if encoding:
                file = _to_utf8(file, encoding)
        except UnicodeError as error:
            raise ConfigError(f"{self.name}: not the UTF-16 that it begins as: {error}") from error
        except OSError as error:
            reason = truncate(error.strerror or f"{error}", _SENTENCE)
            raise ConfigError(f"{self.name}: cannot be read: {reason}") from error
        for magic, what in _COMPRESSED.items():
            if begin.startswith(magic):
                file.close()
                raise ConfigError(f"{self.name}: {what}, and not CSV", hint="unpack it first")
        return file

    def _read_header(self) -> tuple[list[str], "_Part"]:
        """Return the names of the columns, and the part before the first row."""
        self._file.seek(0)
        begin = len(codecs.BOM_UTF8) if self._file.read(3) == codecs.BOM_UTF8 else 0
        part = _Part(end=begin, next_line=1)
        while not part.is_last:
            part = self._next_part(part)
            self._records(part)
            text = self._text(part)
            reader = csv.reader(io.StringIO(text, newline=""), strict=True)
            line = part.line
            for record in reader:
                if not _is_blank(record) and not record[0].startswith(_SEPARATOR_LINE):
                    self._check_width(line, len(record))
                    lines = islice(io.StringIO(text, newline=""), reader.line_num)
                    end = part.offset + sum(len(one.encode()) for one in lines)
                    rows = _Part(end=end, next_line=part.line + reader.line_num, line=line)
                    return [name.strip().strip("\ufeff").strip() for name in record], rows
                line = part.line + reader.line_num
        raise ConfigError(f"{self.name}: the file is empty")

    def _check_width(self, line: int, width: int) -> None:
        if width > MAX_COLUMNS:
            raise ConfigError(
                f"{self.name}:{line}: {width} columns, and a table has at most {MAX_COLUMNS}",
                hint="write one line for each value; a metric is a row, not a column",
            )

    def _check_header(self, columns: Sequence[Column]) -> None:
        where, names = f"{self.name}:{self._begin.line}", self._header
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

    def _next_part(self, before: "_Part") -> "_Part":
        """Return the next part of the file; it ends at the end of a record."""
        offset, line, data = before.end, before.next_line, b""
        while True:
            self._file.seek(offset + len(data))
            more = self._file.read(self._size)
            data += more
            cut = _end_of_line(data) if more else len(data)
            if not more or (cut and self._ends_outside_quotes(data[:cut])):
                self._newest = (offset, data[:cut])
                return _Part(
                    end=offset + cut,
                    next_line=line + _line_ends(data[:cut]),
                    offset=offset,
                    line=line,
                    first=before.first,
                    is_last=not more,
                )
            if len(data) > _MAX_RECORD:
                raise ConfigError(
                    f"{self.name}:{line}: a line that does not end within {_MAX_RECORD:,} bytes",
                    hint='is there a `"` without the one that closes the value?',
                )

    def _ends_outside_quotes(self, data: bytes) -> bool:
        """Return True if no quoted value continues after the data."""
        if b'"' not in data:
            return True
        text = data.decode(errors="replace")
        return _is_csv(text) or not _is_csv(f'{text}"')  # a quote closes it, or it is no CSV

    def _data(self, part: "_Part") -> bytes:
        offset, data = self._newest
        if (offset, len(data)) == (part.offset, part.end - part.offset):
            return data
        self._file.seek(part.offset)
        return self._file.read(part.end - part.offset)

    def _text(self, part: "_Part") -> str:
        data = self._data(part)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            line = part.line + _line_ends(data[: error.start])
            raise ConfigError(
                f"{self.name}:{line}: not UTF-8: {error.reason} (byte {data[error.start]:#04x})",
                hint="save it as UTF-8, such as by `iconv -f WINDOWS-1252 -t UTF-8`",
            ) from error

    def _records(self, part: "_Part") -> list[list[str]]:
        """Return the records of a part, with blank lines."""
        text = self._text(part)
        was_enabled = gc.isenabled()
        gc.disable()  # there are no cycles, and the collector takes half of the time
        try:
            return list(csv.reader(io.StringIO(text, newline=""), strict=True))
        except csv.Error as error:
            raise ConfigError(
                f"{self.name}:{_bad_line(text, part.line)}: no CSV that can be read:"
                f" {truncate(str(error), _SENTENCE)}",
                hint='a `"` before a value needs one that closes it, and is doubled inside',
            ) from error
        finally:
            if was_enabled:
                gc.enable()

    def _lines(self, part: "_Part") -> Iterator[tuple[int, list[str]]]:
        """Yield each record of a part with the line on which it begins."""
        text = self._text(part)
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        line = part.line
        for record in reader:
            yield line, record
            line = part.line + reader.line_num

    def _columns(self, part: "_Part") -> dict[int, list[str]]:
        """Return the values of each known column of a part, by the column's index."""
        places = sorted({*self._at.values(), *self._unnamed})
        width = len(self._header)
        fields = self._split_fast(part)
        if fields is not None and not _has_blank_row(fields, width):
            columns = {at: fields[at::width] for at in places}
        else:
            records = self._records(part)
            if set(map(len, records)) - {width}:
                self._refuse_wrong_width(part)
            rows = [record for record in records if not _is_blank(record)]
            columns = {at: _column(rows, at) for at in places}
        if any(any(map(str.strip, columns[at])) for at in self._unnamed):
            self._refuse_unnamed(part)
        return columns

    def _split_fast(self, part: "_Part") -> list[str] | None:
        """Return the fields of a part, line after line; None if it needs the CSV parser.

        Most files have no quotes and the same number of fields in each line; splitting them takes a
        third of the parser's time.
        """
        import numpy as np

        data = self._data(part)
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        if not data or b'"' in data or b"\r" in data:
            return None
        if not data.endswith(b"\n"):
            data += b"\n"
        array = np.frombuffer(data, dtype=np.uint8)
        ends = ((array == ord(",")) | (array == ord("\n"))).nonzero()[0]
        width = len(self._header)
        if len(ends) % width or np.diff(ends, prepend=-1).max() > csv.field_size_limit():
            return None
        is_line_end = array[ends].reshape(-1, width) == ord("\n")
        if not is_line_end[:, -1].all() or is_line_end[:, :-1].any():
            return None
        try:
            return data[:-1].decode().replace("\n", ",").split(",")
        except UnicodeDecodeError:
            return None

    def _refuse_wrong_width(self, part: "_Part") -> None:
        """Raise the error of the first line with too many or too few values."""
        width = len(self._header)
        last_needed = max(at for column, at in self._at.items() if column.is_needed)
        ends_short = part.is_last and not self._data(part).endswith((b"\n", b"\r"))
        wrong = [
            (line, record)
            for line, record in self._lines(part)
            if len(record) != width and not _is_blank(record)
        ]
        last = max((line for line, record in self._lines(part) if record), default=0)
        for line, record in wrong:
            is_long = not _is_blank(record[width:])
            is_cut = ends_short and line == last
            if is_long or (len(record) < width and (len(record) <= last_needed or is_cut)):
                raise ConfigError(
                    f"{self.name}:{line}: {_values(len(record))}, and the first line names {width}",
                    hint="write 1234.5, not 1,234.5 or 1234,5; a text with a comma goes into"
                    ' quotes: "a, b"'
                    if is_long
                    else "was the file cut off? A value may be empty, but needs its commas",
                )

    def _refuse_unnamed(self, part: "_Part") -> None:
        for line, record in self._lines(part):
            for at in self._unnamed:
                if not _is_blank(record[at : at + 1]):
                    raise ConfigError(
                        f"{self.name}:{line}: `{truncate(record[at], _SHOWN)}` is in a column"
                        " without a name",
                        hint="write 101.2, not 101,2; or name the column in the first line",
                    )

    def _block(self, first: int, columns: Mapping[int, list[str]]) -> Block:
        texts: dict[str, list[str]] = {}
        numbers: dict[str, NDArray[np.float64]] = {}
        for column, at in self._at.items():
            values = columns[at]
            if column.is_number:
                numbers[column.name] = self._numbers(first, column, values)
            else:
                texts[column.name] = values
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

        Args:
            row: Number of the row.
            column: Name of the column.
            text: Value in the file.
            may_be_empty: True if an empty value is allowed.

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

    def _part_of(self, row: int) -> int:
        return bisect_right(self._parts, row, key=lambda part: part.first) - 1


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a file, of whole records.

    Attributes:
        end: Offset of the byte after the part.
        next_line: Line number of that byte.
        offset: Offset of the first byte.
        line: Line number of the first byte.
        first: Number of the first row.
        is_last: True if the file ends with this part.
    """

    end: int
    next_line: int
    offset: int = 0
    line: int = 1
    first: int = 0
    is_last: bool = False


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


def _to_utf8(file: IO[bytes], encoding: str) -> IO[bytes]:
    copy = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    file.seek(0)
    try:
        with io.TextIOWrapper(file, encoding=encoding, newline="") as text:
            while block := text.read(BLOCK):
                copy.write(block.encode())
    except UnicodeError:
        copy.close()
        raise
    return copy


def _end_of_line(data: bytes) -> int:
    """Return the offset after the last line end; old Macs use a carriage return alone."""
    return max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1


def _line_ends(data: bytes) -> int:
    lone = data.count(b"\r") - data.count(b"\r\n") if b"\r" in data else 0
    return data.count(b"\n") + lone


def _is_csv(text: str) -> bool:
    try:
        for _ in csv.reader(io.StringIO(text, newline=""), strict=True):
            pass
    except csv.Error:
        return False
    return True


def _bad_line(text: str, line: int) -> int:
    """Return the line of the first record that cannot be parsed."""
    bad = line
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    with suppress(csv.Error):
        for _ in reader:
            bad = line + reader.line_num
    return bad


def _column(rows: list[list[str]], at: int) -> list[str]:
    try:
        return list(map(itemgetter(at), rows))
    except IndexError:
        return [row[at] if at < len(row) else "" for row in rows]


def _has_blank_row(fields: list[str], width: int) -> bool:
    """Return True if a row has blank fields only."""
    if all(map(str.strip, fields[::width])):
        return False
    rows = [row for row, text in enumerate(fields[::width]) if not text.strip()]
    for at in range(1, width):
        rows = [row for row in rows if not fields[row * width + at].strip()]
    return bool(rows)


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


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count} values"
