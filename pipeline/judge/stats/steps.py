"""Steps of a series: where its level changes, by a permutation test of the largest change."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from pipeline.judge.stats.contrasts import (
    Contrasts,
    bumps,
    largest_contrast,
    nearby_bumps,
    segment_means,
    splits,
)
from pipeline.judge.stats.noise import CLIP, Floats, autocorrelation, robust_residuals

MAX_ASSUMED_CONTRASTS = 2
"""Number of contrasts tested together: a step up and a step down can hide each other."""

_MAX_CELLS = 2_000_000  # of one array: 16 MB
_BATCH = 50  # draws at a time, so that a clear "no" ends early
_LIKELIHOOD_RATIO = 7.35  # critical value of twice the log likelihood ratio: -2 log(1 - sqrt(.95))
_MAX_EXPONENT = 700.0  # exp() of more is not a number
_ROUNDING = 1e-9  # relative: the rounding of sums


@dataclass(frozen=True, slots=True)
class StepSearch:
    """Parameters of a search for steps.

    Attributes:
        split: Largest probability of finding a step anywhere in a series without one.
        bump: The same for a step and a step back.
        shortest: Smallest number of points between two steps, and from a step to either end.
        draws: Number of draws of the reference distribution.
        seed: Random seed of the draws: the same series has the same steps.
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


_SPREAD_SEARCH = StepSearch(split=1 / 300, bump=1 / 300, shortest=12)
_MAX_SPREAD = 20.0  # relative to a typical point; the smallest is its inverse


def find_steps(values: Floats, search: StepSearch, spread: Floats) -> list[int]:
    """Return the first index of every new level, ascending; empty if no step is significant.

    This is forward selection: the place with the largest standardized difference of levels is
    tested, and kept if its p value is small, and so on.  The p value is that of the *largest*
    difference anywhere in series without a further step; these are the residuals, shuffled.  With
    autocorrelation, the innovations of an AR(1) fit are shuffled instead.  Splits are tested
    first, then bumps, then steps that hide each other.  At the end every step is moved to where
    it is strongest between its neighbours, and left out if that is too near to an end: two bad
    nights are no new level yet.

    Args:
        values: Shape (n,), finite, on the scale on which levels are compared: logarithms for
            ratios.  Fewer than twice `search.shortest` points have no step.
        search: Parameters of the search.
        spread: Relative standard deviation of each point, shape (n,), from `relative_spreads`.

    Source:
        Permutation of the largest statistic: Antoch and Hušková, Permutation Tests in Change Point
        Analysis, Statistics and Probability Letters 53 (2001).  Under dependence: Kirch, Block
        Permutation Principles for the Change Analysis of Dependent Data, Journal of Statistical
        Planning and Inference 137 (2007); with innovations instead of blocks, which would be few
        in a short series: Bühlmann, Sieve Bootstrap for Time Series, Bernoulli 3 (1997).  One
        step at a time, each refined again: Bai, Estimating Multiple Breaks One at a Time,
        Econometric Theory 13 (1997).
    """
    steps: list[int] = []
    if len(values) < 2 * search.shortest:
        return steps
    rng = np.random.default_rng(search.seed)
    while new := (
        _next_steps(values, spread, steps, search, rng)
        or _hidden_steps(values, spread, steps, search, rng)
    ):
        steps = sorted([*steps, *new])
    refined = refine_positions(values, spread, steps, search.shortest)
    return [k for k in refined if search.shortest <= k <= len(values) - search.shortest]


def relative_spreads(values: Floats, seed: int = 0) -> Floats:
    """Return the relative standard deviation of each point, shape (n,); 1 if it does not change.

    It is computed from the differences of neighbours, so that levels do not matter: a change of
    their size is searched for in the same way as a change of a level.
    """
    n = len(values)
    equal = np.ones(n)
    if n < 2 * _SPREAD_SEARCH.shortest + 1:
        return equal
    sizes = np.sqrt(np.abs(np.diff(values)))  # of about equal variance whatever their level
    if not sizes.any():
        return equal
    rng, alike, bounds = np.random.default_rng(seed), np.ones(n - 1), list[int]()
    while new := _next_steps(sizes, alike, bounds, _SPREAD_SEARCH, rng):
        bounds = sorted([*bounds, *new])
    if not bounds:
        return equal
    typical_sizes = segment_means(sizes, [0, *bounds, n - 1]) ** 2
    spread = np.append(typical_sizes[:1], typical_sizes)
    typical = float(np.median(spread))
    if typical <= 0:
        return np.ones(n)
    relative: Floats = np.clip(spread / typical, 1 / _MAX_SPREAD, _MAX_SPREAD)
    return relative


