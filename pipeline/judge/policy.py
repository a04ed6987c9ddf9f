"""What we say about the evidence, and every constant that decides it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from pipeline.errors import Exit
from pipeline.judge import scale
from pipeline.judge.advice import advice
from pipeline.judge.compare import compare
from pipeline.judge.doubts import doubts
from pipeline.judge.failures import failed_trials
from pipeline.judge.looks import LOOKS, looks_up_to, share_of
from pipeline.judge.rows import Measured, Row, of_measured, of_results
from pipeline.model.report import Comparison, Finding, Report, Rule, Verdict
from pipeline.model.results import ResultSet

ALPHA = 0.05
"""Chance of any false red among the gating metrics of equal builds, at most."""

LEAST_TESTS = 5
"""A metric alone is tested as strictly as if it were one of so many: it errs one time in 100."""

CONFIDENCE = 0.95
"""Of both sides of an interval."""

PASS_ALPHA = (1 - CONFIDENCE) / 2
"""Chance to exclude a worsening that is there: a pass is an interval that ends below the margin."""

PASS_ALPHA_OF_LOOKS = 0.01
"""The same at each of several looks, which together err about as often as one."""

WIDEST = 1.5
"""Half an interval may be as many margins wide for a pass: a wide one that ends below the margin
is one that chance has moved far to the better side."""

POWER = 0.80
"""At which the smallest detectable change is stated."""

APART = 0.05
"""Standard deviation between two groups of equal builds that were not measured side by side: the
machine, its neighbours and the hour.  Means of equal builds on virtual machines of one type
differ by so much; see docs/verdicts.md."""

LEAST_PAIRS = 2
"""With fewer there is no spread, so no interval."""

RULE = Rule(
    alpha=ALPHA,
    confidence=CONFIDENCE,
    power=POWER,
    least_tests=LEAST_TESTS,
    pass_alpha=PASS_ALPHA,
    widest=WIDEST,
    apart=APART,
)
"""The constants of one look at a fixed number of pairs."""


def rule_at(pairs: int, looks: Sequence[int]) -> Rule:
    """Return the constants that decide now.

    Args:
        pairs: Number of valid pairs.
        looks: At which a run may end; none of a run of a fixed number of pairs.
    """
    if not looks:
        return RULE
    return replace(RULE, alpha=ALPHA * share_of(pairs, looks), pass_alpha=PASS_ALPHA_OF_LOOKS)


def decide(comparison: Comparison, rule: Rule = RULE) -> Verdict:
    """Return the verdict on one metric.

    Worse, or better, needs a test that holds among all metrics of the family, and an estimate
    beyond the margin; the same needs an interval that ends below the margin and is narrow enough.
    What shows neither is inconclusive: a lack of evidence is never a pass.

    Source:
        Schuirmann, J. Pharmacokinet. Biopharm. 15 (1987), one of whose two tests this is.
    """
    metric, change = comparison.metric, comparison.change
    if change is None or comparison.p_worse is None or comparison.p_better is None:
        return Verdict.INCONCLUSIVE
    margin = scale.margin(metric)
    worse = scale.worse(metric, change.estimate)
    if comparison.p_worse < rule.alpha and scale.is_above(worse, margin):
        return Verdict.REGRESSED
    if comparison.p_better < rule.alpha and scale.is_above(-worse, margin):
        return Verdict.IMPROVED
    if scale.hides_the_worst(metric, change.bound):
        return Verdict.INCONCLUSIVE
    ends = [scale.worse(metric, change.low), scale.worse(metric, change.high)]
    worst = max(ends) if comparison.at_worst is None else scale.worse(metric, comparison.at_worst)
    is_narrow = abs(ends[1] - ends[0]) / 2 <= rule.widest * margin
    is_pass = is_narrow and scale.is_above(margin, worst)
    return Verdict.UNCHANGED if is_pass else Verdict.INCONCLUSIVE


def findings(rows: Sequence[Row], rule: Rule) -> tuple[Finding, ...]:
    """Return the verdict on every row, in order, with advice on those that are inconclusive."""
    found = []
    for comparison in compare(rows, rule):
        verdict = decide(comparison, rule)
        said = advice(comparison, rule) if verdict is Verdict.INCONCLUSIVE else ()
        found.append(Finding(replace(comparison, warnings=(*comparison.warnings, *said)), verdict))
    return tuple(found)


def of_table(
    measured: Sequence[Measured], *, in_looks: bool = False, apart: float = APART
) -> list[Finding]:
    """Return the verdict on every metric of a table, each family judged by itself.

    Args:
        measured: Of any families.
        in_looks: Whether to take only as many pairs as the answer needs, as a run does.
        apart: Standard deviation between groups that are no pairs, as a ratio.
    """
    families: dict[str, list[Measured]] = {}
    for one in measured:
        families.setdefault(one.family, []).append(one)
    return [
        finding
        for members in families.values()
        for finding in _looked(members, in_looks=in_looks, apart=apart)
    ]


def _looked(members: Sequence[Measured], *, in_looks: bool, apart: float) -> tuple[Finding, ...]:
    """Return the findings of one family, at the first look that settles them or the last."""
    most = max((min(len(m.before), len(m.after)) for m in members if m.is_paired), default=0)
    looks = looks_up_to(min(most, LOOKS[-1])) if in_looks else ()
    return at_looks(
        looks or (most,), lambda pairs: [of_measured(one, apart, pairs) for one in members]
    )


def at_looks(looks: Sequence[int], rows_at: Callable[[int], Sequence[Row]]) -> tuple[Finding, ...]:
    """Return the findings of the first look that settles them, or of the last.

    Args:
        looks: Numbers of pairs, at least one; a single one is a fixed number.
        rows_at: Gives the rows of so many pairs.
    """
    judged: tuple[Finding, ...] = ()
    for pairs in looks:
        judged = findings(rows_at(pairs), rule_at(pairs, looks if len(looks) > 1 else ()))
        if is_settled(judged):
            break
    return judged


def report(results: ResultSet) -> Report:
    """Judge a run: every metric, and what a reader must know of the run as a whole."""
    rule = rule_at(len(results.valid_pairs), results.looks)
    found = (*failed_trials(results), *findings(of_results(results), rule))
    return Report(results, found, rule, doubts(results, found, is_settled=is_settled(found)))


def is_settled(findings: Iterable[Finding]) -> bool:
    """Whether no gating metric could still be decided by more pairs."""
    return not any(
        f.comparison.metric.gate
        and f.verdict is Verdict.INCONCLUSIVE
        and f.comparison.change is not None
        for f in findings
    )


def is_enough(results: ResultSet) -> bool:
    """Whether a run has all the pairs it needs: as many as asked, or a look that settles it."""
    valid = len(results.valid_pairs)
    if valid >= results.pairs_asked:
        return True
    return valid in results.looks and is_settled(report(results).findings)


def exit_code(report: Report, *, strict: bool) -> Exit:
    """Return how a process that judged should end.

    Args:
        report: The judgement.
        strict: Whether an inconclusive run is a failure.
    """
    if len(report.results.valid_pairs) < LEAST_PAIRS:
        return Exit.WRONG_LOAD
    if report.verdict is Verdict.REGRESSED:
        return Exit.REGRESSION
    if report.verdict is Verdict.INCONCLUSIVE and strict:
        return Exit.INCONCLUSIVE
    return Exit.NO_REGRESSION
