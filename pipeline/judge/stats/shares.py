"""Two shares of events, such as failed requests: their difference, also where there is none."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.judge.stats.student import quantile, tail

_STEPS = 60  # halvings of an interval at most 2 wide: beyond the digits of a double


@dataclass(frozen=True, slots=True)
class Shares:
    """How many of how many, before and after, and how unlike the trials were.

    Attributes:
        events: Of each side, at least 0.
        of: How many each could have been, at least 1.
        dispersion: How many times as large the variance between trials is as that of independent
            events; at least 1.
        freedom: Degrees of freedom that the dispersion is known with; infinite where it is 1.
        apart: Standard deviation of what sets the two sides apart though nothing changed, as a
            difference of shares; taken for known.

    Source:
        Miettinen and Nurminen, Comparative Analysis of Two Rates, Statistics in Medicine 4 (1985),
        without their factor n / (n - 1); dispersion as in McCullagh and Nelder, Generalized Linear
        Models, 2nd ed., section 4.5.
    """

    events: tuple[float, float]
    of: tuple[float, float]
    dispersion: float = 1.0
    freedom: float = math.inf
    apart: float = 0.0

    @property
    def mean(self) -> float:
        """Return the share after minus that before."""
        before, after = self._shares
        return after - before

    @property
    def error(self) -> float:
        """Return its standard error; above 0 also where nothing happened, as one event would."""
        variance = sum(
            (x + 1) / (n + 2) * (1 - (x + 1) / (n + 2)) / n
            for x, n in zip(self.events, self.of, strict=True)
        )
        return math.sqrt(self.dispersion * variance + self.fixed)

    @property
    def fixed(self) -> float:
        """Return the part of the error's square that more trials do not shrink."""
        return self.apart**2

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return (low, high): the differences that a score test does not reject.

        Args:
            confidence: Of both sides together, between 0 and 1.
        """
        critical = quantile((1 + confidence) / 2, self.freedom)
        return self._edge(-1.0, critical), self._edge(1.0, -critical)

    def p_above_zero(self) -> float:
        """Return the one-sided p that the share did not grow."""
        return tail(self._score(0.0), self.freedom)

    @property
    def _shares(self) -> tuple[float, float]:
        before, after = (x / n for x, n in zip(self.events, self.of, strict=True))
        return before, after

    def _edge(self, end: float, critical: float) -> float:
        """Return where, between the estimate and an end, the score passes a critical value."""
        inner, outer = self.mean, end
        for _ in range(_STEPS):
            middle = (inner + outer) / 2
            if abs(self._score(middle)) <= abs(critical):
                inner = middle
            else:
                outer = middle
        return inner

    def _score(self, difference: float) -> float:
        """Return the standardized distance of the shares from a difference between them."""
        shares = _restricted(self.events, self.of, difference)
        variance = sum(p * (1 - p) / n for p, n in zip(shares, self.of, strict=True))
        distance = self.mean - difference
        variance = self.dispersion * variance + self.fixed
        if variance <= 0:
            return 0.0 if distance == 0 else math.copysign(math.inf, distance)
        return distance / math.sqrt(variance)


def of_trials(
    before: Sequence[tuple[float, float]],
    after: Sequence[tuple[float, float]],
    *,
    apart: float = 0.0,
) -> Shares:
    """Return the shares of all trials together, with the dispersion that the trials show.

    Args:
        before: Of each trial how many events there were, and of how many; at least one trial.
        after: The same.
        apart: See `Shares`.
    """
    events, of = [], []
    chi, freedom = 0.0, 0
    for trials in (before, after):
        total, possible = (math.fsum(part) for part in zip(*trials, strict=True))
        events.append(total)
        of.append(possible)
        share = total / possible
        if 0 < share < 1 and len(trials) > 1:
            chi += math.fsum((x - n * share) ** 2 / (n * share * (1 - share)) for x, n in trials)
            freedom += len(trials) - 1
    dispersion = max(1.0, chi / freedom) if freedom else 1.0
    return Shares(
        (events[0], events[1]),
        (of[0], of[1]),
        dispersion,
        freedom if dispersion > 1 else math.inf,
        apart,
    )


def _restricted(
    events: tuple[float, float], of: tuple[float, float], difference: float
) -> tuple[float, float]:
    """Return the likeliest shares that are a given difference apart.

    The closed form of the cubic that their likelihood leads to; see the source of `Shares`.
    """
    (x0, x1), (n0, n1) = events, of
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
    return _clipped(before), _clipped(before + difference)


def _clipped(share: float) -> float:
    return max(0.0, min(1.0, share))