def _next_steps(
    values: Floats,
    spread: Floats,
    known: Sequence[int],
    search: StepSearch,
    rng: np.random.Generator,
) -> list[int]:
    """Return the one or two steps of the strongest contrast; none if it is not significant."""
    bounds = [0, *known, len(values)]
    robust = robust_residuals(values, bounds, spread)
    if robust is None:
        return []
    for kind, level in ((splits, search.split), (bumps, search.bump)):
        contrasts = kind(bounds, search.shortest)
        if not len(contrasts):
            continue
        statistic, new = _strongest(robust.scores, contrasts, bounds, search.shortest)
        left = robust.scores - segment_means(robust.scores, sorted({*bounds, *new}))
        reference = _Reference(robust.scores - segment_means(robust.scores, bounds), left, rng)
        if reference.is_significant(statistic, contrasts, bounds, level, search.draws):
            return new
    return []


def _hidden_steps(
    values: Floats,
    spread: Floats,
    known: Sequence[int],
    search: StepSearch,
    rng: np.random.Generator,
) -> list[int]:
    """Return steps that hide each other: a step up is noise to the test of a step down.

    A few contrasts are assumed, and those that are larger than any in any draw are kept.  Their
    strength is measured on the same clipped scores that the draws are made of: scores about the
    assumed levels would be larger, and each of two modes would then look like a level.
    """
    bounds, assumed = [0, *known, len(values)], list[int]()
    first = robust_residuals(values, bounds, spread)
    if first is None:
        return assumed
    unexplained = first.scores - segment_means(first.scores, bounds)
    for _ in range(MAX_ASSUMED_CONTRASTS):
        robust = robust_residuals(values, bounds, spread)
        if robust is None:
            break
        kinds = [kind(bounds, search.shortest) for kind in (splits, bumps)]
        options = [
            _strongest(robust.scores, contrasts, bounds, search.shortest)
            for contrasts in kinds
            if len(contrasts)
        ]
        if not options:
            break
        assumed += max(options)[1]
        bounds = sorted([0, *known, *assumed, len(values)])
    while assumed:
        bounds = sorted([0, *known, *assumed, len(values)])
        weakest, strength = min(
            ((k, _strength(first.scores, bounds, k)) for k in assumed), key=lambda pair: pair[1]
        )
        without = [k for k in bounds if k != weakest]
        reference = _Reference(unexplained, first.scores - segment_means(first.scores, bounds), rng)
        contrasts = bumps(without, search.shortest)
        if not len(contrasts):
            contrasts = splits(without, search.shortest)
        if reference.is_significant(
            strength, contrasts, without, 1 / (search.draws + 1), search.draws
        ):
            return assumed
        assumed.remove(weakest)
    return []


def _strongest(
    scores: Floats, contrasts: Contrasts, bounds: Sequence[int], shortest: int
) -> tuple[float, list[int]]:
    """Return the largest standardized contrast and the steps that it adds."""
    (statistic,), (best,) = largest_contrast(scores[None], contrasts, bounds)
    if contrasts.i[best] > contrasts.s[best]:
        contrasts = nearby_bumps(contrasts, int(best), shortest)
        _, (best,) = largest_contrast(scores[None], contrasts, bounds)
    ends = {int(contrasts.i[best]), int(contrasts.j[best])}
    return float(statistic), sorted(ends - set(bounds))


def _strength(scores: Floats, bounds: Sequence[int], k: int) -> float:
    """Return the standardized difference of levels at bound k."""
    number = bounds.index(k)
    s, e = bounds[number - 1], bounds[number + 1]
    difference = float(scores[k:e].mean() - scores[s:k].mean())
    residuals = scores - segment_means(scores, bounds)
    deviation = math.sqrt(float(residuals @ residuals) / max(1, len(residuals) - len(bounds) + 1))
    return abs(difference) * math.sqrt((k - s) * (e - k) / (e - s)) / max(deviation, 1e-9)


