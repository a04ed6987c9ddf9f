"""Say the answer in one line: the verdict, which metric, and how much.

The line is the same wherever a report is shown.
"""

import math
from collections.abc import Callable, Sequence
from statistics import median

from pipeline.judge import scale
from pipeline.judge.constants import MIN_PAIRS
from pipeline.judge.policy import LAUNCH, exit_code
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Bound, Change, Comparison, Finding, Report, Verdict, worst_verdict
from pipeline.render.names import label
from pipeline.render.numbers import MINUS, brief_change, brief_interval, count
from pipeline.system.errors import Exit
from pipeline.system.sanitize import printable, truncate

_MAX_NAMED = 2  # improvements
_MAX_REASON = 120  # characters
_TYPICAL = Metric("typical", "1", Better.LOWER, margin=1.0)
"""Stands for the median of ratios, each of which is worse when it is higher."""

VERDICT_WORDS = {
    Verdict.REGRESSED: "REGRESSION",
    Verdict.IMPROVED: "IMPROVED",
    Verdict.UNCHANGED: "PASS",
    Verdict.INCONCLUSIVE: "INCONCLUSIVE",
}

INVALID = "INVALID"
"""The word for a run that has too few valid pairs to be judged."""


def is_measured(report: Report) -> bool:
    """Return whether there were enough valid pairs to judge anything."""
    return exit_code(report, strict=False) is not Exit.WRONG_LOAD


def verdict_word(report: Report) -> str:
    """Return the verdict of a run in one word, in capitals."""
    return VERDICT_WORDS[report.verdict] if is_measured(report) else INVALID


def answer(report: Report) -> str:
    """Return the answer of a run in one line.

    It does not contain the command that would settle an inconclusive run; `more_pairs` says how
    many pairs that command must ask for.
    """
    if not is_measured(report):
        return printable(f"{INVALID}: {_not_measured(report)}")
    if not report.gating:
        return f"{verdict_word(report)}: no metric gates, so nothing was judged"
    return _answer_line(report.findings, report.gating, report.verdict)


def findings_answer(findings: Sequence[Finding]) -> str:
    """Return the answer of findings without a run in one line; all of them gate."""
    if not findings:
        return f"{VERDICT_WORDS[Verdict.INCONCLUSIVE]}: no metric was measured"
    return _answer_line(findings, findings, worst_verdict(findings))


def more_pairs(report: Report) -> int | None:
    """Return how many more pairs would most likely settle an inconclusive run; None if none do."""
    if not is_measured(report) or report.verdict is not Verdict.INCONCLUSIVE:
        return None
    inconclusive = _inconclusive(report.gating)
    if any(one.comparison.change is None for one in inconclusive):
        return None  # it would still have nothing to compare
    return _more_pairs(inconclusive)


def at_worst_in_tolerances(finding: Finding) -> float:
    """Return the worst change that is not excluded, in tolerances; infinite if unknown."""
    comparison = finding.comparison
    if comparison.workload == LAUNCH or comparison.at_worst is None:
        return math.inf
    metric = comparison.metric
    return scale.worse(metric, comparison.at_worst) / scale.tolerance(metric)


def change_in_margins(comparison: Comparison) -> float:
    """Return by how many margins a metric is worse."""
    metric, change = comparison.metric, comparison.change
    return 0.0 if change is None else scale.worse(metric, change.estimate) / scale.margin(metric)


def and_more(rest: int) -> str:
    """Return `, and 3 more`; empty if nothing is left."""
    return f", and {rest} more" if rest > 0 else ""


def _answer_line(findings: Sequence[Finding], gating: Sequence[Finding], verdict: Verdict) -> str:
    texts = {
        Verdict.REGRESSED: _regression_text,
        Verdict.IMPROVED: _improvement_text,
        Verdict.UNCHANGED: _pass_text,
        Verdict.INCONCLUSIVE: _inconclusive_text,
    }
    return printable(f"{VERDICT_WORDS[verdict]}: {texts[verdict](findings, gating)}")


def _not_measured(report: Report) -> str:
    results = report.results
    valid = len(results.valid_pairs)
    are = "is" if valid == 1 else "are"
    text = f"{valid or 'none'} of {count(results.pairs, 'pair')} {are} valid, {MIN_PAIRS} needed"
    if not results.pairs:
        text = "no pair was measured"
    reason = next((reason for trial in results.trials for reason in trial.invalid), "")
    return f"{text}; {truncate(reason, _MAX_REASON)}" if reason else text


def _regression_text(findings: Sequence[Finding], gating: Sequence[Finding]) -> str:
    regressions = sorted((f for f in gating if f.verdict is Verdict.REGRESSED), key=_gravity)
    worst = regressions[0]
    when = f" at {count(worst.kept.pairs, 'pair')}" if worst.kept else ""
    size = _sized(findings, worst, lambda metric, change: brief_interval(metric, change) + when)
    return f"{size}{and_more(len(regressions) - 1)}"


def _improvement_text(findings: Sequence[Finding], _: Sequence[Finding]) -> str:
    better = [f for f in findings if f.verdict is Verdict.IMPROVED]
    better.sort(key=lambda f: (not f.comparison.metric.gate, -abs(_gravity(f))))
    parts = [_sized(findings, f, _brief_size) for f in better[:_MAX_NAMED]]
    if rest := len(better) - len(parts):
        parts.append(f"{rest} more")
    return f"{', '.join(parts)}; {_nothing_worse(findings, 'nothing worse')}"


