"""What we say about the evidence, and every constant that decides it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from pipeline.judge import scale
from pipeline.judge.advice import advice
from pipeline.judge.compare import compare
from pipeline.judge.failures import failed_trials
from pipeline.judge.interim import LOOKS, RESERVE, looks_up_to, reserve_of, share_of
from pipeline.judge.rows import Measured, Row, of_family, of_results
from pipeline.judge.run_warnings import doubts
from pipeline.model.report import Comparison, Finding, Report, Rule, Verdict
from pipeline.model.results import ResultSet
from pipeline.system.errors import Exit

ALPHA = 0.05
"""Chance of any false red among the gating metrics of equal builds, at most."""

LEAST_TESTS = 5
"""A metric alone is tested as strictly as if it were one of so many: it errs one time in 100."""

CONFIDENCE = 0.95
"""Of both sides of an interval."""

PASS_ALPHA = (1 - CONFIDENCE) / 2
"""Chance to exclude a worsening that is there: the interval of a pass ends below the tolerance."""

WIDEST = 1.5
"""Half an interval may be as many tolerances wide for a pass: a wide one that ends below the
tolerance is one that chance has moved far to the better side."""

SUSPECT_MARGINS = 0.5
"""An estimate of more margins than this, ..."""

SUSPECT_ALPHA = 0.2
"""... with a one-sided p of its own below this, keeps a run from passing before its last look.

Without that rule, a run that could pass at its first look would hide small regressions: one of 1.5
margins was found in 89 to 94 of 100 simulated runs, and is in 95 to 99 with it (docs/verdicts.md).
"""

POWER = 0.80
"""Chance to find a change as large as the detectable change of a report."""

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

    Each look spends its share of alpha on red, and an equal one of the chance to pass wrongly: what
    all of them spend together is what one look at a fixed number of pairs would.

    Args:
        pairs: Number of valid pairs.
        looks: At which a run may end; none of a run of a fixed number of pairs.
    """
    if not looks:
        return RULE
    alpha = ALPHA * share_of(pairs, looks)
    return replace(RULE, alpha=alpha, pass_alpha=PASS_ALPHA / len(looks))


def rule_of(results: ResultSet, pairs: int) -> Rule:
    """Return the constants that decide a run at so many valid pairs.

    A run keeps a part of both chances back, and looks that were added to it share that: all of its
    looks together spend what there is, however many are added.
    """
    looks = results.looks
    planned, added = looks[: len(looks) - results.added], looks[len(looks) - results.added :]
    last = planned[-1] if planned else results.pairs_asked
    if pairs <= last or not added:
        rule = rule_at(pairs, planned if len(planned) > 1 else ())
        share = 1.0 - RESERVE
    else:
        rule, share = RULE, reserve_of(sum(look < pairs for look in added[:-1]))
    return replace(rule, alpha=rule.alpha * share, pass_alpha=rule.pass_alpha * share)


def rule_of_more(results: ResultSet) -> Rule:
    """Return the constants that will decide a run once it has more pairs."""
    more = len(results.valid_pairs) + 1
    if more <= results.pairs_asked:
        return rule_of(results, more)
    looks = (*(results.looks or (results.pairs_asked,)), more)
    added = results.added + 1
    return rule_of(replace(results, looks=looks, pairs_asked=more, added=added), more)


def decide(comparison: Comparison, rule: Rule = RULE) -> Verdict:
    """Return the verdict on one metric.

    Worse, or better, needs a test that holds among all metrics of the family, and an estimate
    beyond the margin.  The same needs an estimate within the margin, and an interval that is narrow
    enough and ends below the tolerance.  What shows neither is inconclusive: a lack of evidence is
    never a pass.

    Source:
        Schuirmann, J. Pharmacokinet. Biopharm. 15 (1987), one of whose two tests this is.
    """
    metric, change = comparison.metric, comparison.change
    if change is None or comparison.p_worse is None or comparison.p_better is None:
        return Verdict.INCONCLUSIVE
    if comparison.is_lopsided:
        return Verdict.INCONCLUSIVE
    margin, tolerance = scale.margin(metric), scale.tolerance(metric)
    worse = scale.worse(metric, change.estimate)
    if scale.is_above(worse, margin):
        is_sure = comparison.p_worse < rule.alpha
        return Verdict.REGRESSED if is_sure else Verdict.INCONCLUSIVE
    if comparison.p_better < rule.alpha and scale.is_above(-worse, margin):
        return Verdict.IMPROVED
    if scale.hides_the_worst(metric, change.bound):
        return Verdict.INCONCLUSIVE
    ends = [scale.worse(metric, change.low), scale.worse(metric, change.high)]
    worst = comparison.at_worst
    at_worst = max(ends) if worst is None else scale.worse(metric, worst)
    is_narrow = abs(ends[1] - ends[0]) / 2 <= rule.widest * tolerance
    is_pass = is_narrow and scale.is_above(tolerance, at_worst)
    return Verdict.UNCHANGED if is_pass else Verdict.INCONCLUSIVE


def findings(rows: Sequence[Row], rule: Rule, later: Rule | None = None) -> tuple[Finding, ...]:
    """Return the verdict on every row, in order, with advice on those that are inconclusive.

    Args:
        rows: Of any families.
        rule: The constants that decide.
        later: Those that will decide when there are more pairs; the same where that is unknown.
    """
    found = []
    for comparison in compare(rows, rule):
        verdict = decide(comparison, rule)
        said = advice(comparison, later or rule) if verdict is Verdict.INCONCLUSIVE else None
        found.append(Finding(comparison, verdict, advice=said))
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
    return at_looks(looks or (most,), lambda pairs: of_family(members, apart, pairs))


