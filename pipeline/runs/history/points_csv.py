"""Read a history from CSV: `time,value`, and where wanted `series,commit,scale,better`.

Read in blocks, numbers only, so that ten million lines stay well below 1 GB; the texts of the few
points that are shown are read again in the end.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.model.history import CommitRef
from pipeline.model.metric import Better, Scale
from pipeline.runs.history.source import Meaning, SeriesPoints, Source, newest_points
from pipeline.runs.history.time_column import TimeColumn
from pipeline.storage.csv_file import BLOCK, Block, Column, CsvFile, GrowingArray, numbering
from pipeline.system.errors import ConfigError

UNNAMED_SERIES = "value"
"""The name of the series of a file that names none."""

MAX_SERIES = 20_000
"""Of one file; each costs a fifth of a millisecond, however short it is."""

_COLUMNS = (
    Column("time"),
    Column("value", is_number=True),
    Column("series", is_needed=False),
    Column("commit", is_needed=False),
    Column("scale", is_needed=False),
    Column("better", is_needed=False),
)
_MEANING = {"scale": tuple(Scale), "better": tuple(Better)}
_LARGEST = {Scale.RATIO: 1e300, Scale.DIFFERENCE: 1e150}  # squares and sums are finite, too


def read(path: Path, default: Meaning, size: int = BLOCK) -> Source:
    """Return every series of a file, in the order in which it names them.

    Points are put in the order of time; the row of a point is that of its line, from 0.

    Args:
        path: CSV whose first line names the columns; see `CsvFile`.
        default: Of a series that does not say what it means.
        size: Bytes that are read at once.

    Raises:
        ConfigError: The file cannot be used, with its line and what was expected there.
    """
    file = CsvFile(path, _COLUMNS, size)
    times, series = TimeColumn(file), _Series(file, default)
    all_values, all_codes = GrowingArray(), GrowingArray()
    for block in file.blocks():
        times.add(block.first, block.texts["time"])
        all_values.add(block.numbers["value"])
        all_codes.add(series.add(block))
    values, codes = all_values.to_numpy(), all_codes.to_numpy()
    meanings = series.meanings()
    _check_values(file, values, codes, list(meanings.values()))
    order, is_twice = times.order(codes)
    if is_twice.any():
        _refuse_twice(file, order, int(is_twice.argmax()))
    ends = np.searchsorted(codes[order], np.arange(len(meanings)), side="right")
    found: list[SeriesPoints] = []
    for (name, meaning), start, end in zip(meanings.items(), [0, *ends[:-1]], ends, strict=True):
        rows = order[start:end]
        is_sorted = bool((rows[1:] > rows[:-1]).all())
        said = () if is_sorted else ("the lines are not in the order of time; they were sorted",)
        days = None if times.days is None else times.days[rows]
        found.append(newest_points(name, meaning, values[rows], rows, said, days=days))

    def look(rows: AbstractSet[int], commits: AbstractSet[str]) -> Mapping[int, CommitRef]:
        has_commits = "commit" in file.columns
        named = file.rows_with("commit", commits) if has_commits and commits else []
        wanted = {*rows, *named}
        said = file.lookup(wanted, "commit") if has_commits else {}
        return {
            row: CommitRef(time.strip(" \t"), said.get(row, ""))
            for row, time in file.lookup(wanted, "time").items()
        }

    return Source(tuple(found), look)


class _Series:
    """The series of a file, and what each says that its values mean."""

    def __init__(self, file: CsvFile, default: Meaning) -> None:
        self._file = file
        self._default = default
        self._numbers = numbering()
        self._said: dict[tuple[str, str], str] = {}

    def add(self, block: Block) -> NDArray[np.int32]:
        """Return the number of the series of each row of a block, shape (rows,)."""
        rows = len(block.texts["time"])
        names = block.texts.get("series") or [UNNAMED_SERIES] * rows
        for column, allowed in _MEANING.items():
            if column in block.texts:
                for said in dict.fromkeys(zip(names, block.texts[column], strict=True)):
                    self._learn(block, column, said, [one.value for one in allowed])
        found: NDArray[np.int32] = np.fromiter(
            map(self._numbers.__getitem__, names), np.int32, rows
        )
        if len(self._numbers) > MAX_SERIES:
            row = int((found == MAX_SERIES).argmax())
            expected = f"one of the {MAX_SERIES:,} series before; a file has no more"
            self._file.refuse(block.first + row, "series", names[row], expected)
        return found

    def meanings(self) -> dict[str, Meaning]:
        """Return what the values of every series mean, in the order of their numbers."""
        return {
            name: Meaning(
                Scale(self._said.get((name, "scale"), self._default.scale)),
                Better(self._said.get((name, "better"), self._default.better)),
            )
            for name in self._numbers
        }

    def _learn(self, block: Block, column: str, said: tuple[str, str], allowed: list[str]) -> None:
        name, text = said[0], said[1].strip()
        if not text:
            return
        expected = "" if text in allowed else " or ".join(f"`{one}`" for one in allowed)
        if not expected and (before := self._said.setdefault((name, column), text)) != text:
            expected = f"`{before}`, as earlier in its series"
        if expected:
            names = block.texts.get("series") or [UNNAMED_SERIES] * len(block.texts[column])
            row = list(zip(names, block.texts[column], strict=True)).index(said)
            self._file.refuse(block.first + row, column, text, expected)


def _check_values(
    file: CsvFile, values: NDArray[np.float64], codes: NDArray[np.int32], meanings: list[Meaning]
) -> None:
    is_ratio = np.array([meaning.scale is Scale.RATIO for meaning in meanings])[codes]
    if (wrong := (values <= 0) & is_ratio).any():
        row = int(wrong.argmax())
        raise ConfigError(
            f"{file.place(row)}: value: `{values[row]:g}` is not above 0, and steps are ratios",
            hint="`--scale difference`, or a column `scale`, asks for steps as amounts",
        )
    for scale, largest in _LARGEST.items():
        wrong = (np.abs(values) > largest) & (is_ratio == (scale is Scale.RATIO))
        if wrong.any():
            row = int(wrong.argmax())
            expected = f"between -{largest:g} and {largest:g}"
            file.refuse(row, "value", f"{values[row]:g}", expected, "choose a larger unit")


def _refuse_twice(file: CsvFile, order: NDArray[np.int64], at: int) -> None:
    first, second = sorted((int(order[at]), int(order[at + 1])))
    time = file.lookup([second], "time")[second]
    expected = f"later or earlier than that of line {file.line(first)}, which is of the same series"
    file.refuse(second, "time", time, expected)
