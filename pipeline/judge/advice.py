"""What would settle an undecided metric."""

from pipeline.judge import scale
from pipeline.model.report import Comparison, Rule
from pipeline.stats.intervals import deviation_of
from pipeline.stats.power import pairs_needed

MOST_PAIRS = 200
"""Beyond this number of pairs we say "more than", because nobody waits for them."""


def advice(comparison: Comparison, rule: Rule, family: int) -> tuple[str, ...]:
    """Return a sentence on what an undecided metric shows, and how many pairs would settle it.

    Args:
        comparison: Of the metric; nothing is said when it has no interval.
        rule: The constants that decided.
        family: Number of metrics that its p was corrected for.
    """
    metric, change = comparison.metric, comparison.change
    if change is None:
        return ()
    margin = scale.margin(metric)
    low, worse, high = sorted(
        scale.worse(metric, x) for x in (change.low, change.estimate, change.high)
    )
    if not (scale.is_above(worse, margin) or scale.is_above(margin, worse)):
        return ("the change is the margin itself, neither within it nor beyond",)
    deviation = deviation_of((high - low) / 2, comparison.pairs, rule.confidence)
    if worse > margin:
        alpha, effect, least = rule.alpha / family, worse, margin
    else:  # what remains to be shown is that the worst that fits is below the margin
        alpha, effect, least = rule.alpha, margin - worse, 0.0
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
        return (f"suggestive, but not certain enough among {family} metrics: {settled}",)
    return (f"worse by more than the margin, perhaps by chance: {settled}",)
