"""Decide the verdict on a metric, a table and a run, with advice and exit code."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from pipeline.judge import constants, scale
from pipeline.judge.compare import compare
from pipeline.judge.interim import looks_up_to, rule_at, rule_for, rule_for_more_pairs
from pipeline.judge.launches import by_launch, counted_pairs
from pipeline.judge.rows import GATE, MetricValues, Row, rows_of_family, rows_of_results
from pipeline.judge.run_warnings import run_warnings
from pipeline.judge.stats.power import MarginTest
from pipeline.judge.stats.student import Estimate
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Advice, Change, Comparison, Finding, Report, Rule, Verdict
from pipeline.model.results import ResultSet
from pipeline.model.subject import Arm
from pipeline.system.errors import ConfigError, Exit

LAUNCH = "launch"
"""Workload name of the metric below: a build fails a launch, whichever workload was running."""

FAILED_TRIALS = Metric(
    name="failed_trials",
    unit="1",
    better=Better.LOWER,
    margin=1.0,
    gate=True,
    scale=Scale.DIFFERENCE,
)
"""Number of trials in which a build failed.  It gates in every suite, and is shown unless 0."""


def decide(comparison: Comparison, rule: Rule = constants.RULE) -> Verdict:
    """Return the verdict on one metric.

    "Regressed" and "improved" need a significant test within the family, and an estimate beyond
    the margin.  "Unchanged" needs an estimate within the margin, and a narrow enough interval that
    ends below the tolerance.  Everything else is inconclusive: a lack of evidence is never a pass.

    Source:
        Schuirmann, J. Pharmacokinet. Biopharm. 15 (1987): a pass is one of his two one-sided
        tests.
    """
    metric, change = comparison.metric, comparison.change
    if change is None or comparison.p_worse is None or comparison.p_better is None:
        return Verdict.INCONCLUSIVE
    if comparison.is_lopsided:
        return Verdict.INCONCLUSIVE
    margin, tolerance = scale.margin(metric), scale.tolerance(metric)
    worse = scale.worse(metric, change.estimate)
    if scale.is_above(worse, margin):
        is_significant = comparison.p_worse < rule.alpha
        return Verdict.REGRESSED if is_significant else Verdict.INCONCLUSIVE
    if comparison.p_better < rule.alpha and scale.is_above(-worse, margin):
        return Verdict.IMPROVED
    if scale.hides_the_worst(metric, change.bound):
        return Verdict.INCONCLUSIVE
    ends = [scale.worse(metric, change.low), scale.worse(metric, change.high)]
    worst = comparison.at_worst
    at_worst = max(ends) if worst is None else scale.worse(metric, worst)
    is_narrow = abs(ends[1] - ends[0]) / 2 <= rule.max_half_width * tolerance
    is_pass = is_narrow and scale.is_above(tolerance, at_worst)
    return Verdict.UNCHANGED if is_pass else Verdict.INCONCLUSIVE


def advise(comparison: Comparison, rule: Rule) -> Advice | None:
    """Return the state of an inconclusive metric, and how many more pairs would settle it.

    `rule` decides at more pairs.  None without an interval, and if values are missing from one
    arm: the warning about them says why, and more pairs may lack values, too.
    """
    metric, change = comparison.metric, comparison.change
    if change is None or comparison.standard_error is None or comparison.is_lopsided:
        return None
    margin = scale.margin(metric)
    worse = scale.worse(metric, change.estimate)
    if not (scale.is_above(worse, margin) or scale.is_above(margin, worse)):
        return Advice("the change is the margin itself, neither within it nor beyond", None)
    is_certainly_worse = min(scale.worse(metric, end) for end in (change.low, change.high)) > 0
    if worse > margin and is_certainly_worse:
        shows = f"worse, but not certain enough among {comparison.tests} tests"
    elif worse > margin:
        shows = "worse by more than the margin, perhaps by chance"
    elif is_certainly_worse:
        shows = "worse, perhaps by less than the margin"
    else:
        shows = "too noisy to call"
    return Advice(shows, _more_pairs(comparison, worse, rule))


def _more_pairs(comparison: Comparison, worse: float, rule: Rule) -> int | None:
    """Return how many more pairs would settle a metric; None if no practical number does.

    `worse` is its estimate on the test scale.  If that is above the margin, more pairs have to show
    a regression; otherwise a pass, whose worst is below the tolerance.
    """
    standard_error, degrees_of_freedom = comparison.standard_error, comparison.degrees_of_freedom
    if standard_error is None or degrees_of_freedom is None:
        return None
    margin, tolerance = scale.margin(comparison.metric), scale.tolerance(comparison.metric)
    if worse > margin:
        effect, test = worse, MarginTest(rule.alpha / comparison.tests, margin, rule.power)
    else:
        effect = tolerance - max(worse, -tolerance)
        test = MarginTest(rule.pass_alpha, 0.0, rule.power)
    if comparison.fixed_variance:
        now = Estimate(effect, standard_error, degrees_of_freedom, comparison.fixed_variance)
        pairs = test.values_needed(effect, now, comparison.pairs, most=constants.MAX_ADVISED_PAIRS)
    else:
        of_prior = degrees_of_freedom - (comparison.pairs - 1) if comparison.prior_sd else 0.0
        pairs = test.pairs_needed(
            effect,
            standard_error * math.sqrt(comparison.pairs),
            most=constants.MAX_ADVISED_PAIRS,
            known=of_prior,
        )
    return None if pairs is None else max(pairs - comparison.pairs, 1)


def findings(rows: Sequence[Row], rule: Rule, later: Rule | None = None) -> tuple[Finding, ...]:
    """Return the verdict on every row, in order, with advice on those that are inconclusive.

    `later` is the rule that decides at more pairs, for the advice; None if that is the same.
    """
    judged = []
    for comparison in compare(rows, rule):
        verdict = decide(comparison, rule)
        advice = advise(comparison, later or rule) if verdict is Verdict.INCONCLUSIVE else None
        judged.append(Finding(comparison, verdict, advice=advice))
    return tuple(judged)


def judge_table(
    values: Sequence[MetricValues],
    *,
    stops_early: bool = False,
    between_run_sd: float = constants.BETWEEN_RUN_SD,
) -> list[Finding]:
    """Return the verdict on every metric of a table; each family is judged by itself.

    If it stops early, it takes only as many pairs as the answer needs, as a run does.
    `between_run_sd` is the assumed standard deviation of groups that are not pairs, as a ratio.
    """
    families: dict[str, list[MetricValues]] = {}
    for one in values:
        families.setdefault(one.family, []).append(one)
    judged: list[Finding] = []
    for members in families.values():
        most = max((min(len(m.before), len(m.after)) for m in members if m.is_paired), default=0)
        looks = looks_up_to(min(most, constants.LOOKS[-1])) if stops_early else ()
        judged += judge_at_looks(looks or (most,), partial(rows_of_family, members, between_run_sd))
    return judged


def judge_at_looks(
    looks: Sequence[int], rows_at: Callable[[int], Sequence[Row]], *, stops_at_red: bool = False
) -> tuple[Finding, ...]:
    """Return the findings of the first look that may end a run, or of the last look.

    `rows_at` returns the rows of a number of pairs.  A single look is a fixed number of pairs.
    """
    judged: tuple[Finding, ...] = ()
    planned = looks if len(looks) > 1 else ()
    for judged in _findings_by_look(looks, lambda pairs: (rule_at(pairs, planned), None), rows_at):
        if may_end(judged, stops_at_red=stops_at_red):
            break
    return judged


def _findings_by_look(
    numbers: Iterable[int],
    rules_at: Callable[[int], tuple[Rule, Rule | None]],
    rows_at: Callable[[int], Sequence[Row]],
    left_out_at: Callable[[int], Sequence[str]] = lambda _: (),
) -> Iterator[tuple[Finding, ...]]:
    """Yield the findings at each number of pairs, rising; rejections of earlier looks are kept.

    Args:
        numbers: Numbers of pairs, rising.
        rules_at: Returns the rules of a number of pairs: the present and the later; see `findings`.
        rows_at: Returns the rows of a number of pairs.
        left_out_at: Returns the workloads that were settled before a number of pairs.
    """
    before: tuple[Finding, ...] = ()
    for pairs in numbers:
        now = findings(rows_at(pairs), *rules_at(pairs))
        before = _keep_rejections(before, now, left_out_at(pairs))
        yield before


def _keep_rejections(
    before: Sequence[Finding], now: Sequence[Finding], left_out: Sequence[str]
) -> tuple[Finding, ...]:
    """Return the present findings with the rejections of earlier looks.

    A look that rejects has paid for it with its share of alpha, so later pairs do not revoke it.  A
    regression is kept rather than an improvement.  A workload that was left out since keeps its
    findings.
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
    """Return the judgement of a run: its findings, and warnings about the run as a whole."""
    results = by_launch(results)
    valid = len(results.valid_pairs)
    rule, later = rule_for(results, valid), rule_for_more_pairs(results)
    numbers = [*(look for look in results.looks if look < valid), valid]
    results_at = {pairs: results.of_first(pairs) for pairs in numbers}
    *_, judged = _findings_by_look(
        numbers,
        lambda pairs: (rule_for(results, pairs), later),
        lambda pairs: rows_of_results(results_at[pairs]),
        lambda pairs: results_at[pairs].left_out,
    )
    judged = (*failed_trials(results), *judged)
    warnings = run_warnings(results, judged, is_settled=is_settled(judged))
    return Report(results, judged, rule, warnings)


