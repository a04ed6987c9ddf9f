"""What every format of a report says in words; always derived from the findings it shows."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pipeline.errors import Exit
from pipeline.judge import scale
from pipeline.judge.policy import ALPHA, exit_code
from pipeline.model.metric import Scale
from pipeline.model.report import Finding, Report, Verdict
from pipeline.model.results import Interleave, Machine
from pipeline.model.subject import Arm, Subject, parse_spec
from pipeline.plain import clipped, plain
from pipeline.render.numbers import amount, minutes, quantity, share

_LONGEST = 2_000  # characters of one line about builds or a machine

_HOW = {
    Interleave.REQUEST: "both builds at once, each iteration to one of them (duet)",
    Interleave.TRIAL: "one build after the other, in random order",
}
_MANY = 12


@dataclass(frozen=True, slots=True)
class Headline:
    """The answer: what was found, and what to do about it."""

    found: str
    advice: str


def is_measured(report: Report) -> bool:
    """Whether there were enough valid pairs to judge anything."""
    return exit_code(report, strict=False) is not Exit.WRONG_LOAD


def headline(report: Report) -> Headline:
    """Return the verdict of the run in words."""
    if not is_measured(report):
        valid = count(len(report.results.valid_pairs), "valid pair")
        return Headline(f"not measured, only {valid}", "repair the load, then run again")
    gating = report.gating
    of = {v: [f for f in gating if f.verdict is v] for v in Verdict}
    all_of = f"of {count(len(gating), 'gating metric')}"
    match report.verdict:
        case Verdict.REGRESSED:
            worse = of[Verdict.REGRESSED]
            return Headline(
                f"{count(len(worse), 'regression')} among {count(len(gating), 'gating metric')}",
                "look before merging",
            )
        case Verdict.INCONCLUSIVE if not gating:
            return Headline("nothing judged, no metric gates", "let a metric gate in the suite")
        case Verdict.INCONCLUSIVE:
            return Headline(
                f"could not judge {len(of[Verdict.INCONCLUSIVE])} {all_of}",
                "not a pass: run more pairs, or read why below",
            )
        case Verdict.IMPROVED:
            return Headline(
                f"no regression, {len(of[Verdict.IMPROVED])} {all_of} improved",
                "no action needed",
            )
        case Verdict.UNCHANGED:
            return Headline(
                f"no regression in {count(len(gating), 'gating metric')}", "no action needed"
            )


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
    """Return the smallest worsening of a gating metric that this run could have seen.

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
        said.append(f"{_smallest(ratios[-1])} in {key(ratios[-1])}, the worst")
    if amounts:
        worst = max(amounts, key=_smallest_in_margins)
        said.append(f"{_smallest(worst)} in {key(worst)}, the worst of the counts")
    if not said:
        return ""
    return (
        f"It could have seen, {share(report.rule.power)} of the time, a worsening of"
        f" {'; of '.join(said)}."
    )


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings by gravity: gating regressions, other ones, then the rest, largest first."""
    order = (Verdict.REGRESSED, Verdict.INCONCLUSIVE, Verdict.IMPROVED, Verdict.UNCHANGED)
    return sorted(
        findings,
        key=lambda f: (
            order.index(f.verdict),
            not f.comparison.metric.gate,
            -abs(_change_in_margins(f)),
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
            clipped(
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
    ]
    return [(name, sentence) for name, sentence in lines if sentence]


def _rule(report: Report) -> str:
    rule, looks = report.rule, report.results.looks
    when = f" over looks at {', '.join(map(str, looks))} pairs" if looks else ""
    seen = f"{ALPHA:g} is spent{when}, a tenth of it on pairs that are added later; "
    equal = share(1 - 2 * rule.pass_alpha)
    return (
        "worse or better by more than the margin, at alpha"
        f" {rule.alpha:.4g} over all gating metrics (Holm; Benjamini-Hochberg over the others;"
        f" at least {rule.least_tests} tests); {seen}intervals"
        f" {share(rule.confidence)}; unchanged when the interval at {equal} ends"
        f" below the margin and half of the shown one is within {rule.widest:g} margins;"
        f" `sees` is the smallest worsening called a regression with power {share(rule.power)}"
    )


def notes(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """Return what is to be known of single metrics: pairs of a sentence and the metrics."""
    where: dict[str, list[str]] = {}
    for finding in findings:
        for warning in (*finding.comparison.warnings, *advised(finding)):
            where.setdefault(warning, []).append(key(finding))
    return [(warning, _listed(keys)) for warning, keys in where.items()]


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
        *("python", "-m", "pipeline", "run", "--suite", results.suite_path or results.suite),
        *("--candidate", _pinned(results.subjects[Arm.CANDIDATE])),
        *against,
        *("--pairs", "auto" if is_auto else f"{results.pairs_asked}"),
        *("--interleave", results.interleave.value),
        *(("--environment", place) if place else ()),
        *("--seed", f"{results.seed}"),
    ]
    if command := results.subjects[Arm.CANDIDATE].facts.get("build"):
        words += ("--build", command)
    return plain(shlex.join(words))


def key(finding: Finding) -> str:
    """Return `workload/metric`, or the metric alone where there is no workload."""
    comparison = finding.comparison
    return f"{comparison.workload}/{comparison.metric.name}".removeprefix("/")


def measured(finding: Finding, arm: Arm) -> str:
    """Return the median of an arm with its unit; `>= 2.00 s` where a deadline cut values off."""
    comparison = finding.comparison
    value = comparison.baseline if arm is Arm.BASELINE else comparison.candidate
    is_bound = arm in comparison.cut_off and value is not None
    return f"{'>= ' if is_bound else ''}{quantity(value, comparison.metric.unit)}"


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
    return clipped(", ".join((_named(subject), *facts)), _LONGEST)


def _facts(machine: Machine) -> str:
    known = {**machine.fingerprint, **machine.facts}
    return clipped(", ".join(f"{name} {value}" for name, value in known.items()), _LONGEST)


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


def _change_in_margins(finding: Finding) -> float:
    metric, change = finding.comparison.metric, finding.comparison.change
    return 0.0 if change is None else scale.worse(metric, change.estimate) / scale.margin(metric)
