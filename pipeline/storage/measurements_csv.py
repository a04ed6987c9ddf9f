"""Read a CSV file of measurements for the command `judge`.

Columns: `pair,arm,metric,value`; optional: `unit,better,family,floor,margin,tolerance,scale,of`.
`arm` is `baseline` or `candidate`.  Values with an empty `pair` are not paired.  `family` groups
metrics that are judged together.  `scale` is `ratio` or `difference`.  `of` is the denominator of a
value that is a share of events.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pipeline.judge.rows import MetricValues
from pipeline.model.metric import (
    Better,
    InvalidMetricError,
    Metric,
    Scale,
    percent_question,
    share_question,
)
from pipeline.model.subject import Arm
from pipeline.storage.csv_file import BLOCK, Block, Column, CsvFile, GrowingArray
from pipeline.system.errors import ConfigError
from pipeline.system.sanitize import truncate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows: TypeAlias = NDArray[np.int32]

_SENTENCE = 300  # characters of a message, which may have a name from the file

MARGIN = 0.03
"""Margin of a metric without one, as a ratio."""

LARGEST = {Scale.RATIO: 1e300, Scale.DIFFERENCE: 1e150}
"""Largest absolute value: sums of values and squares of differences must be finite."""

SMALLEST_DIFFERENCE = 1e-140
"""Lower bound of a metric's largest value on the difference scale: squares of less are 0."""

MAX_EVENTS = 2.0**53
"""Largest number of events: a double cannot count further."""

_PER_METRIC = ("unit", "better", "floor", "margin", "tolerance", "scale")
"""Columns with one value per metric, in one of its rows or in all."""

_COLUMNS = (
    *map(Column, ("pair", "arm", "metric")),
    Column("value", is_number=True),
    Column("family", is_needed=False, is_key=True),
    *(Column(name, is_needed=False) for name in _PER_METRIC),
    Column("of", is_needed=False, is_number=True),
)
_ARMS = {arm.value: number for number, arm in enumerate(Arm)}
_ALLOWED: Mapping[str, Sequence[str]] = {
    "better": [better.value for better in Better],
    "scale": [scale.value for scale in Scale],
}
MAX_METRICS = 50_000
"""Maximum number of metrics in a file; judging one takes a tenth of a millisecond."""


def read(path: Path, size: int = BLOCK) -> list[MetricValues]:
    """Return the values of every metric, in the order of the file.

    Raises:
        ConfigError: The file cannot be used; the message has the line and the accepted values.
    """
    return list(_Table(CsvFile(path, _COLUMNS, size)).metrics())


