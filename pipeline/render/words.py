"""What every format of a report says in words; always derived from the findings it shows."""

import math
import shlex
from collections.abc import Callable, Iterable
from dataclasses import replace
from statistics import median

from pipeline.judge import scale
from pipeline.judge.constants import FAMILY_ALPHA, MIN_PAIRS
from pipeline.judge.policy import LAUNCH, exit_code
from pipeline.judge.rows import floor_notes
from pipeline.judge.run_warnings import facts
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Bound, Change, Comparison, Finding, Report, Verdict
from pipeline.model.results import Interleave, Machine
from pipeline.model.subject import Arm, Subject, parse_spec
from pipeline.render.names import label
from pipeline.render.numbers import (
    MINUS,
    allowed,
    amount,
    brief,
    brief_interval,
    interval,
    minutes,
    quantity,
    share,
)
from pipeline.system.errors import Exit
from pipeline.system.sanitize import printable, truncate

_LONGEST = 2_000  # characters of one line about builds or a machine

_HOW = {
    Interleave.REQUEST: "both builds at once, each iteration to one of them (duet)",
    Interleave.TRIAL: "one build after the other, in random order",
}
_MANY = 12
_NAMED = 2  # improvements in the answer
_REASON = 120  # characters of a reason in the answer
_TYPICAL = Metric("typical", "1", Better.LOWER, margin=1.0)
"""Stands for the median of ratios, each of which is worse when it is higher."""


def is_measured(report: Report) -> bool:
    """Whether there were enough valid pairs to judge anything."""
    return exit_code(report, strict=False) is not Exit.WRONG_LOAD


WORDS = {
    Verdict.REGRESSED: "REGRESSION",
    Verdict.IMPROVED: "IMPROVED",
    Verdict.UNCHANGED: "PASS",
    Verdict.INCONCLUSIVE: "INCONCLUSIVE",
}
"""The word for the verdict of a run."""

INVALID = "INVALID"
"""The word for a run that has too few valid pairs to be judged."""


def verdict_word(report: Report) -> str:
    """Return the verdict of a run in one word, in capitals."""
    return WORDS[report.verdict] if is_measured(report) else INVALID


def answer(report: Report) -> str:
    """Return the answer in one line: the verdict, which metric, and how much.

    It is the same wherever a report is shown.  The command that would settle an inconclusive run
    is no part of it; `more_pairs` says how many pairs to ask for.
    """
    if not is_measured(report):
        said = _not_measured(report)
    elif not report.gating:
        said = "no metric gates, so nothing was judged"
    else:
        say = {
            Verdict.REGRESSED: _regressed,
            Verdict.IMPROVED: _improved,
            Verdict.UNCHANGED: _passed,
            Verdict.INCONCLUSIVE: _inconclusive,
        }
        said = say[report.verdict](report)
    return printable(f"{verdict_word(report)}: {said}")


def more_pairs(report: Report) -> int | None:
    """Return how many more pairs would most likely settle an inconclusive run; None if none do."""
    if not is_measured(report) or report.verdict is not Verdict.INCONCLUSIVE:
        return None
    asked = [f.advice.more_pairs for f in _doubtful(report) if f.advice]
    return max((pairs for pairs in asked if pairs), default=None) if None not in asked else None


def _not_measured(report: Report) -> str:
    results = report.results
    valid = len(results.valid_pairs)
    reason = next((why for trial in results.trials for why in trial.invalid), "")
    are = "is" if valid == 1 else "are"
    said = f"{valid or 'none'} of {count(results.pairs, 'pair')} {are} valid, {MIN_PAIRS} needed"
    if not results.pairs:
        said = "no pair was measured"
    return f"{said}; {truncate(reason, _REASON)}" if reason else said


def _regressed(report: Report) -> str:
    reds = sorted((f for f in report.gating if f.verdict is Verdict.REGRESSED), key=_gravity)
    return f"{_moved(report, reds[0])}{_and_more(len(reds) - 1)}"


def _improved(report: Report) -> str:
    better = [f for f in report.findings if f.verdict is Verdict.IMPROVED]
    better.sort(key=lambda f: (not f.comparison.metric.gate, -abs(_gravity(f))))
    shown = [_moved_briefly(report, f) for f in better[:_NAMED]]
    if rest := len(better) - len(shown):
        shown.append(f"{rest} more")
    return f"{', '.join(shown)}; {_nothing_worse(report, 'nothing worse')}"


