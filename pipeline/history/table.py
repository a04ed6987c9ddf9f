"""Read a history from CSV: `time,value`, and where wanted `series,commit,scale,better`.

Read in blocks, numbers only, so that ten million lines stay well below 1 GB; the texts of the few
points that are shown are read again in the end.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.csv_file import Column, blocks, refused
from pipeline.errors import ConfigError
from pipeline.history.source import Dated, Meaning, Source, dated
from pipeline.model.history import Place
from pipeline.model.metric import Better, Scale

if TYPE_CHECKING:
    import pandas as pd

Times: TypeAlias = NDArray[np.float64] | NDArray[np.int64]
"""Numbers as they are, or microseconds since 1970."""

ROWS = 250_000
"""Of a block: about 100 MB while it is read."""

ALONE = "value"
"""The name of the series of a file that names none."""

_DAY_US = 86_400_000_000  # microseconds

_NO_TIME = np.iinfo(np.int64).min  # what numpy makes of it

_COLUMNS = (
    Column("time"),
    Column("value", is_number=True),
    Column("series", is_needed=False),
    Column("commit", is_needed=False),
    Column("scale", is_needed=False),
    Column("better", is_needed=False),
)
_PLACES = (Column("time"), Column("commit", is_needed=False))


def read(path: Path, default: Meaning) -> Source:
    """Return every series of a file, in the order in which it names them.

    Points are put in the order of time; the row of a point is that of its line, from 0.

    Args:
        path: CSV in UTF-8, whose first line names the columns.
        default: Of a series that does not say what it means.

    Raises:
        ConfigError: The file cannot be used, with its line and what was expected there.
    """
    known = _Known(path, default)
    parts = [known.block(table) for table in blocks(path, _COLUMNS, ROWS)]
    times, values, codes = (np.concatenate(list(part)) for part in zip(*parts, strict=True))
    del parts
    _positive(path, values, codes, list(known.meanings.values()))
    order = np.lexsort((times, codes))
    _once(path, times, codes, order)
    ends = np.searchsorted(codes[order], np.arange(len(known.meanings)), side="right")
    series: list[Dated] = []
    for (name, meaning), start, end in zip(
        known.meanings.items(), [0, *ends[:-1]], ends, strict=True
    ):
        rows = order[start:end]
        is_sorted = bool((rows[1:] > rows[:-1]).all())
        said = () if is_sorted else ("the lines are not in the order of time; they were sorted",)
        days = times[rows] // _DAY_US if times.dtype == np.int64 else None
        series.append(dated(name, meaning, values[rows], rows, said, days=days))

    def look(rows: AbstractSet[int], commits: AbstractSet[str]) -> Mapping[int, Place]:
        return _places(path, rows, commits)

    return Source(tuple(series), look)


class _Known:
    """The series and the kind of time that a file has shown so far."""

    def __init__(self, path: Path, default: Meaning) -> None:
        self.meanings: dict[str, Meaning] = {}
        self._path = path
        self._default = default
        self._codes: dict[str, int] = {}
        self._is_number: bool | None = None

    def block(self, table: "pd.DataFrame") -> tuple[Times, NDArray[np.float64], NDArray[np.int32]]:
        """Return time, value and number of the series of each row of a block, shape (rows,)."""
        return self._times(table), table["value"].to_numpy(), self._series(table)

    def _series(self, table: "pd.DataFrame") -> NDArray[np.int32]:
        texts = [name for name in ("series", "scale", "better") if name in table]
        if not texts:
            self.meanings.setdefault(ALONE, self._default)
            return np.zeros(len(table), dtype=np.int32)
        for row, said in table[texts].drop_duplicates().iterrows():
            self._learn(int(str(row)), {str(k): str(v) for k, v in said.items()})
        if "series" not in table:
            return np.zeros(len(table), dtype=np.int32)
        names = table["series"].cat.categories
        numbers = np.array([self._codes[str(name)] for name in names], dtype=np.int32)
        found: NDArray[np.int32] = numbers[table["series"].cat.codes.to_numpy()]
        return found

    def _learn(self, row: int, said: Mapping[str, str]) -> None:
        name = said.get("series", ALONE)
        self._codes.setdefault(name, len(self._codes))
        before = self.meanings.get(name)
        default = before or self._default
        meaning = Meaning(
            Scale(self._among(row, "scale", said, [s.value for s in Scale]) or default.scale),
            Better(self._among(row, "better", said, [b.value for b in Better]) or default.better),
        )
        if before is not None and meaning != before:
            column = "scale" if meaning.scale is not before.scale else "better"
            earlier = getattr(before, column).value
            refused(self._path, row, column, said[column], f"`{earlier}`, as earlier in its series")
        self.meanings[name] = meaning

    def _among(self, row: int, column: str, said: Mapping[str, str], allowed: list[str]) -> str:
        value = said.get(column, "")
        if value and value not in allowed:
            refused(self._path, row, column, value, " or ".join(f"`{one}`" for one in allowed))
        return value

    def _times(self, table: "pd.DataFrame") -> Times:
        import pandas as pd

        texts = pd.Series(table["time"].cat.categories.astype(str))
        numbers = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)
        if self._is_number is None:
            self._is_number = bool(np.isfinite(numbers).all())
        times: Times = numbers if self._is_number else _microseconds(texts)
        wrong = ~np.isfinite(times) if self._is_number else times == _NO_TIME
        codes = table["time"].cat.codes.to_numpy()
        if wrong.any():
            at = int(wrong[codes].argmax())
            expected = "a number, as the times before" if self._is_number else "a time"
            refused(self._path, int(table.index[at]), "time", table["time"].iloc[at], expected)
        found: Times = times[codes]
        return found


def _microseconds(texts: "pd.Series[str]") -> NDArray[np.int64]:
    """Return microseconds since 1970; `_NO_TIME` where a text is no time."""
    import pandas as pd

    # In one unit: of nothing but what it cannot read pandas makes seconds, into which no finer fit.
    times = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce").dt.as_unit("us")
    odd = times.isna()
    if odd.any():
        others = pd.to_datetime(texts[odd], format="mixed", utc=True, errors="coerce")
        times[odd] = others.dt.as_unit("us")
    since: NDArray[np.int64] = times.to_numpy(dtype="datetime64[us]").astype(np.int64)
    return since


def _positive(
    path: Path,
    values: NDArray[np.float64],
    codes: NDArray[np.int32],
    meanings: Sequence[Meaning],
) -> None:
    is_ratio = np.array([meaning.scale is Scale.RATIO for meaning in meanings])
    wrong = (values <= 0) & is_ratio[codes]
    if wrong.any():
        row = int(wrong.argmax())
        raise ConfigError(
            f"{path}:{row + 2}: value: `{values[row]:g}` is not above 0, and steps are ratios",
            hint="`--scale difference`, or a column `scale`, asks for steps as amounts",
        )


def _once(
    path: Path,
    times: Times,
    codes: NDArray[np.int32],
    order: NDArray[np.int64],
) -> None:
    twice = (times[order][1:] == times[order][:-1]) & (codes[order][1:] == codes[order][:-1])
    if twice.any():
        at = int(twice.argmax())
        first, second = sorted((int(order[at]), int(order[at + 1])))
        time = _places(path, {second}, set())[second].time
        expected = f"later or earlier than that of line {first + 2}, which is of the same series"
        refused(path, second, "time", time, expected)


def _places(path: Path, rows: AbstractSet[int], commits: AbstractSet[str]) -> dict[int, Place]:
    found: dict[int, Place] = {}
    wanted = np.array(sorted(rows), dtype=np.int64)
    for table in blocks(path, _PLACES, ROWS):
        start = int(table.index[0])
        here = wanted[(wanted >= start) & (wanted < start + len(table))] - start
        if commits and "commit" in table:
            named = table["commit"].isin(sorted(commits)).to_numpy().nonzero()[0]
            here = np.union1d(here, named)
        for at in here.tolist():
            commit = str(table["commit"].iloc[at]) if "commit" in table else ""
            found[start + at] = Place(str(table["time"].iloc[at]), commit)
    return found
