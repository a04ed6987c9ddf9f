"""Moderated variances: the spread of a few pairs, steadied by that of earlier runs.

With three to five pairs, most of the width of an interval is the uncertainty of the standard
deviation itself.  Earlier runs of the same metric know it better.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.judge.stats.student import Estimate

MOST_WIDENED = 9.0
"""Beyond this ratio of variances the earlier runs say nothing of this one, and are not used."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The variance of one metric in this run, and in earlier ones.

    Attributes:
        variance: Of its pairs in this run, in squared units of the test's scale.
        freedom: Degrees of freedom of it, above 0.
        prior: Mean variance in earlier runs, above 0, in the same unit.
    """

    variance: float
    freedom: float
    prior: float


def moderated(estimate: Estimate, pairs: int, prior: float, freedom: float) -> Estimate:
    """Return an estimate whose variance is the mean of that of its pairs and the prior one.

    Each counts by its degrees of freedom, and the error is known with those of both together.  The
    part of it that more pairs do not shrink is no spread of pairs, and stays.

    Args:
        estimate: Mean of pairs, with the error that they alone show.
        pairs: Number of them.
        prior: Variance of a pair by earlier runs, above 0.
        freedom: Degrees of freedom that it counts for, above 0.

    Source:
        Smyth, Linear Models and Empirical Bayes Methods for Assessing Differential Expression in
        Microarray Experiments, Statist. Appl. Genet. Mol. Biol. 3 (2004), section 3.
    """
    both = freedom + estimate.freedom
    seen = (estimate.error**2 - estimate.fixed) * pairs
    variance = (freedom * prior + estimate.freedom * seen) / both
    error = math.sqrt(variance / pairs + estimate.fixed)
    return Estimate(estimate.mean, error, both, estimate.fixed)


def widening(seen: Sequence[Seen]) -> float:
    """Return how many times as large the variances of this run are as the earlier runs say.

    The median over metrics, set against what chance makes of it; at least 1, so that a quiet run
    is not taken to be quieter than it has shown.  1 where nothing is known.

    Args:
        seen: Metrics that were measured together, and vary together.
    """
    from statistics import median

    from scipy.special import gammaincinv

    ratios = [
        one.variance / one.prior / (2 * float(gammaincinv(one.freedom / 2, 0.5)) / one.freedom)
        for one in seen
    ]
    return max(1.0, median(ratios)) if ratios else 1.0