def _passed(report: Report) -> str:
    worst = _at_worst(report)
    said = _nothing_worse(report, "no metric worse")
    return f"{said}; at worst {worst}" if worst else said


def _inconclusive(report: Report) -> str:
    """Return the worst that is not excluded, and what would settle it.

    More pairs say nothing of metrics without an interval, so these are counted apart.
    """
    doubtful = sorted(_doubtful(report), key=at_worst_in_tolerances, reverse=True)
    compared = [f for f in doubtful if f.comparison.change is not None]
    missing = [f for f in doubtful if f.comparison.change is None]
    parts = []
    if compared:
        parts += [f"{_doubt(report, compared[0])}{_and_more(len(compared) - 1)}"]
        it = "it" if len(compared) == 1 else "them"
        if more := more_pairs(report):
            parts.append(f"{count(more, 'more pair')} would settle {it}")
        else:
            parts.append(f"more pairs alone will hardly settle {it}")
    if missing:
        others = "" if len(missing) == 1 else f" and {len(missing) - 1} more"
        parts.append(f"nothing to compare for {_label(report, missing[0].comparison)}{others}")
    return "; ".join(parts)


def _doubt(report: Report, finding: Finding) -> str:
    """Return how bad an inconclusive metric could be."""
    comparison = finding.comparison
    if comparison.workload == LAUNCH:
        return _failed(comparison)
    name = _label(report, comparison)
    if comparison.at_worst is None:
        return f"how much worse {name} is cannot be said, because a deadline cut it off"
    metric = comparison.metric
    size = brief(metric, comparison.at_worst, is_limit=True)
    if size.startswith(">"):
        return f"{name} could be more than {size.removeprefix('>')} worse"
    if scale.worse(metric, comparison.at_worst) <= 0:
        return f"{name} varies too much to be judged"
    if metric.better is Better.HIGHER:
        return f"{name} could be up to {size.removeprefix(MINUS)} lower"
    return f"{name} could be up to {size} worse"


def _at_worst(report: Report) -> str:
    """Return what a pass excludes: of the typical ratio, and of the metric nearest its tolerance.

    A typical one is the median, in the direction in which each metric gets worse.
    """
    known = [f for f in report.gating if f.comparison.at_worst is not None]
    if not known:
        return ""
    said = []
    ratios = [f.comparison for f in known if f.comparison.metric.scale is Scale.RATIO]
    if len(ratios) > 1:
        worse = median(scale.worse(one.metric, one.at_worst or 0.0) for one in ratios)
        said.append(f"{brief(_TYPICAL, scale.change(_TYPICAL, worse), is_limit=True)} typical")
    worst = max(known, key=at_worst_in_tolerances).comparison
    size = brief(worst.metric, worst.at_worst or 0.0, is_limit=True)
    return ", ".join([*said, f"{size} {_label(report, worst)}"])


def _nothing_worse(report: Report, said: str) -> str:
    """Return a sentence, and that it is of gating metrics only where another one is worse."""
    worse = sum(f.verdict is Verdict.REGRESSED for f in report.findings)
    return f"no gating metric worse, but {count(worse, 'other')}" if worse else said


def _moved(report: Report, finding: Finding) -> str:
    """Return a metric with its change and interval: `create p50 +31 % (29 to 33 %)`."""
    when = f" at {count(finding.kept.pairs, 'pair')}" if finding.kept else ""
    return _sized(report, finding, lambda metric, change: brief_interval(metric, change) + when)


def _moved_briefly(report: Report, finding: Finding) -> str:
    """Return a metric with its change: `create p50 +31 %`."""
    return _sized(report, finding, _briefly)


def _briefly(metric: Metric, change: Change) -> str:
    bound = "" if change.bound is Bound.NONE else f"{change.bound.value} "
    return f"{bound}{brief(metric, change.estimate)}"


def _sized(report: Report, finding: Finding, size: Callable[[Metric, Change], str]) -> str:
    """Return a metric with the size of its change, or how a build failed."""
    comparison = finding.kept or finding.comparison
    if comparison.workload == LAUNCH:
        return _failed(comparison)
    said = _label(report, comparison)
    return f"{said} {size(comparison.metric, comparison.change)}" if comparison.change else said


def _failed(comparison: Comparison) -> str:
    """Return in how many pairs which build failed."""
    failed = {"candidate": comparison.candidate or 0, "baseline": comparison.baseline or 0}
    worse, better = sorted(failed, key=lambda arm: -failed[arm])
    of = count(comparison.pairs, "pair")
    return f"the {worse} failed in {failed[worse]:g} of {of}, the {better} in {failed[better]:g}"


