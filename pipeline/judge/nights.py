"""Compare two nights of a history, and say which metrics differ by more than chance.

Both nights are relative to one reference build, so their difference is that of the two candidates.
The noise is that between consecutive nights: it has everything in it that differs from night to
night, which the spread of the pairs within a night has not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pipeline.judge.constants import CONFIDENCE, FAMILY_ALPHA
from pipeline.judge.history import MIN_CHANGE, MIN_POINTS
from pipeline.judge.scale import bounded_exponent
from pipeline.judge.stats.noise import Floats, robust_deviation
from pipeline.judge.stats.student import quantile
from pipeline.model.metric import Better, Scale
from pipeline.model.nights import Night, NightValue

NOISE_NIGHTS = 60
"""Number of newest nights whose noise is used."""

_FREEDOM_SHARE = 1 / 3
"""Degrees of freedom of a spread per difference of nights: the median absolute deviation has 37 %
of the efficiency of the standard deviation (Huber, Robust Statistics, 1981)."""

_ROUNDING = 1e-12  # relative to the largest value: a spread below it is the rounding of doubles


@dataclass(frozen=True, slots=True)
class NightChange:
    """The change of one metric between two nights.

    Attributes:
        key: `workload/metric`.
        change: Ratio (0.05 is +5 %), or amount in `unit`.
        is_beyond_chance: True if it is larger than the noise between nights explains.
    """

    key: str
    change: float
    scale: Scale
    unit: str
    is_worse: bool
    is_beyond_chance: bool


@dataclass(frozen=True, slots=True)
class EarlierNight:
    """What differs beyond chance between a night and an earlier one.

    Attributes:
        worse: Number of metrics that are worse now.
        better: Number of metrics that are better now.
        clearest: The changes that are largest in relation to the noise, the clearest first.
    """

    worse: int
    better: int
    clearest: tuple[NightChange, ...]


class NightTable:
    """The nights of one stretch as numbers: nights in rows, metrics in columns.

    A metric has a column for each scale and unit that it had: two of them are not compared.
    """

    def __init__(self, nights: Sequence[Night]) -> None:
        columns = {
            (key, value.kind): value for night in nights for key, value in night.values.items()
        }
        self._columns = {column: number for number, column in enumerate(columns)}
        self._facts = list(columns.values())
        self._values = np.full((len(nights), len(columns)), np.nan)
        self._is_lower_better = np.zeros(self._values.shape, dtype=bool)
        for row, night in enumerate(nights):
            for key, value in night.values.items():
                is_ratio = value.scale is Scale.RATIO
                position = math.log(value.value) if is_ratio else value.value
                column = self._columns[key, value.kind]
                self._values[row, column] = position
                self._is_lower_better[row, column] = value.better is Better.LOWER
        self._keys = [key for key, _ in columns]
        least = [math.log1p(MIN_CHANGE) if one.scale is Scale.RATIO else 0 for one in self._facts]
        self._least = np.array(least)
        self._known: tuple[int, Floats] = (-1, np.empty(0))

    def changes(self, earlier: int, later: int) -> dict[str, NightChange]:
        """Return the change of every metric that both nights have, by its key."""
        difference = self._differences(later, slice(earlier, earlier + 1))[0]
        beyond = self._is_beyond(difference, self.thresholds(later))
        return {
            self._keys[column]: self._change(later, column, difference, beyond)
            for column in np.flatnonzero(np.isfinite(difference)).tolist()
        }

    def beyond_chance(self, later: int, most: int) -> list[EarlierNight]:
        """Return what differs from each row before `later`; at most `most` changes have a size."""
        thresholds = self.thresholds(later)
        differences = self._differences(later, slice(later))
        beyond = self._is_beyond(differences, thresholds)
        is_up_worse = self._is_lower_better[later]
        worse = (beyond & ((differences > 0) == is_up_worse)).sum(axis=1).tolist()
        numbers = beyond.sum(axis=1).tolist()
        with np.errstate(divide="ignore", invalid="ignore"):  # of a metric that never varied
            clearness = np.where(beyond, np.abs(differences) / thresholds, -1.0)
        order = np.argsort(-clearness, axis=1, kind="stable")[:, :most].tolist()
        return [
            EarlierNight(
                worse[row],
                number - worse[row],
                tuple(
                    self._change(later, column, differences[row], beyond[row])
                    for column in order[row][:number]
                ),
            )
            for row, number in enumerate(numbers)
        ]

    def thresholds(self, later: int) -> Floats:
        """Return the largest change of each metric that chance explains, on the test scale.

        It uses the nights up to `later` alone, so that a page stays the same when nights are added.
        The result has the shape (metrics,); it is infinite where there are too few nights.
        """
        if later == self._known[0]:
            return self._known[1]
        first = max(0, later + 1 - NOISE_NIGHTS)
        window = self._values[first : later + 1]
        steps = np.diff(window, axis=0)
        numbers = np.isfinite(steps).sum(axis=0)
        tests = max(1, int(np.isfinite(self._values[later]).sum()))
        limits = np.full(window.shape[1], np.inf)
        for number in set(numbers[numbers >= MIN_POINTS - 1].tolist()):
            columns = np.flatnonzero(numbers == number)
            found = steps[:, columns].T
            differences = found[np.isfinite(found)].reshape(len(columns), number)
            sizes = np.nanmax(np.abs(window[:, columns]), axis=0)
            limits[columns] = _critical_value(number, tests) * _spreads(differences, sizes)
        self._known = later, limits  # a page asks several times for one night
        return limits

    def _differences(self, later: int, rows: slice) -> Floats:
        """Return the differences to earlier rows, shape (rows, metrics); 0 where it is rounding."""
        before, after = self._values[rows], self._values[later]
        differences: Floats = after - before
        rounding = _ROUNDING * np.maximum(np.abs(before), np.abs(after))
        with np.errstate(invalid="ignore"):  # a missing value stays missing
            differences[np.abs(differences) <= rounding] = 0.0
        return differences

    def _is_beyond(self, differences: Floats, thresholds: Floats) -> "np.typing.NDArray[np.bool_]":
        sizes = np.abs(differences)
        with np.errstate(invalid="ignore"):  # a missing value is beyond nothing
            found: np.typing.NDArray[np.bool_] = (
                (sizes > thresholds) & (sizes >= self._least) & (sizes > 0)
            )
        return found

    def _change(
        self, later: int, column: int, differences: Floats, beyond: "np.typing.NDArray[np.bool_]"
    ) -> NightChange:
        fact, difference = self._facts[column], float(differences[column])
        return NightChange(
            self._keys[column],
            math.expm1(bounded_exponent(difference)) if fact.scale is Scale.RATIO else difference,
            fact.scale,
            fact.unit,
            is_worse=(difference > 0) == bool(self._is_lower_better[later, column]),
            is_beyond_chance=bool(beyond[column]),
        )


def night_interval(one: NightValue) -> tuple[float, float] | None:
    """Return the interval of a night's change against the reference; None if it is unknown.

    It is that of the pairs of the night: ratios (0.05 is +5 %), or amounts.
    """
    if one.variance is None or one.degrees_of_freedom is None:
        return None
    half = _two_sided(one.degrees_of_freedom) * math.sqrt(one.variance / one.pairs)
    if one.scale is Scale.DIFFERENCE:
        return one.value - half, one.value + half
    middle = math.log(one.value)
    low, high = (math.expm1(bounded_exponent(middle + end)) for end in (-half, half))
    return low, high


def _spreads(differences: Floats, sizes: Floats) -> Floats:
    """Return the robust standard deviation of each metric; 0 where all variation is rounding.

    Args:
        differences: Differences of consecutive nights, shape (metrics, n).
        sizes: Largest absolute value of each metric, shape (metrics,).
    """
    return np.array(
        [
            robust_deviation(row, least)
            for row, least in zip(differences, _ROUNDING * sizes, strict=True)
        ]
    )


@lru_cache(maxsize=4096)
def _critical_value(differences: int, tests: int) -> float:
    """Return the two-sided critical value, so that of equal nights 5 % show any difference.

    Source:
        Bonferroni's inequality, for the number of metrics of a night.
    """
    degrees_of_freedom = max(1.0, differences * _FREEDOM_SHARE)
    return quantile(1 - FAMILY_ALPHA / (2 * tests), degrees_of_freedom)


@lru_cache(maxsize=256)
def _two_sided(degrees_of_freedom: int) -> float:
    return quantile((1 + CONFIDENCE) / 2, degrees_of_freedom)
