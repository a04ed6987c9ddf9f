"""Read a table of measurements that somebody else made: CSV in, values by metric out.

Columns: `pair,arm,metric,value`, and where wanted `unit,better,family,floor,margin,scale,of`.
`arm` is `baseline` or `candidate`; an empty `pair` means that values do not belong in pairs;
`family` groups metrics that are judged together; `scale` is `ratio` or `difference`; `of` is how
many events there could have been, where a value is a share of events.
"""

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.csv_file import Column, blocks, refused, written
from pipeline.errors import ConfigError
from pipeline.judge.rows import Measured
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.subject import Arm
from pipeline.plain import clipped

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 250_000
"""Of a block that is read at once."""

_SENTENCE = 300  # characters of a refusal, in which a name may stand

MARGIN = 0.03
"""Of a metric that states none, as a ratio."""

_COLUMNS = (
    Column("pair"),
    Column("arm"),
    Column("metric"),
    Column("value", is_number=True),
    Column("unit", is_needed=False),
    Column("better", is_needed=False),
    Column("family", is_needed=False),
    Column("floor", is_needed=False),
    Column("margin", is_needed=False),
    Column("scale", is_needed=False),
    Column("of", is_needed=False, is_number=True),
)
_SAME = ("unit", "better", "floor", "margin", "scale")
"""Columns that say one thing of a metric, in its first row or in all."""


def measured(path: Path) -> list[Measured]:
    """Return the values of every metric, in the order in which the file names them.

    Raises:
        ConfigError: The file cannot be used, with its line and what was expected there.
    """
    table = _read(path)
    _among(path, table, "arm", [arm.value for arm in Arm])
    _among(path, table, "better", ["", *(better.value for better in Better)])
    _among(path, table, "scale", ["", *(scale.value for scale in Scale)])
    source = _Source(path, table)
    return [source.metric(rows) for rows in _groups(table)]


def _groups(table: "pd.DataFrame") -> Iterator[Any]:
    """Yield the rows of each metric in the file's order; metrics in that of their first rows."""
    import numpy as np
    import pandas as pd

    group = table["metric"].cat.codes.to_numpy().astype(np.int64)
    if "family" in table:
        group += len(table["metric"].cat.categories) * table["family"].cat.codes.to_numpy()
    group = pd.factorize(group)[0].astype(np.int32)
    order = group.argsort(kind="stable")
    ends = [*((np.diff(group[order]) != 0).nonzero()[0] + 1), len(order)]
    del group
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        yield order[start:end]


def _read(path: Path) -> "pd.DataFrame":
    """Return the whole file with each pair as a number, whose name may be of its own in each line.

    Two of ten million names share one of 2^64 numbers once in 400,000 files.
    """
    import numpy as np
    import pandas as pd
    from pandas.api.types import union_categoricals

    parts: dict[str, list[Any]] = {}
    for block in blocks(path, _COLUMNS, _ROWS):
        for name in map(str, block):
            column = block[name]
            if name == "pair":
                named = pd.util.hash_array(column.cat.categories.to_numpy(dtype=object))
                parts.setdefault(name, []).append(named[column.cat.codes.to_numpy()])
            else:
                parts.setdefault(name, []).append(column.array)
    table = {}
    for name in list(parts):
        found = parts.pop(name)
        is_number = name in {"pair", "value", "of"}
        table[name] = np.concatenate(found) if is_number else union_categoricals(found)
    return pd.DataFrame(table, copy=False)


def _among(path: Path, table: "pd.DataFrame", column: str, allowed: list[str]) -> None:
    if column not in table:
        return
    wrong = ~table[column].isin(allowed)
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        expected = " or ".join(f"`{value}`" for value in allowed if value)
        refused(path, row, column, table[column].iloc[row], expected)


def _hashed(text: str) -> int:
    import numpy as np
    import pandas as pd

    return int(pd.util.hash_array(np.array([text], dtype=object))[0])