def _label(report: Report, comparison: Comparison) -> str:
    return label(comparison, (f.comparison for f in report.findings))


def _doubtful(report: Report) -> list[Finding]:
    return [f for f in report.gating if f.verdict is Verdict.INCONCLUSIVE]


def _and_more(rest: int) -> str:
    return f", and {rest} more" if rest else ""


def _gravity(finding: Finding) -> float:
    """Return by how many margins a metric is better; a build that failed is the gravest."""
    comparison = finding.kept or finding.comparison
    return -math.inf if comparison.workload == LAUNCH else -_change_in_margins(comparison)


def at_worst_in_tolerances(finding: Finding) -> float:
    """Return the worst change that is not excluded, in tolerances; unknown is the worst of all."""
    comparison = finding.comparison
    if comparison.workload == LAUNCH or comparison.at_worst is None:
        return math.inf
    metric = comparison.metric
    return scale.worse(metric, comparison.at_worst) / scale.tolerance(metric)


def counts(report: Report) -> str:
    """Return how many findings have each verdict, the gating ones apart from the others."""
    parts = [f"gating: {tally(report.gating)}"] if report.gating else []
    others = [f for f in report.findings if not f.comparison.metric.gate]
    if others:
        parts.append(f"others: {tally(others)}")
    return "; ".join(parts) or "no metrics"


def identity(report: Report) -> str:
    """Return what was compared with what, and how."""
    results = report.results
    subjects = (_named(results.subjects[arm]) for arm in (Arm.CANDIDATE, Arm.BASELINE))
    candidate, baseline = subjects
    stored = f", stored as {results.stored.name}," if results.stored else ""
    return (
        f"{candidate} against {baseline}{stored} on the suite {results.suite}:"
        f" {count(len(results.valid_pairs), 'pair')}, {_HOW[results.interleave]}"
    )


