"""The position of changes in a sequence of builds: a posterior by measured effect sizes.

Positions are 1 to n.  The build at position 0 is the one that all others are measured against, so
its level is 0.  The level stays until a build changes it; most often one build does.
"""

import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pipeline.judge.stats.student import quantile

MORE_CAUSES = 0.1
"""Prior probability that a change has one more cause, each time."""

MAX_CAUSES = 3
"""Largest number of causes that are distinguished at once."""

_NODES = 16  # values of the variance that are averaged over
_ROUNDING = 1e-9  # relative: changes that differ by less are equal


@dataclass(frozen=True, slots=True)
class MeasuredBuild:
    """The differences of one build from the build at position 0.

    Attributes:
        position: Position of the build, from 1.
        differences: One value for each pair, on any scale; at least one.
        is_copy: True if they are those of an equal build, so that they say nothing about the
            variance.
    """

    position: int
    differences: tuple[float, ...]
    is_copy: bool = False

    @property
    def mean(self) -> float:
        """Mean of the differences."""
        return math.fsum(self.differences) / len(self.differences)

    @property
    def squares(self) -> float:
        """Sum of the squared deviations from the mean."""
        mean = self.mean
        return math.fsum((value - mean) ** 2 for value in self.differences)


@dataclass(frozen=True, slots=True)
class PairVariance:
    """The variance of the differences of one build, with its degrees of freedom."""

    variance: float
    degrees_of_freedom: float

    def standard_error(self, pairs: int) -> float:
        """Return the standard error of the mean of a number of pairs."""
        return math.sqrt(self.variance / pairs)

    def half_width(self, pairs: int, confidence: float) -> float:
        """Return half the width of the two-sided t interval of the mean of a number of pairs."""
        factor = quantile((1 + confidence) / 2, self.degrees_of_freedom)
        return factor * self.standard_error(pairs)


@dataclass(frozen=True, slots=True)
class ChangePosterior:
    """Where the largest change is.

    Attributes:
        ends: Position of 0 and of each measured build, rising, shape (r + 1,).
        shares: Probability that the largest change is after one end, up to and including the next;
            shape (r,).
        none: Probability that there is no further change.
    """

    ends: tuple[int, ...]
    shares: tuple[float, ...]
    none: float

    @property
    def best(self) -> int:
        """Index of the most probable gap."""
        return max(range(len(self.shares)), key=lambda gap: self.shares[gap])

    def gap(self, index: int) -> tuple[int, int]:
        """Return the positions between which a gap is: after the first, up to the second."""
        return self.ends[index], self.ends[index + 1]

    def before(self, position: int) -> float:
        """Return the probability that the largest change is at a position or before it.

        Within a gap all positions are equally probable.
        """
        total = 0.0
        for (low, high), share in zip(itertools.pairwise(self.ends), self.shares, strict=True):
            total += share * min(1.0, max(0.0, (position - low) / (high - low)))
        return total


def pooled_variance(builds: Sequence[MeasuredBuild], prior: PairVariance) -> PairVariance:
    """Return the variance of a pair by all builds and the prior.

    Variances within builds are weighted by their degrees of freedom, and so is the prior.

    Source:
        Smyth, Statist. Appl. Genet. Mol. Biol. 3 (2004), section 3.
    """
    own = [build for build in builds if not build.is_copy]
    total = prior.degrees_of_freedom + sum(len(build.differences) - 1 for build in own)
    squares = math.fsum(build.squares for build in own)
    return PairVariance((prior.degrees_of_freedom * prior.variance + squares) / total, total)