def at_looks(
    looks: Sequence[int],
    rows_at: Callable[[int], Sequence[Row]],
    *,
    stops_at_red: bool = False,
) -> tuple[Finding, ...]:
    """Return the findings of the first look that may end a run, or of the last.

    Args:
        looks: Numbers of pairs, at least one; a single one is a fixed number.
        rows_at: Gives the rows of so many pairs.
        stops_at_red: Whether one regression is enough to end.
    """
    judged: tuple[Finding, ...] = ()
    of_looks = looks if len(looks) > 1 else ()
    for judged in _judged(looks, lambda pairs: (rule_at(pairs, of_looks), None), rows_at):
        if may_end(judged, stops_at_red=stops_at_red):
            break
    return judged


def _judged(
    reached: Iterable[int],
    rules_at: Callable[[int], tuple[Rule, Rule | None]],
    rows_at: Callable[[int], Sequence[Row]],
    left_out_at: Callable[[int], Sequence[str]] = lambda _: (),
) -> Iterator[tuple[Finding, ...]]:
    """Yield the findings at each number of pairs; what an earlier one has rejected is kept.

    Args:
        reached: Numbers of pairs, rising.
        rules_at: Gives the constants that decide at so many pairs, and those of more; see
            `findings`.
        rows_at: Gives the rows of so many pairs.
        left_out_at: Gives the workloads that had been settled before so many pairs.
    """
    before: tuple[Finding, ...] = ()
    for pairs in reached:
        now = findings(rows_at(pairs), *rules_at(pairs))
        before = _kept(before, now, left_out_at(pairs))
        yield before


def _kept(
    before: Sequence[Finding], now: Sequence[Finding], left_out: Sequence[str]
) -> tuple[Finding, ...]:
    """Return the findings of now, with the rejections of earlier looks.

    What is known of a workload that was left out since is what the look before found.  A look that
    rejects has paid for it with its share of alpha, so that what later pairs show does not take it
    back.  A regression is kept before an improvement.
    """
    settled = {f.comparison.key: f for f in before if f.comparison.workload in left_out}
    rejected = {
        finding.comparison.key: finding
        for finding in before
        if finding.verdict in (Verdict.REGRESSED, Verdict.IMPROVED)
    }
    return tuple(
        settled[one.comparison.key]
        if one.comparison.key in settled
        else Finding(one.comparison, earlier.verdict, kept=earlier.kept or earlier.comparison)
        if (earlier := rejected.get(one.comparison.key))
        and one.verdict not in (earlier.verdict, Verdict.REGRESSED)
        else one
        for one in now
    )


def report(results: ResultSet) -> Report:
    """Judge a run: every metric, and what a reader must know of the run as a whole."""
    valid = len(results.valid_pairs)
    rule, later = rule_of(results, valid), rule_of_more(results)
    reached = [*(look for look in results.looks if look < valid), valid]
    then = {pairs: results.of_first(pairs) for pairs in reached}
    *_, judged = _judged(
        reached,
        lambda pairs: (rule_of(results, pairs), later),
        lambda pairs: of_results(then[pairs]),
        lambda pairs: then[pairs].left_out,
    )
    found = (*failed_trials(results), *judged)
    return Report(results, found, rule, doubts(results, found, is_settled=is_settled(found)))


def is_settled(findings: Iterable[Finding]) -> bool:
    """Whether no gating metric could still be decided by more pairs."""
    return not any(
        f.comparison.metric.gate
        and f.verdict is Verdict.INCONCLUSIVE
        and f.comparison.change is not None
        for f in findings
    )


def may_end(findings: Sequence[Finding], *, stops_at_red: bool = False) -> bool:
    """Whether a run may end before its last look.

    Args:
        findings: Of the look.
        stops_at_red: Whether one regression is enough.
    """
    gating = [f for f in findings if f.comparison.metric.gate]
    if stops_at_red and any(f.verdict is Verdict.REGRESSED for f in gating):
        return True
    return is_settled(gating) and not any(is_suspect(f) for f in gating)


def settled_workloads(results: ResultSet) -> tuple[str, ...]:
    """Return the workloads that pairs after the last look need not run.

    Every gating metric of such a workload was unchanged at that look, and none of it suspect.  A
    workload that found a change goes on: what the builds leave behind it may differ too, and those
    after it may measure that.  One that was left out before stays so.
    """
    valid = len(results.valid_pairs)
    look = max((look for look in results.looks if look <= valid), default=0)
    if not look or any(trial.failures for trial in results.trials):
        return ()
    of: dict[str, list[Finding]] = {}
    for finding in report(results.of_first(look)).findings:
        of.setdefault(finding.comparison.workload, []).append(finding)
    settled = [
        name
        for name, found in of.items()
        if name in results.left_out
        or all(
            f.verdict is Verdict.UNCHANGED and not is_suspect(f)
            for f in found
            if f.comparison.metric.gate
        )
    ]
    return tuple(settled) if len(settled) < len(of) else results.left_out


def is_suspect(finding: Finding) -> bool:
    """Whether a pass may hide a regression that more pairs would show."""
    comparison = finding.comparison
    change, p_alone = comparison.change, comparison.p_alone
    if finding.verdict is not Verdict.UNCHANGED or change is None or p_alone is None:
        return False
    worse = scale.worse(comparison.metric, change.estimate)
    return p_alone < SUSPECT_ALPHA and worse > SUSPECT_MARGINS * scale.margin(comparison.metric)


def is_enough(results: ResultSet) -> bool:
    """Whether a run has all the pairs it needs: as many as asked, or a look that may end it."""
    valid = len(results.valid_pairs)
    if valid >= results.pairs_asked:
        return True
    if valid not in results.looks:
        return False
    return may_end(report(results).findings, stops_at_red=results.stops_at_red)


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