def failed_trials(results: ResultSet) -> tuple[Finding, ...]:
    """Return the finding on failed trials; none if no trial of a valid pair failed.

    The candidate is worse if it failed in two pairs or more and the baseline in none, and better
    the other way round.  Anything between is inconclusive.  Pairs in which both failed are invalid,
    and are not counted.
    """
    valid = set(results.valid_pairs)
    baseline, candidate = (
        sum(t.arm is arm and t.pair in valid and bool(t.failures) for t in results.trials)
        for arm in Arm
    )
    if not baseline and not candidate:
        return ()
    if candidate >= constants.MIN_FAILURES and not baseline:
        verdict = Verdict.REGRESSED
    elif baseline >= constants.MIN_FAILURES and not candidate:
        verdict = Verdict.IMPROVED
    else:
        verdict = Verdict.INCONCLUSIVE
    change = float(candidate - baseline)
    warning = (
        f"the candidate failed in {candidate} of {len(valid)} pairs, the baseline in {baseline} of"
        f" {len(valid)}; values of a failed workload are not counted"
    )
    comparison = Comparison(
        workload=LAUNCH,
        metric=FAILED_TRIALS,
        baseline=float(baseline),
        candidate=float(candidate),
        change=Change(change, change, change),
        pairs=len(valid),
        warnings=(warning,),
        family=GATE,
    )
    return (Finding(comparison, verdict),)