def detectable(report: Report) -> str:
    """Return the smallest regression of a gating metric that this run would have detected.

    On the ratio scale the typical metric and the worst.  Amounts have no common unit, so on the
    difference scale it is the metric that is worst for its margin.
    """
    seen = [f for f in report.gating if f.comparison.detectable_change is not None]
    ratios = sorted(
        (f for f in seen if f.comparison.metric.scale is Scale.RATIO), key=_smallest_worse
    )
    amounts = [f for f in seen if f.comparison.metric.scale is Scale.DIFFERENCE]
    said = []
    if len(ratios) > 1:
        said.append(f"{_smallest(ratios[(len(ratios) - 1) // 2])} in a typical metric")
    if ratios:
        said.append(f"{_smallest(ratios[-1])} in {key(ratios[-1])}, the noisiest")
    if amounts:
        worst = max(amounts, key=_smallest_in_margins)
        said.append(f"{_smallest(worst)} in {key(worst)}, the noisiest of the amounts")
    if not said:
        return ""
    return (
        f"It would have detected a regression of {'; of '.join(said)}"
        f" ({share(report.rule.power)} power)."
    )


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings by gravity: regressions, gating ones first, then the rest, largest first."""
    order = (Verdict.REGRESSED, Verdict.IMPROVED, Verdict.INCONCLUSIVE, Verdict.UNCHANGED)
    return sorted(
        findings,
        key=lambda f: (
            order.index(f.verdict),
            not f.comparison.metric.gate,
            -abs(_change_in_margins(f.comparison)),
        ),
    )


def method(report: Report) -> list[tuple[str, str]]:
    """Return what the verdict rests on, as pairs of a name and a sentence."""
    results = report.results
    invalid = sum(bool(trial.invalid) for trial in results.trials)
    baseline, candidate = (results.subjects[arm] for arm in Arm)
    lines = [
        ("candidate", _origin(candidate)),
        ("baseline", _origin(baseline)),
        ("machine", _facts(results.machine)),
        (
            "tools",
            truncate(
                ", ".join(f"{n} {tool.version}" for n, tool in sorted(results.tools.items())),
                _LONGEST,
            ),
        ),
        (
            "pairs",
            "; ".join(
                [
                    f"{len(results.valid_pairs)} valid of {results.pairs}, {_order(report)}",
                    *_settled(report),
                ]
            ),
        ),
        ("trials", f"{len(results.trials)}, {invalid} of them invalid"),
        ("when", f"{results.taken_at:%Y-%m-%d %H:%M} UTC, {minutes(results.measured_s)} measured"),
        ("seed", f"{results.seed}"),
        ("suite", f"{results.suite}, {_short(results.suite_digest)}"),
        (
            "rule",
            _rule(report),
        ),
        ("prior", _prior(report)),
        ("floors", _floors(report)),
        ("notes", "; ".join(facts(results))),
    ]
    return [(name, sentence) for name, sentence in lines if sentence]


def _rule(report: Report) -> str:
    rule, looks = report.rule, report.results.looks
    when = f" over looks at {', '.join(map(str, looks))} pairs" if looks else ""
    seen = f"{FAMILY_ALPHA:g} is spent{when}, a tenth of it on pairs that are added later; "
    equal = share(1 - 2 * rule.pass_alpha)
    return (
        "worse or better by more than the margin, at alpha"
        f" {rule.alpha:.4g} over all gating metrics (Holm; Benjamini-Hochberg over the others;"
        f" at least {rule.min_family_size} tests); {seen}intervals"
        f" {share(rule.confidence)}; unchanged when `at worst`, the end of the interval at {equal},"
        " is below the tolerance and half of the shown one is within"
        f" {rule.max_half_width:g} tolerances; the detectable change is the smallest worsening"
        f" called a regression with power {share(rule.power)}"
    )


def _prior(report: Report) -> str:
    """Return what the spread of each metric leans on, beside the pairs of the run."""
    prior = report.results.prior
    if prior is None:
        return "none: the spread of each metric is known from the pairs of this run alone"
    used = sum(finding.comparison.prior_sd is not None for finding in report.findings)
    source = truncate(prior.source, _LONGEST)
    return (
        f"{source}: how much pairs varied there counts {prior.degrees_of_freedom:g} degrees of"
        f" freedom, in {count(used, 'metric')} of {len(report.findings)}"
    )


def _floors(report: Report) -> str:
    """Return what is subtracted from both arms before a ratio, metric by metric."""
    found: dict[str, list[str]] = {}
    for finding in report.findings:
        for said in floor_notes(finding.comparison.metric):
            found.setdefault(said, []).append(key(finding))
    return "; ".join(f"{_listed(keys)}: {said}" for said, keys in found.items())


def notes(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """Return what is to be known of single metrics: pairs of a sentence and the metrics."""
    where: dict[str, list[str]] = {}
    for finding in findings:
        for warning in finding.comparison.warnings:
            where.setdefault(warning, []).append(key(finding))
    return [(warning, _listed(keys)) for warning, keys in where.items()]


def all_warnings(finding: Finding) -> tuple[str, ...]:
    """Return the warnings of a metric, and the note that its floor is subtracted."""
    return (*finding.comparison.warnings, *floor_notes(finding.comparison.metric))


def advised(finding: Finding) -> tuple[str, ...]:
    """Return a sentence on what would settle an inconclusive metric; nothing of any other."""
    said = finding.advice
    if said is None:
        return ()
    if said.more_pairs is None:
        return (f"{said.shows}: no number of pairs that anybody waits for would settle it",)
    return (f"{said.shows}: about {count(said.more_pairs, 'more pair')} would settle it",)


def reproduce(report: Report) -> str:
    """Return the command that measures the same again, quoted for a shell."""
    results = report.results
    baseline = results.subjects[Arm.BASELINE]
    is_auto = results.looks and not results.added
    place = results.place
    if place is None:  # an older version did not keep what was asked for
        place = "" if results.environment == "local" else "environment.toml"
    against = (
        ("--baseline", results.stored.name) if results.stored else ("--against", _pinned(baseline))
    )
    words = [
        *("milo-perf", "run", "--suite", results.suite_path or results.suite),
        *("--candidate", _pinned(results.subjects[Arm.CANDIDATE])),
        *against,
        *("--pairs", "auto" if is_auto else f"{results.pairs_asked}"),
        *("--interleave", results.interleave.value),
        *(("--environment", place) if place else ()),
        *(("--load-pods", f"{results.load_pods}") if results.load_pods is not None else ()),
        *("--seed", f"{results.seed}"),
    ]
    if command := results.subjects[Arm.CANDIDATE].facts.get("build"):
        words += ("--build", command)
    return printable(shlex.join(words))


def key(finding: Finding) -> str:
    """Return `workload/metric`, or the metric alone where there is no workload."""
    return finding.comparison.key.removeprefix("/")


def measured(finding: Finding, arm: Arm) -> str:
    """Return the mean of an arm with its unit; `>= 2.00 s` where a deadline cut values off."""
    comparison = finding.comparison
    value = comparison.baseline if arm is Arm.BASELINE else comparison.candidate
    is_bound = arm in comparison.cut_off and value is not None
    return f"{'>= ' if is_bound else ''}{quantity(value, comparison.metric.unit)}"


def at_worst(finding: Finding) -> str:
    """Return the worst change that is not excluded; `unknown` where a deadline hides it."""
    comparison = finding.comparison
    if comparison.change is None:
        return "-"
    if comparison.at_worst is None:
        return "-" if comparison.standard_error is None else "unknown"
    return brief(comparison.metric, comparison.at_worst, is_limit=True).replace(MINUS, "-")


def margins(metric: Metric) -> str:
    """Return the margin of a metric, and in brackets its tolerance where that is another."""
    if metric.tolerated == metric.margin:
        return allowed(metric)
    return f"{allowed(metric)} ({allowed(replace(metric, margin=metric.tolerated))})"


def kept(finding: Finding) -> str:
    """Return where a verdict is kept from, and what all pairs show; empty where it is not kept.

    A verdict of an earlier look stays, because that look has paid for it with its share of alpha.
    """
    earlier, now = finding.kept, finding.comparison
    if earlier is None:
        return ""
    return (
        f"found at {count(earlier.pairs, 'pair')}: {interval(earlier.metric, earlier.change)};"
        f" all {count(now.pairs, 'pair')}: {interval(now.metric, now.change)}"
    )


def count(number: int, noun: str) -> str:
    """Return a number with its noun: `1 metric`, `2 metrics`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def tally(findings: Iterable[Finding]) -> str:
    """Return how many findings have each verdict."""
    found = [finding.verdict for finding in findings]
    return ", ".join(f"{found.count(v)} {v.value}" for v in Verdict if v in found)


