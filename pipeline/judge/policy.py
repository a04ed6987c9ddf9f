"""What we say about the evidence, and every constant that decides it."""

from dataclasses import replace

from pipeline.errors import Exit
from pipeline.judge import scale
from pipeline.judge.advice import advice
from pipeline.judge.compare import compare
from pipeline.judge.doubts import doubts
from pipeline.model.report import Comparison, Finding, Report, Rule, Verdict
from pipeline.model.results import ResultSet

ALPHA = 0.05
"""Chance of any false red among the gating metrics of equal builds, at most."""

CONFIDENCE = 1 - 2 * ALPHA
"""Of both sides of an interval: each side errs as often as one test."""

POWER = 0.80
"""At which the smallest detectable change is stated."""

LEAST_PAIRS = 2
"""With fewer there is no spread, so no interval."""

RULE = Rule(alpha=ALPHA, confidence=CONFIDENCE, power=POWER)


def decide(comparison: Comparison, rule: Rule = RULE) -> Verdict:
    """Return the verdict on one metric.

    Worse, or better, needs a test that holds among all metrics of the family, and an estimate
    beyond the margin; the same needs an interval that ends below the margin.  What shows
    neither is undecided: a lack of evidence is never a pass.

    Source:
        Schuirmann, J. Pharmacokinet. Biopharm. 15 (1987), one of whose two tests this is.
    """
    metric, change = comparison.metric, comparison.change
    if change is None or comparison.p_worse is None or comparison.p_better is None:
        return Verdict.UNDECIDED
    margin = scale.margin(metric)
    worse = scale.worse(metric, change.estimate)
    if comparison.p_worse < rule.alpha and scale.is_above(worse, margin):
        return Verdict.REGRESSED
    if comparison.p_better < rule.alpha and scale.is_above(-worse, margin):
        return Verdict.IMPROVED
    worst = max(scale.worse(metric, change.low), scale.worse(metric, change.high))
    return Verdict.UNCHANGED if scale.is_above(margin, worst) else Verdict.UNDECIDED


def report(results: ResultSet) -> Report:
    """Judge a run: every metric, and what a reader must know of the run as a whole."""
    comparisons = compare(results, RULE)
    tested = [c for c in comparisons if c.change is not None]
    size = {gate: sum(c.metric.gate is gate for c in tested) for gate in (True, False)}
    findings = []
    for comparison in comparisons:
        verdict = decide(comparison)
        if verdict is Verdict.UNDECIDED:
            said = advice(comparison, RULE, size[comparison.metric.gate])
            comparison = replace(comparison, warnings=(*comparison.warnings, *said))  # noqa: PLW2901 (the same, with advice)
        findings.append(Finding(comparison, verdict))
    return Report(results, tuple(findings), RULE, doubts(results, findings))


def exit_code(report: Report, *, strict: bool) -> Exit:
    """Return how a process that judged should end.

    Args:
        report: The judgement.
        strict: Whether an undecided run is a failure.
    """
    if len(report.results.valid_pairs) < LEAST_PAIRS:
        return Exit.WRONG_LOAD
    if report.verdict is Verdict.REGRESSED:
        return Exit.REGRESSION
    if report.verdict is Verdict.UNDECIDED and strict:
        return Exit.UNDECIDED
    return Exit.NO_REGRESSION
