"""Difference of two proportions of events, such as failed requests, also where there are none."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.judge.stats.student import quantile, upper_tail

_STEPS = 60  # halvings of an interval at most 2 wide: beyond the digits of a double


@dataclass(frozen=True, slots=True)
class ProportionDifference:
    """The proportion of the candidate minus that of the baseline, with score intervals.

    Attributes:
        events: Number of events of each side (baseline, candidate), at least 0.
        denominators: Number of possible events of each side, at least 1.
        dispersion: Variance between trials as a multiple of that of independent events, at least 1.
        degrees_of_freedom: Degrees of freedom of the dispersion; infinite where it is 1.
        between_run_sd: Standard deviation between two runs of equal builds, as a difference of
            proportions; taken as known.

    Source:
        Miettinen and Nurminen, Comparative Analysis of Two Rates, Statistics in Medicine 4 (1985),
        without their factor n / (n - 1); dispersion as in McCullagh and Nelder, Generalized Linear
        Models, 2nd ed., section 4.5.
    """

    events: tuple[float, float]
    denominators: tuple[float, float]
    dispersion: float = 1.0
    degrees_of_freedom: float = math.inf
    between_run_sd: float = 0.0

    @property
    def mean(self) -> float:
        """Return the proportion of the candidate minus that of the baseline."""
        before, after = (x / n for x, n in zip(self.events, self.denominators, strict=True))
        return after - before

    @property
    def standard_error(self) -> float:
        """Return the standard error of the mean; above 0 even without events, as for one event."""
        variance = sum(
            (x + 1) / (n + 2) * (1 - (x + 1) / (n + 2)) / n
            for x, n in zip(self.events, self.denominators, strict=True)
        )
        return math.sqrt(self.dispersion * variance + self.fixed_variance)

    @property
    def fixed_variance(self) -> float:
        """Return the part of the squared error that more trials do not shrink."""
        return self.between_run_sd**2

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return (low, high), the differences that a two-sided score test does not reject."""
        critical = quantile((1 + confidence) / 2, self.degrees_of_freedom)
        return self._interval_end(-1.0, critical), self._interval_end(1.0, -critical)

    def p_above_zero(self) -> float:
        """Return the one-sided p value of the null hypothesis that the proportion did not grow."""
        return upper_tail(self._score(0.0), self.degrees_of_freedom)

    def _interval_end(self, end: float, critical: float) -> float:
        """Return the difference between the estimate and an end at which the score is critical."""
        inner, outer = self.mean, end
        for _ in range(_STEPS):
            middle = (inner + outer) / 2
            if abs(self._score(middle)) <= abs(critical):
                inner = middle
            else:
                outer = middle
        return inner

    def _score(self, difference: float) -> float:
        """Return the score statistic of a hypothetical difference."""
        shares = _restricted_proportions(self.events, self.denominators, difference)
        variance = sum(p * (1 - p) / n for p, n in zip(shares, self.denominators, strict=True))
        distance = self.mean - difference
        variance = self.dispersion * variance + self.fixed_variance
        if variance <= 0:
            return 0.0 if distance == 0 else math.copysign(math.inf, distance)
        return distance / math.sqrt(variance)


def proportion_difference(
    before: Sequence[tuple[float, float]],
    after: Sequence[tuple[float, float]],
    *,
    between_run_sd: float = 0.0,
) -> ProportionDifference:
    """Return the difference of the pooled proportions, with the dispersion between trials.

    Each trial of a side is (events, possible events); `between_run_sd` is a difference of
    proportions.
    """
    events, denominators = [], []
    chi, degrees_of_freedom = 0.0, 0
    for trials in (before, after):
        total, possible = (math.fsum(part) for part in zip(*trials, strict=True))
        events.append(total)
        denominators.append(possible)
        share = total / possible
        if 0 < share < 1 and len(trials) > 1:
            chi += math.fsum((x - n * share) ** 2 / (n * share * (1 - share)) for x, n in trials)
            degrees_of_freedom += len(trials) - 1
    dispersion = max(1.0, chi / degrees_of_freedom) if degrees_of_freedom else 1.0
    return ProportionDifference(
        (events[0], events[1]),
        (denominators[0], denominators[1]),
        dispersion,
        degrees_of_freedom if dispersion > 1 else math.inf,
        between_run_sd,
    )


def _restricted_proportions(
    events: tuple[float, float], denominators: tuple[float, float], difference: float
) -> tuple[float, float]:
    """Return the maximum likelihood proportions that differ by a given difference.

    This is the closed form of the cubic likelihood equation; see the source of the class.
    """
    (x0, x1), (n0, n1) = events, denominators
    total = n0 + n1
    b = (n1 + 2 * n0) * difference - total - (x0 + x1)
    c = (n0 * difference - total - 2 * x0) * difference + x0 + x1
    d = x0 * difference * (1 - difference)
    v = (b / (3 * total)) ** 3 - b * c / (6 * total**2) + d / (2 * total)
    inner = (b / (3 * total)) ** 2 - c / (3 * total)
    u = math.copysign(math.sqrt(max(inner, 0.0)), v)
    ratio = 0.0 if u == 0 else max(-1.0, min(1.0, v / u**3))
    turn = (math.pi + math.acos(ratio)) / 3
    before = 2 * u * math.cos(turn) - b / (3 * total)
    return max(0.0, min(1.0, before)), max(0.0, min(1.0, before + difference))
