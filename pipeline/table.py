"""Read a table of measurements that somebody else made: CSV in, values by metric out.

Columns: `pair,arm,metric,value`, and where wanted `unit,better,family,floor,margin,scale,of`.
`arm` is `baseline` or `candidate`; an empty `pair` means that values do not belong in pairs;
`family` groups metrics that are judged together; `scale` is `ratio` or `difference`; `of` is how
many events there could have been, where a value is a share of events.
"""

from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.csv_file import Column, read, refused
from pipeline.errors import ConfigError
from pipeline.judge.rows import Measured
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.subject import Arm

if TYPE_CHECKING:
    import pandas as pd

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
    table = read(path, _COLUMNS)
    _among(path, table, "arm", [arm.value for arm in Arm])
    _among(path, table, "better", ["", *(better.value for better in Better)])
    _among(path, table, "scale", ["", *(scale.value for scale in Scale)])
    keys = [name for name in ("family", "metric") if name in table]
    group = table.groupby(keys, sort=False, observed=True).ngroup().to_numpy()
    order = group.argsort(kind="stable")  # the rows of each metric together, in the file's order
    ends = [*(group[order][1:] != group[order][:-1]).nonzero()[0] + 1, len(order)]
    source = _Source(path, table)
    starts = [0, *ends[:-1]]
    return [source.metric(order[start:end]) for start, end in zip(starts, ends, strict=True)]


def _among(path: Path, table: "pd.DataFrame", column: str, allowed: list[str]) -> None:
    if column not in table:
        return
    wrong = ~table[column].isin(allowed)
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        expected = " or ".join(f"`{value}`" for value in allowed if value)
        refused(path, row, column, table[column].iloc[row], expected)


class _Source:
    """The columns of a file as arrays, from which each metric takes its rows."""

    def __init__(self, path: Path, table: "pd.DataFrame") -> None:
        self._path = path
        texts = [column for column in table if table[column].dtype == "category"]
        self._codes = {name: table[name].cat.codes.to_numpy() for name in texts}
        self._texts = {name: list(table[name].cat.categories) for name in texts}
        self._numbers = {name: table[name].to_numpy() for name in table if name not in texts}

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
            raise ConfigError(f"{self._path}:{first + 2}: {error}") from error
        family = self._text("family", first) if "family" in self._codes else ""
        arms = [rows[self._is(rows, "arm", arm.value)] for arm in Arm]
        without = self._is(rows, "pair", "")
        is_paired = not without.all()
        warnings: tuple[str, ...] = ()
        if is_paired:
            if without.any():
                expected = "the pair, as in other rows of this metric"
                refused(self._path, int(rows[int(without.argmax())]), "pair", "", expected)
            arms, warnings = self._paired(arms)
        before, after = (self._values(arm, "value") for arm in arms)
        return Measured(family, metric, before, after, is_paired, self._of(arms), warnings)

    def _paired(self, arms: list[Any]) -> tuple[list[Any], tuple[str, ...]]:
        """Return the rows of both arms in the same order of pairs, and what was left out."""
        import numpy as np

        pairs = [self._codes["pair"][arm] for arm in arms]
        for arm, codes in zip(arms, pairs, strict=True):
            known, firsts = np.unique(codes, return_index=True)
            if len(known) < len(codes):
                row = int(arm[int(np.setdiff1d(np.arange(len(codes)), firsts)[0])])
                expected = "a pair that this arm has once, and it is there already"
                refused(self._path, row, "pair", self._text("pair", row), expected)
        both, before, after = np.intersect1d(
            pairs[0], pairs[1], assume_unique=True, return_indices=True
        )
        by_line = before.argsort()
        lost = len(np.union1d(pairs[0], pairs[1])) - len(both)
        said = f"{lost} of {lost + len(both)} pairs lack an arm and are left out"
        return [arms[0][before[by_line]], arms[1][after[by_line]]], (said,) if lost else ()

    def _is(self, rows: Any, column: str, text: str) -> Any:  # noqa: ANN401 (numpy loads late)
        known = self._texts[column]
        return self._codes[column][rows] == (known.index(text) if text in known else -1)

    def _text(self, column: str, row: int) -> str:
        return str(self._texts[column][self._codes[column][row]])

    def _values(self, rows: Any, column: str) -> "array[float]":  # noqa: ANN401 (numpy loads late)
        return array("d", self._numbers[column][rows].tobytes())

    def _of(self, arms: list[Any]) -> tuple["array[float]", ...]:
        if "of" not in self._numbers:
            return ()
        found = tuple(self._values(arm, "of") for arm in arms)
        return found if all(value > 0 for values in found for value in values) else ()

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
