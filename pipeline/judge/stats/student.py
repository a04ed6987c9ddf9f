"""A mean and how far it may be off: the t interval and test, of pairs and of two groups."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its standard error, which is known as well as its degrees of freedom allow.

    Attributes:
        mean: Any unit.
        error: Standard error, in the same unit, at least 0.
        freedom: Degrees of freedom of the error, above 0; infinite where the error is known.
        fixed: The part of the error's square that more values do not shrink, such as what sets two
            machines apart; at most the square.

    Source:
        Student, The Probable Error of a Mean, Biometrika 6 (1908).
    """

    mean: float
    error: float
    freedom: float
    fixed: float = 0.0

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return (low, high), where the true mean lies with the given confidence.

        Args:
            confidence: Of both sides together, between 0 and 1.
        """
        half = self.error * quantile((1 + confidence) / 2, self.freedom)
        return self.mean - half, self.mean + half

    def p_above_zero(self) -> float:
        """Return the one-sided p that the true mean is not above 0.

        Without any spread there is nothing to test against: p is 0 when the mean is above 0, else
        1.  That is the limit of the t test, and what a count that never varies asks for.
        """
        if self.error == 0:
            return 0.0 if self.mean > 0 else 1.0
        return tail(self.mean / self.error, self.freedom)


def of_pairs(differences: Sequence[float]) -> Estimate:
    """Return the mean of paired differences.

    Args:
        differences: Shape (n,), n >= 2, any unit.

    Raises:
        ValueError: Fewer than two, which have no spread.
    """
    mean, deviation = moments(differences)
    return Estimate(mean, deviation / math.sqrt(len(differences)), len(differences) - 1)


def of_groups(before: Sequence[float], after: Sequence[float], *, apart: float = 0.0) -> Estimate:
    """Return the difference of the means of two groups whose spreads may differ.

    Args:
        before: Shape (m,), m >= 2, any unit.
        after: Shape (n,), n >= 2, the same unit.
        apart: Standard deviation of what sets two groups apart though nothing changed, such as
            the machines they were measured on; taken for known.

    Raises:
        ValueError: Fewer than two values in a group.

    Source:
        Welch, The Generalization of `Student's` Problem when Several Different Population
        Variances are Involved, Biometrika 34 (1947); degrees of freedom by Satterthwaite,
        Biometrics Bulletin 2 (1946), to which a known variance adds none.
    """
    (mean_before, deviation_before), (mean_after, deviation_after) = moments(before), moments(after)
    first, second = deviation_before**2 / len(before), deviation_after**2 / len(after)
    variance = first + second + apart**2
    uncertain = 0.0  # in shares of the variance, whose squares neither overflow nor vanish
    if variance > 0:
        uncertain = (first / variance) ** 2 / (len(before) - 1)
        uncertain += (second / variance) ** 2 / (len(after) - 1)
    freedom = 1 / uncertain if uncertain > 0 else math.inf
    return Estimate(mean_after - mean_before, math.sqrt(variance), freedom, fixed=apart**2)


def moments(values: Sequence[float]) -> tuple[float, float]:
    """Return (mean, standard deviation); the deviation of equal values is exactly 0.

    Args:
        values: Shape (n,), n >= 2, any unit; the results have the same unit.

    Raises:
        ValueError: Fewer than two values, which have no spread.
    """
    if len(values) < 2:
        raise ValueError("a spread needs at least two values")
    if min(values) == max(values):
        return values[0], 0.0
    mean = fmean(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(squares / (len(values) - 1))


def quantile(chance: float, freedom: float) -> float:
    """Return the quantile of Student's distribution; of the normal one for infinite freedom."""
    from scipy.special import ndtri, stdtrit

    return float(ndtri(chance) if math.isinf(freedom) else stdtrit(freedom, chance))


def tail(t: float, freedom: float) -> float:
    """Return the chance of more than t under Student's distribution, or the normal one."""
    from scipy.special import ndtr, stdtr

    return float(ndtr(-t) if math.isinf(freedom) else stdtr(freedom, -t))