class _Table:
    """The columns of a file as arrays."""

    def __init__(self, file: CsvFile) -> None:
        self._file = file
        self._numbers: defaultdict[tuple[str, str], int] = defaultdict()
        self._numbers.default_factory = self._numbers.__len__
        self._properties: dict[tuple[int, str], tuple[str, int]] = {}
        columns = [GrowingArray() for _ in range(5 if "of" in file.columns else 4)]
        for block in file.blocks():
            for column, part in zip(columns, self._read(block), strict=True):
                column.add(part)
        self._metric, self._arm, self._pair, self._value, *of = (one.to_numpy() for one in columns)
        self._of = of[0] if of else None

    def metrics(self) -> Iterator[MetricValues]:
        """Yield the values of each metric, in the order of the file."""
        import numpy as np

        order = self._metric.argsort(kind="stable").astype(np.int32)
        ends = np.searchsorted(self._metric[order], np.arange(len(self._numbers)), side="right")
        starts = [0, *ends[:-1]]
        for (family, name), start, end in zip(self._numbers, starts, ends, strict=True):
            yield self._measured(family, name, order[start:end])

    def _read(self, block: Block) -> "tuple[NDArray[np.generic], ...]":
        """Return the columns of a block as arrays, and store the properties of its metrics."""
        import numpy as np

        texts, values = block.texts, block.numbers["value"]
        rows = len(values)
        families = texts.get("family") or repeat("", rows)
        if "" in (names := texts["metric"]):
            self._file.refuse(block.first + names.index(""), "metric", "", "the name of a metric")
        keys = zip(families, names, strict=True)
        metric = np.fromiter(map(self._numbers.__getitem__, keys), np.int32, rows)
        if len(self._numbers) > MAX_METRICS:
            row = int((metric == MAX_METRICS).argmax())
            expected = f"one of the {MAX_METRICS:,} metrics before; a file has no more"
            self._file.refuse(block.first + row, "metric", texts["metric"][row], expected)
        arms = {text: _ARMS.get(text, -1) for text in set(texts["arm"])}
        arm = np.fromiter(map(arms.__getitem__, texts["arm"]), np.int8, rows)
        if (arm < 0).any():
            at = int((arm < 0).argmax())
            expected = " or ".join(f"`{name}`" for name in _ARMS)
            self._file.refuse(block.first + at, "arm", texts["arm"][at], expected)
        for column in _PER_METRIC:
            if column in texts and any(texts[column]):
                self._add_properties(block.first, column, metric.tolist(), texts[column])
        # 64-bit hashes: of ten million names, two collide in one of 400,000 files.
        pair = np.fromiter(map(hash, texts["pair"]), np.int64, rows)
        of = block.numbers.get("of")
        return (metric, arm, pair, values) if of is None else (metric, arm, pair, values, of)

    def _add_properties(
        self, first: int, column: str, metric: list[int], texts: Sequence[str]
    ) -> None:
        """Store the values of a property column; a metric may not have two different values."""
        pairs = list(zip(metric, texts, strict=True))
        new = [
            (number, text)
            for number, text in dict.fromkeys(pairs)
            if text and self._properties.get((number, column), ("", 0))[0] != text
        ]
        if not new:
            return
        allowed = _ALLOWED.get(column)
        rows = dict(zip(reversed(pairs), range(first + len(pairs) - 1, first - 1, -1), strict=True))
        for number, text in new:
            row = rows[number, text]
            if allowed and text not in allowed:
                self._file.refuse(row, column, text, " or ".join(f"`{one}`" for one in allowed))
            before, _ = self._properties.setdefault((number, column), (text, row))
            if before != text:
                expected = f"`{before}`, as in an earlier row of this metric"
                self._file.refuse(row, column, text, expected)

    def _measured(self, family: str, name: str, rows: "Rows") -> MetricValues:
        import numpy as np

        is_share = self._of is not None and not np.isnan(self._of[rows]).all()
        metric = self._metric_of(family, name, int(rows[0]), is_share=is_share)
        self._check_sizes(metric, rows)
        arms = [rows[self._arm[rows] == number] for number in _ARMS.values()]
        warnings: list[str] = []
        lost: dict[Arm, int] = {}
        without = self._pair[rows] == hash("")
        is_paired = not without.all()
        if is_paired:
            if without.any():
                expected = "the pair, as in other rows of this metric"
                self._file.refuse(int(rows[int(without.argmax())]), "pair", "", expected)
            arms, lost = self._paired(arms)
        if fewer := sum(lost.values()):
            warnings.append(f"{fewer} of {fewer + len(arms[0])} pairs lack an arm and are left out")
        of = self._events(metric, rows, arms)
        if of and metric.scale is Scale.RATIO:
            warnings.append("`of` is not used: it belongs to the scale `difference`")
            of = ()
        before, after = (array("d", self._value[arm].tobytes()) for arm in arms)
        return MetricValues(
            family, metric, before, after, is_paired, of, tuple(warnings), lost=lost
        )

    def _metric_of(self, family: str, name: str, first: int, *, is_share: bool) -> Metric:
        """Return a metric with the properties of its rows; `is_share` for a share of events."""
        number = self._numbers[family, name]
        properties = {
            column: self._properties.get((number, column), ("", first)) for column in _PER_METRIC
        }
        scale = Scale(properties["scale"][0] or Scale.RATIO)
        is_share = is_share and scale is Scale.DIFFERENCE
        margin, tolerance, floor = map(properties.__getitem__, ("margin", "tolerance", "floor"))
        may_be_percent = is_share or scale is Scale.RATIO
        for column, (text, row) in (("margin", margin), ("tolerance", tolerance)):
            if text.endswith("%") and not may_be_percent:
                hint = "write it in the unit of the value; per cent are for ratios and shares"
                self._file.refuse(row, column, text, "an amount", hint)
        margin_of = partial(self._margin, scale=scale, is_share=is_share)
        try:
            return Metric(
                name=name,
                unit=properties["unit"][0] or "1",
                better=Better(properties["better"][0] or Better.LOWER),
                margin=margin_of("margin", *margin) if margin[0] else MARGIN,
                gate=True,
                scale=scale,
                floor=self._number("floor", *floor) if floor[0] else 0.0,
                tolerance=margin_of("tolerance", *tolerance) if tolerance[0] else None,
            )
        except InvalidMetricError as error:
            place = self._file.place(properties[error.field][1])
            raise ConfigError(f"{place}: {truncate(str(error), _SENTENCE)}") from error

    def _margin(self, column: str, text: str, row: int, scale: Scale, *, is_share: bool) -> float:
        is_percent, question = text.endswith("%"), ""
        if is_percent:
            margin = self._number(column, text.removesuffix("%").rstrip(), row) / 100
        else:
            margin = self._number(column, text, row)
        if is_share:
            question = share_question(margin)
        elif scale is Scale.RATIO and not is_percent:
            question = percent_question(margin)
        if question:
            raise ConfigError(f"{self._file.place(row)}: {column}: {question}")
        return margin

    def _number(self, column: str, text: str, row: int) -> float:
        number = self._file.number(row, column, text)
        if abs(number) > LARGEST[Scale.DIFFERENCE]:
            self._file.refuse(row, column, text, f"at most {LARGEST[Scale.DIFFERENCE]:g}")
        return number

    def _check_sizes(self, metric: Metric, rows: "Rows") -> None:
        """Refuse values whose squares or sums overflow a double."""
        values, largest = self._value[rows], LARGEST[metric.scale]
        ends = [int(rows[int(values.argmin())]), int(rows[int(values.argmax())])]
        row = max(sorted(ends), key=lambda row: abs(self._value[row]))
        shown, size = f"{self._value[row]:g}", abs(self._value[row])
        if size > largest:
            expected = f"between -{largest:g} and {largest:g}"
            self._file.refuse(row, "value", shown, expected, "choose a larger unit")
        if metric.scale is Scale.DIFFERENCE and 0 < size < SMALLEST_DIFFERENCE:
            expected = f"0 or of a size from {SMALLEST_DIFFERENCE:g}"
            self._file.refuse(row, "value", shown, expected, "choose a smaller unit")

    def _paired(self, arms: "list[Rows]") -> "tuple[list[Rows], dict[Arm, int]]":
        """Return the rows of both arms by pair, and the number of pairs that each arm lacks."""
        import numpy as np

        pairs = [self._pair[arm] for arm in arms]
        for arm, names in zip(arms, pairs, strict=True):
            _, firsts = np.unique(names, return_index=True)
            if len(firsts) < len(names):
                row = int(arm[int(np.setdiff1d(np.arange(len(names)), firsts)[0])])
                expected = "a pair that this arm has once, and it is there already"
                self._file.refuse(row, "pair", self._file.lookup([row], "pair")[row], expected)
        if np.array_equal(pairs[0], pairs[1]):
            return arms, {}
        both, before, after = np.intersect1d(
            pairs[0], pairs[1], assume_unique=True, return_indices=True
        )
        by_line = before.argsort()
        lost = {
            arm: len(other) - len(both) for arm, other in zip(Arm, reversed(pairs), strict=True)
        }
        return [arms[0][before[by_line]], arms[1][after[by_line]]], lost

    def _events(
        self, metric: Metric, rows: "Rows", arms: "list[Rows]"
    ) -> "tuple[array[float], ...]":
        """Return the denominators of each value; none if no row has one."""
        import numpy as np

        if self._of is None or np.isnan(self._of[rows]).all():
            return ()
        of = self._of[rows]
        if (wrong := ~((of >= 1) & (of <= MAX_EVENTS))).any():
            row = int(rows[int(wrong.argmax())])
            shown = "" if np.isnan(self._of[row]) else f"{self._of[row]:g}"
            expected = "a number of events from 1, as each value of this metric needs"
            hint = "leave out a trial in which nothing could have happened"
            self._file.refuse(row, "of", shown, expected, hint)
        if metric.scale is Scale.DIFFERENCE:
            values = self._value[rows]
            if (wrong := (values < 0) | (values > 1)).any():
                row = int(rows[int(wrong.argmax())])
                expected = "a share from 0 to 1, as `of` makes it one"
                self._file.refuse(row, "value", f"{self._value[row]:g}", expected)
        return tuple(array("d", self._of[arm].tobytes()) for arm in arms)