class _Source:
    """The columns of a file as arrays, from which each metric takes its rows."""

    def __init__(self, path: Path, table: "pd.DataFrame") -> None:
        self._path = path
        texts = [column for column in table if table[column].dtype == "category"]
        self._codes = {name: table[name].cat.codes.to_numpy() for name in texts}
        self._texts = {name: table[name].cat.categories for name in texts}
        self._found: dict[tuple[str, str], int] = {}
        self._numbers = {name: table[name].to_numpy() for name in table if name not in texts}
        self._without = _hashed("")

    def metric(self, rows: Any) -> Measured:  # noqa: ANN401 (numpy loads late)
        """Return the values of the metric that some rows are of."""
        first = int(rows[0])
        said = {name: self._said(rows, name) for name in _SAME if name in self._codes}
        try:
            metric = Metric(
                name=self._text("metric", first),
                unit=said.get("unit") or "1",
                better=Better(said.get("better") or Better.LOWER),
                margin=self._number(first, "margin", said.get("margin", ""), MARGIN),
                gate=True,
                scale=Scale(said.get("scale") or Scale.RATIO),
                floor=self._number(first, "floor", said.get("floor", ""), 0.0),
            )
        except ValueError as error:
            why = clipped(f"{error}", _SENTENCE)
            raise ConfigError(f"{self._path}:{first + 2}: {why}") from error
        family = self._text("family", first) if "family" in self._codes else ""
        arms = [rows[self._is(rows, "arm", arm.value)] for arm in Arm]
        without = self._numbers["pair"][rows] == self._without
        is_paired = not without.all()
        warnings: tuple[str, ...] = ()
        if is_paired:
            if without.any():
                expected = "the pair, as in other rows of this metric"
                refused(self._path, int(rows[int(without.argmax())]), "pair", "", expected)
            arms, warnings = self._paired(arms)
        before, after = (self._values(arm, "value") for arm in arms)
        of = self._of(arms)
        if of and metric.scale is Scale.DIFFERENCE:
            self._shares(rows)
        return Measured(family, metric, before, after, is_paired, of, warnings)

    def _paired(self, arms: list[Any]) -> tuple[list[Any], tuple[str, ...]]:
        """Return the rows of both arms in the same order of pairs, and what was left out."""
        import numpy as np

        pairs = [self._numbers["pair"][arm] for arm in arms]
        for arm, codes in zip(arms, pairs, strict=True):
            if len(np.unique(codes)) < len(codes):
                _, firsts = np.unique(codes, return_index=True)
                row = int(arm[int(np.setdiff1d(np.arange(len(codes)), firsts)[0])])
                expected = "a pair that this arm has once, and it is there already"
                refused(self._path, row, "pair", written(self._path, row, "pair"), expected)
        if np.array_equal(pairs[0], pairs[1]):
            return arms, ()
        both, before, after = np.intersect1d(
            pairs[0], pairs[1], assume_unique=True, return_indices=True
        )
        by_line = before.argsort()
        lost = len(np.union1d(pairs[0], pairs[1])) - len(both)
        said = f"{lost} of {lost + len(both)} pairs lack an arm and are left out"
        return [arms[0][before[by_line]], arms[1][after[by_line]]], (said,) if lost else ()

    def _is(self, rows: Any, column: str, text: str) -> Any:  # noqa: ANN401 (numpy loads late)
        if (code := self._found.get((column, text))) is None:
            known = (self._texts[column] == text).nonzero()[0]
            code = self._found[column, text] = int(known[0]) if len(known) else -1
        return self._codes[column][rows] == code

    def _text(self, column: str, row: int) -> str:
        return str(self._texts[column][self._codes[column][row]])

    def _values(self, rows: Any, column: str) -> "array[float]":  # noqa: ANN401 (numpy loads late)
        return array("d", self._numbers[column][rows].tobytes())

    def _of(self, arms: list[Any]) -> tuple["array[float]", ...]:
        if "of" not in self._numbers:
            return ()
        found = tuple(self._values(arm, "of") for arm in arms)
        return found if all(value >= 1 for values in found for value in values) else ()

    def _shares(self, rows: Any) -> None:  # noqa: ANN401 (numpy loads late)
        values = self._numbers["value"][rows]
        wrong = (values < 0) | (values > 1)
        if wrong.any():
            row = int(rows[int(wrong.argmax())])
            expected = "a share from 0 to 1, as `of` makes it one"
            refused(self._path, row, "value", f"{self._numbers['value'][row]:g}", expected)

    def _said(self, rows: Any, column: str) -> str:  # noqa: ANN401 (numpy loads late)
        """Return the one thing that the rows of a metric say in a column."""
        codes = self._codes[column][rows]
        known = [code for code in dict.fromkeys(codes.tolist()) if self._texts[column][code]]
        if len(known) > 1:
            row = int(rows[int((codes == known[1]).argmax())])
            expected = f"`{self._texts[column][known[0]]}`, as in an earlier row of this metric"
            refused(self._path, row, column, self._text(column, row), expected)
        return str(self._texts[column][known[0]]) if known else ""

    def _number(self, row: int, column: str, written: str, default: float) -> float:
        if not written:
            return default
        try:
            return float(written[:-1]) / 100 if written.endswith("%") else float(written)
        except ValueError:
            refused(self._path, row, column, written, "a number")