def is_settled(findings: Iterable[Finding]) -> bool:
    """Return True if more pairs could not decide any further gating metric."""
    return not any(
        f.comparison.metric.gate
        and f.verdict is Verdict.INCONCLUSIVE
        and f.comparison.change is not None
        for f in findings
    )


def may_end(findings: Sequence[Finding], *, stops_at_red: bool = False) -> bool:
    """Return True if a run may end at a look; `stops_at_red` if one regression is enough."""
    gating = [f for f in findings if f.comparison.metric.gate]
    if stops_at_red and any(f.verdict is Verdict.REGRESSED for f in gating):
        return True
    return is_settled(gating) and not any(is_suspect(f) for f in gating)


def is_suspect(finding: Finding) -> bool:
    """Return True if a pass may hide a regression that more pairs would show."""
    comparison = finding.comparison
    change, p = comparison.change, comparison.p_unadjusted
    if finding.verdict is not Verdict.UNCHANGED or change is None or p is None:
        return False
    limit = constants.SUSPECT_MARGINS * scale.margin(comparison.metric)
    return p < constants.SUSPECT_ALPHA and scale.worse(comparison.metric, change.estimate) > limit


def is_enough(results: ResultSet) -> bool:
    """Return True if a run has all pairs, or is at a look that may end it."""
    valid = counted_pairs(results)
    if valid >= results.pairs_asked:
        return True
    if valid not in results.looks:
        return False
    return may_end(report(results).findings, stops_at_red=results.stops_at_red)


