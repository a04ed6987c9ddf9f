"""Tell a leak from caches that fill, in one build alone.

A resource is read at the end of each cycle of create, use and delete.  It is a level, caches that
fill up, and a straight line: the line is the leak.  A cache fills as 1 - exp(-x / tau).  Resident
memory also creeps as log(1 + x / tau), because it follows the largest heap until now, and a record
is beaten less and less often.  Whatever filling explains is not called a leak, so the interval of
the leak covers any number of caches, of any size and every tau.  A cache that needs more than twice
the soak to fill cannot be told from a leak.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.judge.stats.student import quantile
from pipeline.model.limit import Limit
from pipeline.model.soak import (
    HISTORY_S,
    RESIDENT,
    SOAK_QUANTITIES,
    WITH_HISTORY,
    Growth,
    GrowthVerdict,
    Soak,
    SoakCycle,
)

FALSE_LEAK = 0.001
"""Largest probability of calling a resource without a leak one, on one side."""

MAX_GROWTH = 0.05
"""Largest growth over the soak that a plateau may hide, as a share of the last level."""

MIN_CYCLES = 12
"""Smallest number of cycles: a line beside two caches has six parameters, and its error needs as
many points."""

MIN_READY = 20
"""Smallest number of Projects whose p95 of the time to Ready is compared with a limit."""

_SLOWEST = 2.0  # tau of the slowest cache, as a share of the soak
_FASTEST = 0.02
_TAUS = 25
_MAX_AUTOCORRELATION = 0.95
_LEAST_LEVEL = 1e-3  # of the largest value
_LEAST_SHARE = 1e-7
_ROUNDING = 1e-20  # relative to a sum of squares: the rounding of doubles
_LEAST_NOISE = 1e-5  # of the largest value: the error of a cache whose tau is between two others
_HALVINGS = 60
_MAX_STEPS = 1000  # of a fit

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Curves:
    """The curves that add up to a resource, and the resource, without their means.

    Attributes:
        line: Shape (n,).
        fillings: Shape (n, m); their sizes are not below zero.
        resource: Shape (n,).
    """

    line: Floats
    fillings: Floats
    resource: Floats

    def compress(self) -> "_Curves":
        """Return shorter curves that leave the same sums of squares."""
        together = np.column_stack([self.line, self.fillings, self.resource])
        _, short = np.linalg.qr(together)
        return _Curves(short[:, 0], short[:, 1:-1], short[:, -1])

    def fit(self) -> tuple[float, Floats]:
        """Return the slope and the size of each filling that fit best."""
        from scipy.optimize import nnls

        columns = np.column_stack([self.line, -self.line, self.fillings])
        sizes, _ = nnls(columns, self.resource, maxiter=_MAX_STEPS)
        return float(sizes[0] - sizes[1]), sizes[2:]

    def squares(self, slope: float) -> float:
        """Return the least sum of squared residuals that a slope leaves."""
        from scipy.optimize import nnls

        _, length = nnls(self.fillings, self.resource - slope * self.line, maxiter=_MAX_STEPS)
        return float(length) ** 2


def growth_of_resources(cycles: Sequence[SoakCycle]) -> dict[str, Growth]:
    """Return how each resource grew in the launch with the most cycles, per deleted Project.

    A resource that was read in too few cycles is left out, and so is the history of etcd while it
    fills.
    """
    longest = judged_launch(cycles)
    growth = {}
    for name in SOAK_QUANTITIES:
        points = {
            float(cycle.deleted): cycle.values[name]
            for cycle in cycles
            if cycle.launch == longest
            and name in cycle.values
            and (name not in WITH_HISTORY or cycle.ended_s >= HISTORY_S)
        }
        if len(points) >= MIN_CYCLES:
            creeps = name in RESIDENT
            growth[name] = find_growth(list(points), list(points.values()), creeps=creeps)
    return growth


def judged_launch(cycles: Sequence[SoakCycle]) -> int:
    """Return the launch with the most cycles, the last one of equals; 0 without cycles."""
    launches = Counter(cycle.launch for cycle in cycles)
    return max(launches, key=lambda launch: (launches[launch], launch), default=0)


def broken_limits(soak: Soak) -> tuple[str, ...]:
    """Return the text of each limit that is broken: sizes at any cycle, `ready` as a p95 of all.

    A Project that was never Ready took at least as long as the deadline.
    """
    largest = _largest_values(soak)
    return tuple(
        limit.text
        for limit in soak.question.limits
        if limit.quantity in largest and largest[limit.quantity] >= limit.below
    )


def limits_without_value(soak: Soak) -> tuple[Limit, ...]:
    """Return each limit that nothing was compared with: the soak says nothing about it."""
    largest = _largest_values(soak)
    return tuple(limit for limit in soak.question.limits if limit.quantity not in largest)


def _largest_values(soak: Soak) -> dict[str, float]:
    """Return what is compared with limits, by quantity."""
    largest: dict[str, float] = {}
    for cycle in soak.cycles:
        for name, value in cycle.values.items():
            largest[name] = max(value, largest.get(name, value))
    ready_s = [s for cycle in soak.cycles for s in cycle.ready_s]
    ready_s += [soak.question.deadline_s] * sum(cycle.never_ready for cycle in soak.cycles)
    if len(ready_s) >= MIN_READY:
        largest["ready"] = float(np.quantile(ready_s, 0.95))
    return largest


def find_growth(at: Sequence[float], values: Sequence[float], *, creeps: bool = False) -> Growth:
    """Return how a resource grew, and what that means.

    Args:
        at: Shape (n,), strictly ascending: Projects deleted until then, or hours.
        values: Shape (n,), n >= `MIN_CYCLES`, in the resource's unit, none negative.
        creeps: True if the resource may creep, as resident memory does.

    Raises:
        ValueError: There are too few points, or x does not ascend.

    Source:
        Nonnegative least squares: Lawson and Hanson, Solving Least Squares Problems (1974), chapter
        23; profile likelihood: Bates and Watts, Nonlinear Regression Analysis and Its Applications
        (1988), section 6.1; the variance of autocorrelated residuals as that of an AR(1) process.
    """
    if len(at) < MIN_CYCLES or len(at) != len(values):
        raise ValueError(f"{len(at)} cycles: at least {MIN_CYCLES} are needed")
    x = np.asarray(at, dtype=np.float64)
    if not (np.diff(x) > 0).all():
        raise ValueError("the cycles are not in order")
    length = float(x[-1] - x[0])
    scale = max(values) or 1.0
    share, y = (x - x[0]) / length, np.asarray(values, dtype=np.float64) / scale
    curves = _curves(share, y, creeps=creeps)
    short = curves.compress()
    slope, sizes = short.fit()
    residuals = curves.resource - slope * curves.line - curves.fillings @ sizes
    bound = _largest_squares(residuals, parameters=2 + int((sizes > 0).sum()))
    low, high = map(_without_rounding, _slope_interval(short.squares, slope, bound))
    fitted = y - residuals
    last = float(fitted[-1])
    if low > 0:
        verdict = GrowthVerdict.LEAK
    elif high <= MAX_GROWTH * max(last, _LEAST_LEVEL):
        verdict = GrowthVerdict.PLATEAU
    else:
        verdict = GrowthVerdict.CANNOT_TELL
    per_unit = scale / length
    return Growth(
        verdict=verdict,
        cycles=len(y),
        first=scale * float(fitted[0]),
        last=scale * last,
        per_unit=per_unit * _without_rounding(slope),
        low=per_unit * low,
        high=per_unit * high,
        filled=scale * _without_rounding(float(sizes.sum())),
    )


def _without_rounding(value: float) -> float:
    """Return a share of the largest value, or 0 if it is only the rounding of doubles."""
    return value if abs(value) > _LEAST_SHARE else 0.0


def _curves(share: Floats, y: Floats, *, creeps: bool) -> _Curves:
    """Return the curves over a soak, whose points go from 0 to 1."""
    taus = np.geomspace(_FASTEST, _SLOWEST, _TAUS)
    fillings = [-np.expm1(-share / tau) for tau in taus]
    if creeps:
        fillings += [np.log1p(share / tau) for tau in taus]
    columns = np.column_stack([share, *fillings, y])
    columns -= columns.mean(axis=0)
    return _Curves(columns[:, 0], columns[:, 1:-1], columns[:, -1])


def _largest_squares(residuals: Floats, parameters: int) -> float:
    """Return the largest sum of squares of a fit that the data allow, with error `FALSE_LEAK`."""
    n, squares = len(residuals), float(residuals @ residuals)
    inflation = _inflation(residuals)
    degrees_of_freedom = max(2.0, n / inflation - parameters)
    noise = _LEAST_NOISE**2 if squares > n * _ROUNDING else _ROUNDING
    variance = max(squares / max(n - parameters, 1), noise) * inflation
    return squares + quantile(1 - FALSE_LEAK, degrees_of_freedom) ** 2 * variance


def _slope_interval(
    squares: Callable[[float], float], best: float, bound: float
) -> tuple[float, float]:
    """Return the smallest and the largest slope whose sum of squares is allowed; it is convex."""

    def end(direction: float) -> float:
        inside, outside = 0.0, 1.0
        while squares(best + direction * outside) <= bound:
            inside, outside = outside, 2 * outside
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            is_allowed = squares(best + direction * middle) <= bound
            inside, outside = (middle, outside) if is_allowed else (inside, middle)
        return best + direction * inside

    return end(-1.0), end(1.0)


def _inflation(residuals: Floats) -> float:
    """Return how many times larger the variance of a mean is than without autocorrelation."""
    n, squares = len(residuals), float(residuals @ residuals)
    if squares <= n * _ROUNDING:
        return 1.0
    measured = float(residuals[1:] @ residuals[:-1]) / squares
    unbiased = measured + (1 + 4 * measured) / n
    rho = min(_MAX_AUTOCORRELATION, max(0.0, unbiased))
    return (1 + rho) / (1 - rho)
