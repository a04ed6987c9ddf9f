"""Where the level of a series changes, by a test that pays for having searched for the place."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from pipeline.judge.stats.contrasts import Contrasts, bumps, largest, means, near, splits
from pipeline.judge.stats.noise import CLIP, Floats, autocorrelation, noise

AHEAD = 2
"""Contrasts that may be assumed before the next is shown: steps up and down hide each other."""

_CELLS = 2_000_000  # of one array: 16 MB
_FIRST = 50  # draws at a time, so that a clear "no" ends early
_RATIO = 7.35  # of likelihoods, twice its logarithm: -2 log(1 - sqrt(.95))
_MOST_ROOM = 700.0  # exp() of more is not a number
_NEARLY = 1e-9  # of a variance that is of size 1: the rounding of sums


@dataclass(frozen=True, slots=True)
class Search:
    """How hard to look.

    Attributes:
        split: Chance of seeing a step anywhere in a series without one, at most.
        bump: The same of a step and a step back.
        shortest: Fewest points between two steps, and from one to either end.
        draws: Of the reference distribution.
        seed: Of the draws: the same series has the same steps.
    """

    split: float
    bump: float
    shortest: int = 3
    draws: int = 299
    seed: int = 0

    def __post_init__(self) -> None:
        if self.shortest < 2 or not (0 < self.split < 1 and 0 < self.bump < 1):
            raise ValueError("search: at least two points in a segment, and chances below 1")
        if math.floor(min(self.split, self.bump) * (self.draws + 1)) < 1:
            raise ValueError(f"search: {self.draws} draws cannot show so small a chance")


_OF_SPREAD = Search(split=1 / 300, bump=1 / 300, shortest=12)
_MOST_SPREAD = 20.0  # times as much as a typical point, or as little


def steps(values: Floats, search: Search, spread: Floats) -> list[int]:
    """Return the first index of every new level, ascending; empty where no step is shown.

    Of all places in all segments so far, the one with the largest standardized difference of
    levels is tested, kept when its p is small, and so on: forward selection.  The p is that of the
    *largest* difference anywhere in series with no further step, which are what is left of this
    one, shuffled.  Where neighbours are alike, the innovations of an AR(1) fit are shuffled
    instead, so that a series that wanders must step farther than it wanders.  Splits come first,
    bumps where no split is left, then steps that hide each other.  In the end every step is put
    where it is strongest between its neighbours.

    Args:
        values: Shape (n,), finite, on the scale on which levels are set against each other:
            logarithms for ratios.  Fewer than twice `search.shortest` have no step.
        search: How hard to look.
        spread: How much each point varies, relative to the others, shape (n,): see `spreads`.

    Source:
        Permutation of the largest statistic: Antoch and Hušková, Permutation Tests in Change Point
        Analysis, Statistics and Probability Letters 53 (2001).  Under dependence: Kirch, Block
        Permutation Principles for the Change Analysis of Dependent Data, Journal of Statistical
        Planning and Inference 137 (2007); with innovations in the place of blocks, which would be
        few in a short series: Bühlmann, Sieve Bootstrap for Time Series, Bernoulli 3 (1997).  One
        step at a time, each put in its place again: Bai, Estimating Multiple Breaks One at a Time,
        Econometric Theory 13 (1997).
    """
    found: list[int] = []
    if len(values) < 2 * search.shortest:
        return found
    rng = np.random.default_rng(search.seed)
    while new := (
        _next(values, spread, found, search, rng) or _hidden(values, spread, found, search, rng)
    ):
        found = sorted([*found, *new])
    return in_place(values, spread, found, search.shortest)


def spreads(values: Floats, seed: int = 0) -> Floats:
    """Return how much each point of a series varies, relative to the others; 1 where all do alike.

    Levels must not matter, so it is the differences of neighbours that are looked at: a change of
    their size is searched for as a change of a level is.

    Args:
        values: Shape (n,), finite; the result has the same shape.
        seed: Of the draws.
    """
    n = len(values)
    found = np.ones(n)
    if n < 2 * _OF_SPREAD.shortest + 1:
        return found
    sizes = np.sqrt(np.abs(np.diff(values)))  # of about equal variance whatever their level
    if not sizes.any():
        return found
    rng, alike, bounds = np.random.default_rng(seed), np.ones(n - 1), list[int]()
    while new := _next(sizes, alike, bounds, _OF_SPREAD, rng):
        bounds = sorted([*bounds, *new])
    if not bounds:
        return found
    typical_sizes = means(sizes, [0, *bounds, n - 1]) ** 2
    found = np.append(typical_sizes[:1], typical_sizes)
    typical = float(np.median(found))
    if typical <= 0:
        return np.ones(n)
    relative: Floats = np.clip(found / typical, 1 / _MOST_SPREAD, _MOST_SPREAD)
    return relative


def _next(
    values: Floats,
    spread: Floats,
    found: Sequence[int],
    search: Search,
    rng: np.random.Generator,
) -> list[int]:
    """Return the one or two steps of the strongest contrast; none where it may be chance."""
    bounds = [0, *found, len(values)]
    about = noise(values, bounds, spread)
    if about is None:
        return []
    for kind, level in ((splits, search.split), (bumps, search.bump)):
        contrasts = kind(bounds, search.shortest)
        if not len(contrasts):
            continue
        statistic, new = _strongest(about.scores, contrasts, bounds, search.shortest)
        left = about.scores - means(about.scores, sorted({*bounds, *new}))
        drawn = _drawn(about.scores - means(about.scores, bounds), left, rng)
        if drawn.is_beyond(statistic, contrasts, bounds, level, search.draws):
            return new
    return []


def _hidden(
    values: Floats,
    spread: Floats,
    found: Sequence[int],
    search: Search,
    rng: np.random.Generator,
) -> list[int]:
    """Return steps that hide each other: up and down, each is noise to a test of the other.

    A few contrasts are assumed, and those are kept that are larger than any in any draw.  Their
    strength is measured on the same bounded scores that the draws are made of: scores about the
    assumed levels would be larger, and of two modes each would then look like a level.
    """
    bounds, assumed = [0, *found, len(values)], list[int]()
    first = noise(values, bounds, spread)
    if first is None:
        return assumed
    unexplained = first.scores - means(first.scores, bounds)
    for _ in range(AHEAD):
        about = noise(values, bounds, spread)
        if about is None:
            break
        kinds = [kind(bounds, search.shortest) for kind in (splits, bumps)]
        options = [
            _strongest(about.scores, contrasts, bounds, search.shortest)
            for contrasts in kinds
            if len(contrasts)
        ]
        if not options:
            break
        assumed += max(options)[1]
        bounds = sorted([0, *found, *assumed, len(values)])
    while assumed:
        bounds = sorted([0, *found, *assumed, len(values)])
        weakest, strength = min(
            ((k, _strength(first.scores, bounds, k)) for k in assumed), key=lambda pair: pair[1]
        )
        without = [k for k in bounds if k != weakest]
        drawn = _drawn(unexplained, first.scores - means(first.scores, bounds), rng)
        contrasts = bumps(without, search.shortest)
        if not len(contrasts):
            contrasts = splits(without, search.shortest)
        if drawn.is_beyond(strength, contrasts, without, 1 / (search.draws + 1), search.draws):
            return assumed
        assumed.remove(weakest)
    return []


def _strongest(
    scores: Floats, contrasts: Contrasts, bounds: Sequence[int], shortest: int
) -> tuple[float, list[int]]:
    """Return the largest contrast and the steps that it adds."""
    (statistic,), (best,) = largest(scores[None], contrasts, bounds)
    if contrasts.i[best] > contrasts.s[best]:
        contrasts = near(contrasts, int(best), shortest)
        _, (best,) = largest(scores[None], contrasts, bounds)
    ends = {int(contrasts.i[best]), int(contrasts.j[best])}
    return float(statistic), sorted(ends - set(bounds))


def _strength(scores: Floats, bounds: Sequence[int], k: int) -> float:
    """Return the standardized difference of levels at one of the bounds."""
    number = bounds.index(k)
    s, e = bounds[number - 1], bounds[number + 1]
    difference = float(scores[k:e].mean() - scores[s:k].mean())
    residuals = scores - means(scores, bounds)
    deviation = math.sqrt(float(residuals @ residuals) / max(1, len(residuals) - len(bounds) + 1))
    return abs(difference) * math.sqrt((k - s) * (e - k) / (e - s)) / max(deviation, 1e-9)


def _drawn(without: Floats, left: Floats, rng: np.random.Generator) -> "_Drawn":
    """Return what to compare a statistic with.

    Of independent points every order is as likely where nothing happens, which makes the test
    exact.  How alike neighbours are is only seen once the steps in question are taken away.

    Args:
        without: Shape (n,), residuals of the levels without the steps in question.
        left: Shape (n,), residuals of the levels with them.
        rng: Of the draws.
    """
    rho = autocorrelation(left)
    return _Drawn(left if rho else without, rho, rng)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Series like one in which nothing happens.

    Attributes:
        residuals: Shape (n,), what is left of it beside its levels.
        rho: Their autocorrelation.
        rng: Of the draws.
    """

    residuals: Floats
    rho: float
    rng: np.random.Generator

    def is_beyond(
        self,
        statistic: float,
        contrasts: Contrasts,
        bounds: Sequence[int],
        level: float,
        draws: int,
    ) -> bool:
        """Whether the largest contrast of such a series is as large with this chance at most.

        Source:
            p = (b + 1) / (draws + 1), b draws being as large: Phipson and Smyth, Permutation
            P-values Should Never Be Zero, Stat. Appl. Genet. Mol. Biol. 9 (2010).
        """
        allowed = math.floor(level * (draws + 1) + 1e-9) - 1
        if allowed < 0:
            return False
        at_once = max(1, _CELLS // max(len(contrasts), len(self.residuals)))
        as_large = done = 0
        while done < draws and as_large <= allowed:
            rows = min(draws - done, _FIRST, at_once)
            found, _ = largest(self._rows(rows), contrasts, bounds)
            as_large += int((found >= statistic).sum())
            done += rows
        return as_large <= allowed

    def _rows(self, rows: int) -> Floats:
        n, rho = len(self.residuals), self.rho
        if not rho:
            return self.rng.permuted(np.broadcast_to(self.residuals, (rows, n)), axis=1)
        innovations = self.residuals[1:] - rho * self.residuals[:-1]
        innovations -= innovations.mean()
        whole = np.append(innovations, self.rng.choice(innovations))
        drawn = self.rng.permuted(np.broadcast_to(whole, (rows, n)), axis=1)
        drawn[:, 0] /= math.sqrt(1 - rho * rho)  # the first point varies as all others do
        filtered: Floats = lfilter([1.0], [1.0, -rho], drawn, axis=1)
        return filtered


def in_place(values: Floats, spread: Floats, found: Sequence[int], shortest: int) -> list[int]:
    """Return the steps, each put where it is strongest between its neighbours.

    Between two steps there are `shortest` points; before the first and after the last there may be
    fewer, because what happened last night is not to be dated to three nights ago.
    """
    placed = list(found)
    for number in (*range(len(found)), *range(len(found))):
        s, k, e = [0, *placed, len(values)][number : number + 3]
        costs = _costs(values[s:e], spread[s:e], k - s)
        if costs is None:
            continue
        first = shortest if s else 1
        last = e - s - (shortest if e < len(values) else 1)
        placed[number] = s + first + int(costs[first - 1 : last].argmin())
    return placed


def ranges(values: Floats, spread: Floats, found: Sequence[int]) -> list[tuple[int, int]]:
    """Return for every step the first and the last index at which it may have begun, with 95 %.

    Source:
        Inverting the likelihood ratio: Eo and Morley, Likelihood-Ratio-Based Confidence Sets for
        the Timing of Structural Breaks, Quantitative Economics 6 (2015), whose critical value
        does not depend on the size of the step.
    """
    bounds = [0, *found, len(values)]
    told: list[tuple[int, int]] = []
    for number, k in enumerate(found):
        s, e = bounds[number], bounds[number + 2]
        costs = _costs(values[s:e], spread[s:e], k - s)
        if costs is None:
            told.append((k, k))
            continue
        chosen = float(costs[k - s - 1])
        about = noise(values[s:e], [0, k - s, e - s], spread[s:e])
        rho = autocorrelation(about.scores - means(about.scores, [0, k - s, e - s])) if about else 0
        room = min(_RATIO * (1 + rho) / (1 - rho) / (e - s), _MOST_ROOM)
        inside = np.flatnonzero(costs <= chosen * math.exp(room) + _NEARLY)
        told.append((min(k, s + 1 + int(inside[0])), max(k, s + 1 + int(inside[-1]))))
    return told


def _costs(values: Floats, spread: Floats, k: int) -> Floats | None:
    """Return what is left of a stretch without two levels, for each place of the step from 1.

    Args:
        values: Shape (n,).
        spread: Shape (n,).
        k: Where the step is thought to be: spikes are cut off beside the levels that it makes.
    """
    about = noise(values, [0, k, len(values)], spread)
    if about is None:
        return None
    room = CLIP * about.deviations
    lowest, highest = about.levels.min(), about.levels.max()
    bounded = np.clip(values, lowest - room, highest + room) - lowest
    weights = about.deviations**-2.0
    sums = np.cumsum(weights), np.cumsum(weights * bounded), np.cumsum(weights * bounded**2)
    total, first, second = (float(one[-1]) for one in sums)
    w, wx = sums[0][:-1], sums[1][:-1]
    costs: Floats = second - wx**2 / w - (first - wx) ** 2 / (total - w)
    return np.maximum(costs, 0.0)