def _pass_text(findings: Sequence[Finding], gating: Sequence[Finding]) -> str:
    worst = _at_worst(findings, gating)
    text = _nothing_worse(findings, "no metric worse")
    return f"{text}; at worst {worst}" if worst else text


def _inconclusive_text(findings: Sequence[Finding], gating: Sequence[Finding]) -> str:
    """Return the worst change that is not excluded, and what would settle it.

    More pairs do not help metrics without an interval, so these are counted separately.
    """
    inconclusive = sorted(_inconclusive(gating), key=at_worst_in_tolerances, reverse=True)
    compared = [f for f in inconclusive if f.comparison.change is not None]
    missing = [f for f in inconclusive if f.comparison.change is None]
    parts = []
    if compared:
        parts += [f"{_possible_change(findings, compared[0])}{and_more(len(compared) - 1)}"]
        it = "it" if len(compared) == 1 else "them"
        if more := _more_pairs(inconclusive):
            parts.append(f"{count(more, 'more pair')} would settle {it}")
        else:
            parts.append(f"more pairs alone will hardly settle {it}")
    if missing:
        others = "" if len(missing) == 1 else f" and {len(missing) - 1} more"
        parts.append(f"nothing to compare for {_label(findings, missing[0].comparison)}{others}")
    return "; ".join(parts)


def _possible_change(findings: Sequence[Finding], finding: Finding) -> str:
    """Return how much worse an inconclusive metric could be."""
    comparison = finding.comparison
    if comparison.workload == LAUNCH:
        return _failed_launches(comparison)
    name = _label(findings, comparison)
    if comparison.at_worst is None:
        return f"how much worse {name} is cannot be said, because a deadline cut it off"
    metric = comparison.metric
    size = brief_change(metric, comparison.at_worst, is_limit=True)
    if size.startswith(">"):
        return f"{name} could be more than {size.removeprefix('>')} worse"
    if scale.worse(metric, comparison.at_worst) <= 0:
        return f"{name} varies too much to be judged"
    if metric.better is Better.HIGHER:
        return f"{name} could be up to {size.removeprefix(MINUS)} lower"
    return f"{name} could be up to {size} worse"


def _at_worst(findings: Sequence[Finding], gating: Sequence[Finding]) -> str:
    """Return what a pass excludes: of the typical ratio, and of the metric nearest its tolerance.

    The typical ratio is the median, in the direction in which each metric gets worse.
    """
    known = [f for f in gating if f.comparison.at_worst is not None]
    if not known:
        return ""
    parts = []
    ratios = [f.comparison for f in known if f.comparison.metric.scale is Scale.RATIO]
    if len(ratios) > 1:
        worse = median(scale.worse(one.metric, one.at_worst or 0.0) for one in ratios)
        typical = brief_change(_TYPICAL, scale.change(_TYPICAL, worse), is_limit=True)
        parts.append(f"{typical} typical")
    worst = max(known, key=at_worst_in_tolerances).comparison
    size = brief_change(worst.metric, worst.at_worst or 0.0, is_limit=True)
    return ", ".join([*parts, f"{size} {_label(findings, worst)}"])


def _nothing_worse(findings: Sequence[Finding], text: str) -> str:
    """Return the text, unless a metric that does not gate is worse."""
    worse = sum(f.verdict is Verdict.REGRESSED for f in findings)
    return f"no gating metric worse, but {count(worse, 'other')}" if worse else text


def _brief_size(metric: Metric, change: Change) -> str:
    bound = "" if change.bound is Bound.NONE else f"{change.bound.value} "
    return f"{bound}{brief_change(metric, change.estimate)}"


def _sized(
    findings: Sequence[Finding], finding: Finding, size: Callable[[Metric, Change], str]
) -> str:
    """Return a metric with the size of its change, or how often a build failed."""
    comparison = finding.kept or finding.comparison
    if comparison.workload == LAUNCH:
        return _failed_launches(comparison)
    name = _label(findings, comparison)
    return f"{name} {size(comparison.metric, comparison.change)}" if comparison.change else name


def _failed_launches(comparison: Comparison) -> str:
    failed = {"candidate": comparison.candidate or 0, "baseline": comparison.baseline or 0}
    worse, better = sorted(failed, key=lambda arm: -failed[arm])
    pairs = count(comparison.pairs, "pair")
    return f"the {worse} failed in {failed[worse]:g} of {pairs}, the {better} in {failed[better]:g}"


def _label(findings: Sequence[Finding], comparison: Comparison) -> str:
    return label(comparison, (f.comparison for f in findings))


def _inconclusive(gating: Sequence[Finding]) -> list[Finding]:
    return [f for f in gating if f.verdict is Verdict.INCONCLUSIVE]


def _more_pairs(inconclusive: Sequence[Finding]) -> int | None:
    needed = [f.advice.more_pairs for f in inconclusive if f.advice]
    return None if None in needed else max((pairs for pairs in needed if pairs), default=None)


def _gravity(finding: Finding) -> float:
    """Return by how many margins a metric is better; a build that failed is the gravest."""
    comparison = finding.kept or finding.comparison
    return -math.inf if comparison.workload == LAUNCH else -change_in_margins(comparison)
