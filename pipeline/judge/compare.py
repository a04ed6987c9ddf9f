"""Compute comparisons from rows: adjusted p values, intervals, detectable changes; no verdict."""

import math
from collections.abc import Sequence
from dataclasses import replace

from pipeline.judge import scale
from pipeline.judge.evidence import Evidence, mirror
from pipeline.judge.rows import OTHERS, Row
from pipeline.judge.stats.multiple import benjamini_hochberg, holm
from pipeline.judge.stats.power import MarginTest, median_error_ratio
from pipeline.judge.stats.student import Estimate, EstimateBound
from pipeline.model.metric import Better, Metric
from pipeline.model.report import Bound, Change, Comparison, Rule


def compare(rows: Sequence[Row], rule: Rule) -> tuple[Comparison, ...]:
    """Return the comparison of every row, of any families, in order.

    P values are adjusted within each family: by Holm's method (family-wise error rate) where one
    red decides, and by Benjamini and Hochberg's (false discovery rate) among metrics that do not
    gate.
    """
    worse, better = [1.0] * len(rows), [1.0] * len(rows)
    tests = [1] * len(rows)
    for family in dict.fromkeys(row.comparison.family for row in rows):
        tested = [
            (i, row.evidence)
            for i, row in enumerate(rows)
            if row.comparison.family == family and row.evidence is not None
        ]
        up = _adjusted(family, [evidence.p_above_zero() for _, evidence in tested], rule)
        down = _adjusted(family, [mirror(evidence).p_above_zero() for _, evidence in tested], rule)
        for (index, _), p_worse, p_better in zip(tested, up, down, strict=True):
            worse[index], better[index] = p_worse, p_better
            tests[index] = max(rule.min_family_size, len(tested))
    return tuple(
        _comparison(row, p_worse, p_better, rule, number)
        for row, p_worse, p_better, number in zip(rows, worse, better, tests, strict=True)
    )


def _adjusted(family: str, p_values: Sequence[float], rule: Rule) -> list[float]:
    """Return p values adjusted for the number of tests, and at least for the smallest family."""
    adjust = benjamini_hochberg if family == OTHERS else holm
    return [
        max(adjusted, min(1.0, rule.min_family_size * p))
        for p, adjusted in zip(p_values, adjust(p_values), strict=True)
    ]


def _comparison(row: Row, p_worse: float, p_better: float, rule: Rule, tests: int) -> Comparison:
    comparison, evidence = replace(row.comparison, tests=tests), row.evidence
    if evidence is None:
        return comparison
    worst = evidence.interval(1 - 2 * rule.pass_alpha)[1]
    return replace(
        comparison,
        change=change_of(comparison.metric, evidence, rule.confidence),
        p_worse=p_worse,
        p_better=p_better,
        detectable_change=_detectable_change(comparison, evidence, rule),
        at_worst=scale.change(comparison.metric, worst) if math.isfinite(worst) else None,
        standard_error=evidence.standard_error,
        degrees_of_freedom=evidence.degrees_of_freedom,
        fixed_variance=evidence.fixed_variance,
        p_unadjusted=evidence.p_above_zero(),
    )


def change_of(metric: Metric, evidence: Evidence, confidence: float) -> Change:
    """Return evidence as a change of a metric, with its interval at a confidence level."""
    low, high = evidence.interval(confidence)
    bound = Bound.NONE
    if isinstance(evidence, Estimate) and evidence.bound:
        is_lower = evidence.bound is EstimateBound.LOWER
        grows = is_lower == (metric.better is Better.LOWER)
        bound = Bound.AT_LEAST if grows else Bound.AT_MOST
        low, high = (end if math.isfinite(end) else evidence.mean for end in (low, high))
    ends = [scale.change(metric, worse) for worse in (low, evidence.mean, high)]
    low, mean, high = ends if metric.better is Better.LOWER else reversed(ends)
    return Change(low, mean, high, bound)


def _detectable_change(comparison: Comparison, evidence: Evidence, rule: Rule) -> float:
    """Return the smallest worsening that is called a regression, at the strictest level.

    With a prior it is that of this run, given the spread that it shows.  Without one, the spread
    of a few pairs is too uncertain for that, and it is that of a run with the most likely spread.
    """
    test = MarginTest(rule.alpha / comparison.tests, scale.margin(comparison.metric), rule.power)
    standard_error, degrees_of_freedom = evidence.standard_error, evidence.degrees_of_freedom
    if comparison.prior_sd is not None:
        worse = test.detectable_effect_at(standard_error, degrees_of_freedom)
    else:
        standard_error /= median_error_ratio(degrees_of_freedom)
        worse = test.smallest_detectable_effect(standard_error, degrees_of_freedom)
    return scale.change(comparison.metric, worse)
