"""What would settle an inconclusive metric."""

import math

from pipeline.judge import scale
from pipeline.model.report import Comparison, Rule
from pipeline.stats.power import pairs_needed

MOST_PAIRS = 200
"""Beyond this number of pairs we say "more than", because nobody waits for them."""


def advice(comparison: Comparison, rule: Rule) -> tuple[str, ...]:
    """Return a sentence on what an inconclusive metric shows, and how many pairs would settle it.

    Args:
        comparison: Of the metric; nothing is said when it has no interval.
        rule: The constants that decided.
    """
    metric, change, error = comparison.metric, comparison.change, comparison.error
    if change is None or error is None:
        return ()
    margin = scale.margin(metric)
    low, worse, _ = sorted(
        scale.worse(metric, x) for x in (change.low, change.estimate, change.high)
    )
    if not (scale.is_above(worse, margin) or scale.is_above(margin, worse)):
        return ("the change is the margin itself, neither within it nor beyond",)
    deviation = error * math.sqrt(comparison.pairs)
    if worse > margin:
        alpha, effect, least = rule.alpha / comparison.tests, worse, margin
    else:  # what remains to be shown is that the worst that fits is below the margin
        alpha, effect, least = rule.pass_alpha, margin - max(worse, -margin), 0.0
    pairs = pairs_needed(
        effect, deviation, alpha=alpha, margin=least, wanted=rule.power, most=MOST_PAIRS
    )
    if pairs is None:
        settled = (
            f"more than {MOST_PAIRS} pairs would be needed, because the noise is large or the"
            " change is close to the margin"
        )
    else:
        settled = f"about {max(pairs, comparison.pairs + 1)} pairs would settle it"
    if worse <= margin:
        seen = "worse, perhaps by less than the margin" if low > 0 else "too noisy to call"
        return (f"{seen}: {settled}",)
    if low > 0:
        return (f"suggestive, but not certain enough among {comparison.tests} tests: {settled}",)
    return (f"worse by more than the margin, perhaps by chance: {settled}",)
