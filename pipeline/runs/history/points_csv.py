"""Read a history from CSV: `time,value`, and optionally `series,commit,scale,better`.

The file is read in blocks and only numbers are kept, so that ten million lines need much less than
1 GB.  The texts of the few points that are shown are read again at the end.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.model.history import CommitRef, is_one_of
from pipeline.model.metric import Better, Scale
from pipeline.runs.history.source import Meaning, SeriesPoints, Source, newest_points
from pipeline.runs.history.time_column import TimeColumn
from pipeline.storage.csv_file import BLOCK, Block, Column, CsvFile, GrowingArray, numbering
from pipeline.system.errors import ConfigError

UNNAMED_SERIES = "value"
"""Name of the series in a file without the column `series`."""

MAX_SERIES = 20_000
"""Most series of one file; each takes a fifth of a millisecond, however short it is."""

_COLUMNS = (
    Column("time"),
    Column("value", is_number=True),
    Column("series", is_needed=False, is_key=True),
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
        path: CSV file whose first line names the columns; see `CsvFile`.
        default: Meaning of a series that does not state its own.
        size: Bytes of a block.

    Raises:
        ConfigError: The file cannot be used, with its line and what was expected there.
    """
    file = CsvFile(path, _COLUMNS, size)
    times, series = TimeColumn(file), _SeriesColumns(file, default)
    all_values, all_codes = GrowingArray(), GrowingArray()
    for block in file.blocks():
        times.add(block.first, block.texts["time"])
        all_values.add(block.numbers["value"])
        all_codes.add(series.add(block))
    values, codes = all_values.to_numpy(), all_codes.to_numpy()
    meanings = series.meanings()
    _check_values(file, values, codes, list(meanings.values()))
    order, is_repeated = times.order(codes)
    if is_repeated.any():
        at = int(is_repeated.argmax())
        first, second = sorted((int(order[at]), int(order[at + 1])))
        line = file.line(first)
        expected = f"later or earlier than that of line {line}, which is of the same series"
        file.refuse(second, "time", file.lookup([second], "time")[second], expected)
    ends = np.searchsorted(codes[order], np.arange(len(meanings)), side="right")
    points: list[SeriesPoints] = []
    for (name, meaning), start, end in zip(meanings.items(), [0, *ends[:-1]], ends, strict=True):
        rows = order[start:end]
        is_sorted = bool((rows[1:] > rows[:-1]).all())
        notes = () if is_sorted else ("the lines are not in the order of time; they were sorted",)
        days = None if times.days is None else times.days[rows]
        points.append(newest_points(name, meaning, values[rows], rows, notes, days=days))

    def find_refs(rows: AbstractSet[int], commits: AbstractSet[str]) -> Mapping[int, CommitRef]:
        has_commits = "commit" in file.columns
        is_asked = partial(is_one_of, commits=commits)
        of_commits = file.rows_with("commit", is_asked) if has_commits and commits else []
        wanted = {*rows, *of_commits}
        names = file.lookup(wanted, "commit") if has_commits else {}
        return {
            row: CommitRef(time, names.get(row, ""))
            for row, time in file.lookup(wanted, "time").items()
        }

    return Source(tuple(points), find_refs)


class _SeriesColumns:
    """The columns that name the series of a file and state their meanings."""

    def __init__(self, file: CsvFile, default: Meaning) -> None:
        self._file = file
        self._default = default
        self._numbers = numbering()
        self._stated: dict[tuple[str, str], str] = {}

    def add(self, block: Block) -> NDArray[np.int32]:
        """Return the number of the series of each row of a block, shape (rows,)."""
        rows = len(block.texts["time"])
        names = block.texts.get("series") or [UNNAMED_SERIES] * rows
        for column, allowed in _MEANING.items():
            if column in block.texts:
                for pair in dict.fromkeys(zip(names, block.texts[column], strict=True)):
                    self._record(block, column, pair, [one.value for one in allowed])
        codes: NDArray[np.int32] = np.fromiter(
            map(self._numbers.__getitem__, names), np.int32, rows
        )
        if len(self._numbers) > MAX_SERIES:
            row = int((codes == MAX_SERIES).argmax())
            expected = f"one of the {MAX_SERIES:,} series before; a file has no more"
            self._file.refuse(block.first + row, "series", names[row], expected)
        return codes

    def meanings(self) -> dict[str, Meaning]:
        """Return the meaning of every series, in the order of their numbers."""
        return {
            name: Meaning(
                Scale(self._stated.get((name, "scale"), self._default.scale)),
                Better(self._stated.get((name, "better"), self._default.better)),
            )
            for name in self._numbers
        }

    def _record(self, block: Block, column: str, pair: tuple[str, str], allowed: list[str]) -> None:
        """Record the scale or the direction that a row states for its series."""
        name, text = pair
        if not text:
            return
        expected = None
        if text not in allowed:
            expected = " or ".join(f"`{one}`" for one in allowed)
        elif (before := self._stated.setdefault((name, column), text)) != text:
            expected = f"`{before}`, as earlier in its series"
        if expected is not None:
            names = block.texts.get("series") or [UNNAMED_SERIES] * len(block.texts[column])
            row = list(zip(names, block.texts[column], strict=True)).index(pair)
            self._file.refuse(block.first + row, column, text, expected)


def _check_values(
    file: CsvFile, values: NDArray[np.float64], codes: NDArray[np.int32], meanings: list[Meaning]
) -> None:
    is_ratio = np.array([meaning.scale is Scale.RATIO for meaning in meanings])[codes]
    if (wrong := (values <= 0) & is_ratio).any():
        row = int(wrong.argmax())
        raise ConfigError(
            f"{file.place(row)}: value: `{values[row]:g}` is not above 0, and changes are ratios",
            hint="`--scale difference`, or a column `scale`, asks for changes as amounts",
        )
    for scale, largest in _LARGEST.items():
        wrong = (np.abs(values) > largest) & (is_ratio == (scale is Scale.RATIO))
        if wrong.any():
            row = int(wrong.argmax())
            expected = f"between -{largest:g} and {largest:g}"
            file.refuse(row, "value", f"{values[row]:g}", expected, "choose a larger unit")
