"""From rows to evidence that can be set side by side: numbers only, no judgement."""

import math
from collections.abc import Sequence
from dataclasses import replace

from pipeline.judge import scale
from pipeline.judge.evidence import Evidence, OneSided, mirrored
from pipeline.judge.rows import OTHERS, Row
from pipeline.judge.stats.multiple import benjamini_hochberg, holm
from pipeline.judge.stats.power import detectable_at, median_share, smallest_detectable
from pipeline.model.metric import Better
from pipeline.model.report import Bound, Change, Comparison, Rule
from pipeline.model.subject import Arm


def compare(rows: Sequence[Row], rule: Rule) -> tuple[Comparison, ...]:
    """Return the comparison of every row, in order.

    The p values are corrected within each family: Holm's way, which bounds the chance of any
    false one, where a single red decides; among metrics that only inform, the share of false ones.

    Args:
        rows: Of any families.
        rule: The constants to compute with.
    """
    worse, better = [1.0] * len(rows), [1.0] * len(rows)
    tests = [1] * len(rows)
    for family in dict.fromkeys(row.family for row in rows):
        tested = [
            (i, row.evidence)
            for i, row in enumerate(rows)
            if row.family == family and row.evidence is not None
        ]
        up = _corrected(family, [found.p_above_zero() for _, found in tested], rule)
        down = _corrected(family, [mirrored(found).p_above_zero() for _, found in tested], rule)
        for (index, _), p_worse, p_better in zip(tested, up, down, strict=True):
            worse[index], better[index] = p_worse, p_better
            tests[index] = max(rule.least_tests, len(tested))
    return tuple(
        _comparison(row, p_worse, p_better, rule, number)
        for row, p_worse, p_better, number in zip(rows, worse, better, tests, strict=True)
    )


def _corrected(family: str, p_values: Sequence[float], rule: Rule) -> list[float]:
    """Return p values corrected for the number of them, and for the least that is assumed."""
    correct = benjamini_hochberg if family == OTHERS else holm
    return [
        max(corrected, min(1.0, rule.least_tests * p))
        for p, corrected in zip(p_values, correct(p_values), strict=True)
    ]


def _comparison(row: Row, p_worse: float, p_better: float, rule: Rule, tests: int) -> Comparison:
    found = row.evidence
    shown = Comparison(
        workload=row.workload,
        metric=row.metric,
        baseline=row.means[Arm.BASELINE],
        candidate=row.means[Arm.CANDIDATE],
        change=None,
        p_worse=None,
        p_better=None,
        detectable_change=None,
        pairs=row.pairs,
        stored=row.stored,
        warnings=row.warnings,
        family=row.family,
        tests=tests,
        cut_off=tuple(arm for arm in Arm if arm in row.cut_off),
    )
    if found is None:
        return shown
    return replace(
        shown,
        change=_change(row, found, rule.confidence),
        p_worse=p_worse,
        p_better=p_better,
        detectable_change=_detectable(row, found, rule, tests),
        at_worst=_worst(row, found, rule),
        error=found.error,
        freedom=found.freedom,
        fixed=found.fixed,
        p_alone=found.p_above_zero(),
        deviation=row.deviation,
        prior=row.prior,
        is_lopsided=row.is_lopsided,
    )


def _worst(row: Row, found: Evidence, rule: Rule) -> float | None:
    """Return the worst change that is not excluded; None where a deadline hides how bad it is."""
    worst = found.interval(1 - 2 * rule.pass_alpha)[1]
    return scale.change(row.metric, worst) if math.isfinite(worst) else None


def _change(row: Row, found: Evidence, confidence: float) -> Change:
    low, high = found.interval(confidence)
    bound = Bound.NONE
    if isinstance(found, OneSided):
        grows = found.is_least == (row.metric.better is Better.LOWER)
        bound = Bound.AT_LEAST if grows else Bound.AT_MOST
        low, high = (end if math.isfinite(end) else found.mean for end in (low, high))
    ends = [scale.change(row.metric, worse) for worse in (low, found.mean, high)]
    low, mean, high = ends if row.metric.better is Better.LOWER else reversed(ends)
    return Change(low, mean, high, bound)


def _detectable(row: Row, found: Evidence, rule: Rule, tests: int) -> float:
    """Return the smallest worsening that is called a regression, at the strictest level.

    With a prior it is the one that this run would have called so, for each spread that it may have
    seen; without one, the spread of a few pairs does not tell that much, and it is the one that a
    run of the spread that is likely would call so.
    """
    rest = found.freedom, rule.alpha / tests, scale.margin(row.metric), rule.power
    if row.prior is not None:
        worse = detectable_at(found.error, *rest)
    else:
        worse = smallest_detectable(found.error / median_share(found.freedom), *rest)
    return scale.change(row.metric, worse)