def _named(subject: Subject) -> str:
    return f"{subject.spec} ({_short(subject.digest)})"


def _short(digest: str) -> str:
    """Return enough of a digest to tell it from others; results.json has all of it."""
    return digest.removeprefix("sha256:")[:12]


def _origin(subject: Subject) -> str:
    facts = (f"{name} {value}" for name, value in sorted(subject.facts.items()) if value)
    return truncate(", ".join((_named(subject), *facts)), _LONGEST)


def _facts(machine: Machine) -> str:
    known = {**machine.fingerprint, **machine.facts}
    return truncate(", ".join(f"{name} {value}" for name, value in known.items()), _LONGEST)


def _settled(report: Report) -> list[str]:
    """Return what is to be said of workloads that only some pairs have run."""
    results = report.results
    return [
        f"{name} was settled after {len(results.pairs_of(name))} and left out since"
        for name in results.left_out
    ]


def _order(report: Report) -> str:
    trials = report.results.trials
    first = sum(trial.arm is Arm.CANDIDATE and trial.position == 0 for trial in trials)
    return f"the candidate first in {first}"


def _listed(keys: list[str]) -> str:
    rest = len(keys) - _MANY
    return ", ".join(keys[:_MANY]) + (f" and {rest} more" if rest > 0 else "")


def _pinned(subject: Subject) -> str:
    """Return the spec with its source's tree, when that is known and committed."""
    tree = subject.facts.get("tree", "")
    if not tree or subject.facts.get("modified") != "no":
        return subject.spec
    try:
        return str(replace(parse_spec(subject.spec), revision=tree))
    except ValueError:
        return subject.spec


def _smallest(finding: Finding) -> str:
    """Return the smallest detectable worsening as a size: its direction is known."""
    return (
        amount(finding.comparison.metric, finding.comparison.detectable_change)
        .replace("+", "")
        .lstrip("-")
    )


def _smallest_worse(finding: Finding) -> float:
    smallest = finding.comparison.detectable_change
    return 0.0 if smallest is None else scale.worse(finding.comparison.metric, smallest)


def _smallest_in_margins(finding: Finding) -> float:
    return _smallest_worse(finding) / scale.margin(finding.comparison.metric)


def _change_in_margins(comparison: Comparison) -> float:
    """Return by how many margins a metric is worse."""
    metric, change = comparison.metric, comparison.change
    return 0.0 if change is None else scale.worse(metric, change.estimate) / scale.margin(metric)
