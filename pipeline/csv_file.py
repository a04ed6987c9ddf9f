"""Read CSV files that somebody else wrote: every fault with its line, a known amount of memory."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pipeline.errors import ConfigError
from pipeline.plain import clipped

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 40  # characters of a wrong value that are worth quoting
_SENTENCE = 300  # characters of what a library says, or of a list of names


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a file has, or may have.

    Attributes:
        name: In the first line of the file.
        is_needed: Whether the file must have it.
        is_number: Whether each value must be a finite number; otherwise it is text.  Where such a
            column need not be there, a value may be empty, too.
    """

    name: str
    is_needed: bool = True
    is_number: bool = False


def blocks(path: Path, columns: Sequence[Column], rows: int) -> "Iterator[pd.DataFrame]":
    """Yield the columns that are known, in any order, in blocks of rows; others are left out.

    Args:
        path: CSV in UTF-8, whose first line names the columns.
        columns: That are known.
        rows: Of a block, at most; ten million lines in memory at once would be more than 1 GB.

    Yields:
        A row for each line, numbered from 0 through the whole file; text as categories of the
        block, an optional number that is empty as NaN.

    Raises:
        ConfigError: The file is missing, empty or no such CSV; with the line.
    """
    names = _header(path)
    lacking = [c.name for c in columns if c.is_needed and c.name not in names]
    if lacking:
        raise ConfigError(
            f"{path}:1: the column `{lacking[0]}` is missing; there are:"
            f" {clipped(', '.join(names), _SENTENCE)}",
            hint="the first line names the columns: "
            + ",".join(c.name for c in columns if c.is_needed),
        )
    there = [column for column in columns if column.name in names]
    import pandas as pd

    numbers = {c.name for c in there if c.is_number}
    optional = {c.name: [""] for c in there if c.is_number and not c.is_needed}
    is_empty = True
    try:
        with pd.read_csv(
            path,
            usecols=[c.name for c in there],
            dtype={c.name: "float64" if c.is_number else "category" for c in there},
            keep_default_na=False,
            na_values=optional,
            encoding="utf-8-sig",
            skip_blank_lines=False,
            index_col=False,
            iterator=True,
            chunksize=rows,
        ) as reader:
            for table in reader:
                if table.empty:
                    continue
                is_empty = False
                for name in numbers:
                    _finite(path, table, name, may_be_empty=name in optional)
                yield table
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from error
    except (ValueError, pd.errors.ParserError) as error:
        _find(path, numbers, set(optional))
        said = clipped(f"{error}", _SENTENCE)
        raise ConfigError(f"{path}: not a CSV that can be read: {said}") from error
    if is_empty:
        raise ConfigError(f"{path}: there is no line but the first, which names the columns")


def refused(path: Path, row: int, column: str, value: object, expected: str) -> NoReturn:
    """Raise the error of one value.

    Args:
        path: Of the file.
        row: From 0, after the line that names the columns.
        column: Its name.
        value: As it was found.
        expected: In its place.

    Raises:
        ConfigError: Always.
    """
    shown = clipped(f"{value}", _SHOWN)
    said = clipped(expected, _SENTENCE)
    raise ConfigError(f"{path}:{row + 2}: {column}: `{shown}` is not {said}")


def written(path: Path, row: int, column: str) -> str:
    """Return the text of one value, read again from a file that was read before.

    Args:
        path: Of the file.
        row: From 0, after the line that names the columns.
        column: Its name.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.DictReader(file)
        line = next(islice(lines, row, None), None)
    return (line or {}).get(column, "") or ""


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            names, first = next(lines, []), next(lines, [])
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from error
    except (OSError, csv.Error) as error:
        said = clipped(f"{error}", _SENTENCE)
        raise ConfigError(f"{path}: cannot be read: {said}") from error
    if not names:
        raise ConfigError(f"{path}: the file is empty")
    _fits(path, 0, names, first)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{path}:1: the column `{clipped(twice[0], _SHOWN)}` is there twice")
    return names


def _not_utf8(path: Path, error: UnicodeDecodeError) -> ConfigError:
    return ConfigError(
        f"{path}: not UTF-8: {error.reason} at byte {error.start}",
        hint="save it as UTF-8, such as by `iconv -t UTF-8`",
    )


def _fits(path: Path, row: int, names: list[str], line: list[str]) -> None:
    if len(line) > len(names):
        raise ConfigError(
            f"{path}:{row + 2}: {len(line)} values, and the first line names {len(names)}"
        )


def _finite(path: Path, table: "pd.DataFrame", name: str, *, may_be_empty: bool) -> None:
    import numpy as np

    values = table[name].to_numpy()
    wrong = np.isinf(values) if may_be_empty else ~np.isfinite(values)
    if wrong.any():
        row = int(wrong.argmax())
        refused(path, int(table.index[row]), name, f"{values[row]:g}", "a finite number")


def _find(path: Path, numbers: set[str], optional: set[str]) -> None:
    """Raise the error of the first value that is not a number, or of the first odd line."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        names = next(lines)
        for row, line in enumerate(lines):
            _fits(path, row, names, line)
            for name, value in zip(names, line, strict=False):
                if name not in numbers or (name in optional and not value):
                    continue
                try:
                    is_finite = math.isfinite(float(value))
                except ValueError:
                    refused(path, row, name, value, "a number")
                if not is_finite:
                    refused(path, row, name, value, "a finite number")