def change_posterior(
    builds: Sequence[MeasuredBuild],
    prior: PairVariance,
    scale: float,
    known: Collection[int] = (),
) -> ChangePosterior:
    """Return where the largest change is, given what was measured.

    One to three builds change the level; each is equally probable at every position, and each level
    after a change is normal about 0.  The variance of a pair is unknown: it is averaged over.

    Args:
        builds: Measured builds by position; the last is that of position n.
        prior: Variance of a pair in earlier runs, above 0, with at least 1 degree of freedom.
        scale: Standard deviation of a level after a change, above 0.
        known: Positions of changes that are not looked for again.

    Source:
        Bisection by a posterior: Waeber, Frazier and Henderson, Bisection Search with Noisy
        Responses, SIAM J. Control Optim. 51 (2013).  Marginal likelihoods of segments: Fearnhead,
        Exact and Efficient Bayesian Inference for Multiple Changepoint Problems, Statistics and
        Computing 16 (2006).
    """
    import numpy as np

    ends = (0, *(build.position for build in builds))
    number = len(builds)
    variances = _variance_nodes(pooled_variance(builds, prior))
    runs = _runs_of_builds(builds, variances, scale)
    gaps = np.diff(ends)
    sign = math.copysign(1.0, builds[-1].mean)
    total = np.zeros(number + 1)
    parts = []
    for starts in _starts(number):
        causes = starts.shape[1]
        bounds = np.column_stack([starts, np.full(len(starts), number)])
        score = runs.unchanged[bounds[:, 0]]
        level = np.zeros_like(score)
        steps = np.empty(starts.shape)
        for cause in range(causes):
            one = bounds[:, cause], bounds[:, cause + 1]
            score = score + runs.likelihoods[one]
            steps[:, cause] = sign * (runs.levels[one] - level).mean(axis=1)
            level = runs.levels[one]
        ways = np.log(gaps[starts] / ends[-1]).sum(axis=1) + math.lgamma(causes + 1)
        ways += (causes - 1) * math.log(MORE_CAUSES)
        is_known = (gaps[starts] == 1) & np.isin(np.asarray(ends)[starts + 1], list(known))
        steps[is_known] = -math.inf
        most = steps.max(axis=1, keepdims=True)
        is_most = steps >= most - _ROUNDING * np.abs(most)
        first = is_most.argmax(axis=1)  # of equal changes
        largest = starts[np.arange(len(starts)), first]
        largest[is_known.all(axis=1)] = number
        parts.append((score + ways[:, None], largest))
    top = max(float(score.max()) for score, _ in parts)
    for score, largest in parts:
        np.add.at(total, largest, np.exp(score - top).sum(axis=1))
    total /= total.sum()
    return ChangePosterior(ends, tuple(map(float, total[:-1])), float(total[-1]))


@dataclass(frozen=True, slots=True)
class _Runs:
    """The evidence of runs of builds with one level, at each value of the variance.

    Attributes:
        unchanged: Log likelihood of the first builds with level 0; shape (r + 1, nodes).
        likelihoods: Log likelihood of the builds from one index to before another, which share a
            level that is not known; shape (r + 1, r + 1, nodes).
        levels: Mean of that level, of the same shape.
    """

    unchanged: Any
    likelihoods: Any
    levels: Any


def _runs_of_builds(
    builds: Sequence[MeasuredBuild],
    variances: Any,  # noqa: ANN401 (numpy loads late)
    scale: float,
) -> _Runs:
    import numpy as np

    counts = np.array([len(build.differences) for build in builds], float)
    means = np.array([build.mean for build in builds])
    sums = [np.concatenate([np.zeros(1), np.cumsum(counts * means**power)]) for power in range(3)]
    size = len(builds) + 1
    base = -0.5 * np.arange(size)[:, None] * np.log(variances) - sums[2][:, None] / (2 * variances)
    total, first = (part[None, :] - part[:, None] for part in sums[:2])
    precision = np.maximum(total, 0.0)[:, :, None] / variances + scale**-2
    weighted = first[:, :, None] / variances
    levels = weighted / precision
    likelihoods = base[None, :] - base[:, None] + 0.5 * weighted * levels
    likelihoods -= 0.5 * np.log(precision * scale**2)
    return _Runs(base, likelihoods, levels)


def _variance_nodes(pooled: PairVariance) -> Any:  # noqa: ANN401 (numpy loads late)
    """Return equally probable values of a variance: scaled inverse chi-squared, shape (nodes,)."""
    import numpy as np
    from scipy.special import gammaincinv

    degrees_of_freedom = pooled.degrees_of_freedom
    shares = (np.arange(_NODES) + 0.5) / _NODES
    return pooled.variance * degrees_of_freedom / (2 * gammaincinv(degrees_of_freedom / 2, shares))


@lru_cache(maxsize=64)
def _starts(number: int) -> tuple[Any, ...]:
    """Return the gaps that change, for each number of causes: shape (ways, causes)."""
    import numpy as np

    return tuple(
        np.array(list(itertools.combinations(range(number), causes)), int).reshape(-1, causes)
        for causes in range(1, min(MAX_CAUSES, number) + 1)
    )
