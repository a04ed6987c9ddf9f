"""What would settle an inconclusive metric."""

import math

from pipeline.judge import scale
from pipeline.judge.stats.power import pairs_needed, values_needed
from pipeline.model.report import Advice, Comparison, Rule

MOST_PAIRS = 200
"""Beyond this number of pairs we say that none would settle it, because nobody waits for them."""


def advice(comparison: Comparison, rule: Rule) -> Advice | None:
    """Return what an inconclusive metric shows, and how many more pairs would settle it.

    Args:
        comparison: Of the metric; nothing is said when it has no interval.
        rule: The constants that decided.
    """
    metric, change, error = comparison.metric, comparison.change, comparison.error
    if change is None or error is None or comparison.freedom is None:
        return None
    if comparison.is_lopsided:  # its warning says why, and more pairs may lack values, too
        return None
    margin, tolerance = scale.margin(metric), scale.tolerance(metric)
    worse = scale.worse(metric, change.estimate)
    low = min(scale.worse(metric, change.low), scale.worse(metric, change.high))
    if not (scale.is_above(worse, margin) or scale.is_above(margin, worse)):
        return Advice("the change is the margin itself, neither within it nor beyond", None)
    if worse > margin:
        alpha, effect, least = rule.alpha / comparison.tests, worse, margin
    else:  # what remains to be shown is that the worst that fits is below the tolerance
        alpha, effect, least = rule.pass_alpha, tolerance - max(worse, -tolerance), 0.0
    if comparison.fixed:
        pairs = values_needed(
            effect,
            error,
            comparison.freedom,
            comparison.pairs,
            alpha=alpha,
            margin=least,
            wanted=rule.power,
            most=MOST_PAIRS,
            fixed=comparison.fixed,
        )
    else:
        pairs = pairs_needed(
            effect,
            error * math.sqrt(comparison.pairs),
            alpha=alpha,
            margin=least,
            wanted=rule.power,
            most=MOST_PAIRS,
            known=comparison.freedom - (comparison.pairs - 1) if comparison.prior else 0.0,
        )
    more = None if pairs is None else max(pairs - comparison.pairs, 1)
    if worse <= margin:
        seen = "worse, perhaps by less than the margin" if low > 0 else "too noisy to call"
        return Advice(seen, more)
    if low > 0:
        return Advice(f"worse, but not certain enough among {comparison.tests} tests", more)
    return Advice("worse by more than the margin, perhaps by chance", more)
