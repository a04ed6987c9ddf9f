"""Where the level of a series changes, by a test that pays for having searched for the place."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from pipeline.stats.contrasts import Contrasts, bumps, largest, means, near, splits
from pipeline.stats.noise import CLIP, Floats, Noise, autocorrelation, noise

AHEAD = 2
"""Contrasts that may be assumed before the next is shown: steps up and down hide each other."""

_CELLS = 2_000_000  # of one array: 16 MB
_FIRST = 50  # draws at a time, so that a clear "no" ends early


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


def steps(values: Floats, search: Search) -> list[int]:
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
    while new := _next(values, found, search, rng) or _hidden(values, found, search, rng):
        found = sorted([*found, *new])
    return _in_place(values, found, search.shortest)


def _next(
    values: Floats, found: Sequence[int], search: Search, rng: np.random.Generator
) -> list[int]:
    """Return the one or two steps of the strongest contrast; none where it may be chance."""
    bounds = [0, *found, len(values)]
    about = noise(values, bounds)
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
    values: Floats, found: Sequence[int], search: Search, rng: np.random.Generator
) -> list[int]:
    """Return steps that hide each other: up and down, each is noise to a test of the other.

    A few contrasts are assumed, and those are kept that are larger than any in any draw: what was
    assumed was chosen for being large, and has taken the largest deviations out of the noise.
    """
    bounds, assumed = [0, *found, len(values)], list[int]()
    first = noise(values, bounds)
    if first is None:
        return assumed
    unexplained = first.scores - means(first.scores, bounds)
    for _ in range(AHEAD):
        about = noise(values, bounds)
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
        about = noise(values, bounds)
        if about is None:
            return assumed
        weakest, strength = min(
            ((k, _strength(about, bounds, k)) for k in assumed), key=lambda pair: pair[1]
        )
        without = [k for k in bounds if k != weakest]
        drawn = _drawn(unexplained, about.scores - means(about.scores, bounds), rng)
        contrasts = bumps(without, search.shortest)
        if len(contrasts) and drawn.is_beyond(
            strength, contrasts, without, 1 / (search.draws + 1), search.draws
        ):
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


def _strength(about: Noise, bounds: Sequence[int], k: int) -> float:
    """Return the standardized difference of levels at one of the bounds."""
    number = bounds.index(k)
    s, e = bounds[number - 1], bounds[number + 1]
    difference = float(about.bounded[k:e].mean() - about.bounded[s:k].mean())
    residuals = about.scores - means(about.scores, bounds)
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


def _in_place(values: Floats, found: Sequence[int], shortest: int) -> list[int]:
    """Return the steps, each put where it is strongest between its neighbours."""
    placed = list(found)
    for number in (*range(len(found)), *range(len(found))):
        s, k, e = [0, *placed, len(values)][number : number + 3]
        about = noise(values[s:e], [0, k - s, e - s])
        if about is None:
            continue
        room = CLIP * about.deviation
        bounded = np.clip(values[s:e], about.levels.min() - room, about.levels.max() + room)
        between = splits([0, e - s], shortest)
        _, (best,) = largest(bounded[None] / about.deviation, between, [0, e - s])
        placed[number] = s + int(between.j[best])
    return placed