def settled_workloads(results: ResultSet) -> tuple[str, ...]:
    """Return the workloads that pairs after the last look need not run.

    Every gating metric of such a workload was unchanged at that look, and none was suspect.  A
    workload with a change goes on: what the builds leave behind may differ, too, and later
    workloads may measure that.  A workload that was left out before stays so.
    """
    valid = len(results.valid_pairs)
    look = max((look for look in results.looks if look <= valid), default=0)
    if not look or any(trial.failures for trial in results.trials):
        return ()
    by_workload: dict[str, list[Finding]] = {}
    for finding in report(results.of_first(look)).findings:
        by_workload.setdefault(finding.comparison.workload, []).append(finding)
    settled = [
        name
        for name, own in by_workload.items()
        if name in results.left_out
        or all(
            f.verdict is Verdict.UNCHANGED and not is_suspect(f)
            for f in own
            if f.comparison.metric.gate
        )
    ]
    return tuple(settled) if len(settled) < len(by_workload) else results.left_out


def with_more_pairs(results: ResultSet, more: int, *, is_over: bool) -> tuple[ResultSet, int]:
    """Return results that may have more pairs, and the number of valid ones at which to stop.

    Planned looks stay where they are.  Pairs beyond the last look get one more look at their end,
    with the reserve of `interim.rule_for`.  `is_over` says that the run's budget ended it.

    Raises:
        ConfigError: Every gating metric is settled, so more pairs could not change the answer.
    """
    valid = counted_pairs(results)
    judged = report(results).findings
    has_ended = valid >= results.pairs_asked or (valid in results.looks and may_end(judged))
    if has_ended and is_settled(judged):
        raise ConfigError(
            f"after {valid} pairs every gating metric is settled, so more would not change the"
            " answer",
            hint="for more exact numbers start a new run with a larger --pairs",
        )
    looks, asked = _spent_looks(results, valid) if is_over else (results.looks, results.pairs_asked)
    total, added = valid + more, results.added
    if total > asked:
        looks, asked, added, until = (*(looks or (asked,)), total), total, added + 1, total
    else:
        until = next((look for look in looks if look >= total), asked)
    longer = replace(
        results, looks=looks, pairs_asked=asked, added=added, stops_at_red=False, budget_s=None
    )
    return longer, until


def _spent_looks(results: ResultSet, valid: int) -> tuple[tuple[int, ...], int]:
    """Return the looks and the largest number of pairs of a run that its budget ended.

    A run that ends between two looks was judged as at the next one, which is spent.
    """
    looks = results.looks
    if valid in looks or valid >= results.pairs_asked:
        return looks, results.pairs_asked
    if not looks:
        return (), valid
    spent = next(look for look in looks if look > valid)
    looks = tuple(valid if look == spent else look for look in looks)
    return looks, looks[-1]


def exit_code(report: Report, *, strict: bool) -> Exit:
    """Return the exit code of a process that judged; if strict, an inconclusive run fails."""
    if len(report.results.valid_pairs) < constants.MIN_PAIRS:
        return Exit.WRONG_LOAD
    if report.verdict is Verdict.REGRESSED:
        return Exit.REGRESSION
    if report.verdict is Verdict.INCONCLUSIVE and strict:
        return Exit.INCONCLUSIVE
    return Exit.NO_REGRESSION