@dataclass(frozen=True, slots=True)
class _Reference:
    """The reference distribution for a statistic: series without the steps in question.

    Without steps every order of independent points is equally likely, which makes the test exact.
    The autocorrelation is estimated with the steps in question, which would inflate it.

    Attributes:
        without: Residuals about the levels without the steps in question, shape (n,).
        with_steps: Residuals about the levels with them, shape (n,).
        rng: Random generator of the draws.
    """

    without: Floats
    with_steps: Floats
    rng: np.random.Generator

    def is_significant(
        self,
        statistic: float,
        contrasts: Contrasts,
        bounds: Sequence[int],
        level: float,
        draws: int,
    ) -> bool:
        """Return True if p is at most `level`, p being that of the largest contrast of such series.

        Source:
            p = (b + 1) / (draws + 1), where b draws are as large: Phipson and Smyth, Permutation
            P-values Should Never Be Zero, Stat. Appl. Genet. Mol. Biol. 9 (2010).
        """
        allowed = math.floor(level * (draws + 1) + 1e-9) - 1
        if allowed < 0:
            return False
        at_once = max(1, _MAX_CELLS // max(len(contrasts), len(self.without)))
        as_large = done = 0
        statistic *= 1 - _ROUNDING  # the same points in another order are as large
        while done < draws and as_large <= allowed:
            rows = min(draws - done, _BATCH, at_once)
            drawn, _ = largest_contrast(self._rows(rows), contrasts, bounds)
            as_large += int((drawn >= statistic).sum())
            done += rows
        return as_large <= allowed

    def _rows(self, rows: int) -> Floats:
        """Return drawn series, shape (rows, n)."""
        n, rho = len(self.without), autocorrelation(self.with_steps)
        if not rho:
            return self.rng.permuted(np.broadcast_to(self.without, (rows, n)), axis=1)
        innovations = self.with_steps[1:] - rho * self.with_steps[:-1]
        innovations -= innovations.mean()
        whole = np.append(innovations, self.rng.choice(innovations))
        drawn = self.rng.permuted(np.broadcast_to(whole, (rows, n)), axis=1)
        drawn[:, 0] /= math.sqrt(1 - rho * rho)  # the first point varies as all others do
        filtered: Floats = lfilter([1.0], [1.0, -rho], drawn, axis=1)
        return filtered


def refine_positions(
    values: Floats, spread: Floats, steps: Sequence[int], shortest: int
) -> list[int]:
    """Return the steps, each moved to where it is strongest between its neighbours.

    Two steps stay at least `shortest` points apart.  Before the first and after the last step there
    may be fewer points, so that a step of last night is not dated to three nights ago; `find_steps`
    leaves it out.
    """
    placed = list(steps)
    for number in (*range(len(steps)), *range(len(steps))):
        s, k, e = [0, *placed, len(values)][number : number + 3]
        costs = _costs(values[s:e], spread[s:e], k - s)
        if costs is None:
            continue
        first = shortest if s else 1
        last = e - s - (shortest if e < len(values) else 1)
        placed[number] = s + first + int(costs[first - 1 : last].argmin())
    return placed


def position_ranges(values: Floats, spread: Floats, steps: Sequence[int]) -> list[tuple[int, int]]:
    """Return the 95 % confidence range of each step: its (first, last) possible index.

    Source:
        Inverting the likelihood ratio: Eo and Morley, Likelihood-Ratio-Based Confidence Sets for
        the Timing of Structural Breaks, Quantitative Economics 6 (2015), whose critical value
        does not depend on the size of the step.
    """
    bounds = [0, *steps, len(values)]
    position_sets: list[tuple[int, int]] = []
    for number, k in enumerate(steps):
        s, e = bounds[number], bounds[number + 2]
        costs = _costs(values[s:e], spread[s:e], k - s)
        if costs is None:
            position_sets.append((k, k))
            continue
        chosen = float(costs[k - s - 1])
        robust = robust_residuals(values[s:e], [0, k - s, e - s], spread[s:e])
        rho = (
            autocorrelation(robust.scores - segment_means(robust.scores, [0, k - s, e - s]))
            if robust
            else 0
        )
        room = min(_LIKELIHOOD_RATIO * (1 + rho) / (1 - rho) / (e - s), _MAX_EXPONENT)
        inside = np.flatnonzero(costs <= chosen * math.exp(room) + _ROUNDING)
        position_sets.append((min(k, s + 1 + int(inside[0])), max(k, s + 1 + int(inside[-1]))))
    return position_sets


def _costs(values: Floats, spread: Floats, k: int) -> Floats | None:
    """Return the residual sum of squares of a step at each index from 1, shape (n - 1,).

    `k` is the presumed index of the step; spikes about the two levels that it makes are clipped.
    """
    robust = robust_residuals(values, [0, k, len(values)], spread)
    if robust is None:
        return None
    room = CLIP * robust.deviations
    lowest, highest = robust.levels.min(), robust.levels.max()
    bounded = np.clip(values, lowest - room, highest + room) - lowest
    weights = robust.deviations**-2.0
    sums = np.cumsum(weights), np.cumsum(weights * bounded), np.cumsum(weights * bounded**2)
    total, first, second = (float(one[-1]) for one in sums)
    w, wx = sums[0][:-1], sums[1][:-1]
    costs: Floats = second - wx**2 / w - (first - wx) ** 2 / (total - w)
    return np.maximum(costs, 0.0)
