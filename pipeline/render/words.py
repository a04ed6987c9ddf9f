"""The sentences that every format of a report shares, always derived from the findings it shows."""

import math
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pipeline.judge import scale
from pipeline.judge.constants import FAMILY_ALPHA
from pipeline.judge.levels import levels_of_ratios
from pipeline.judge.rows import floor_notes
from pipeline.judge.run_warnings import facts
from pipeline.model.metric import Metric, Scale
from pipeline.model.report import Finding, Report, Verdict, WarningKind
from pipeline.model.results import ETCD_MEMBERS, PROFILE, REPLICAS, Interleave, Machine
from pipeline.model.subject import Arm, Subject, parse_spec
from pipeline.render.names import describe_metric
from pipeline.render.numbers import (
    MINUS,
    amount,
    brief_change,
    count,
    duration,
    interval,
    margin_text,
    moment,
    quantity,
    share,
)
from pipeline.system.sanitize import printable, truncate

MAX_WARNING_GROUPS = len(WarningKind)
"""Largest number of groups of warnings in a report: one for each kind."""

INTERLEAVE_TEXT = {
    Interleave.REQUEST: "both builds at once, each iteration to one of them (duet)",
    Interleave.TRIAL: "one build after the other, in random order",
}
_MAX_LINE = 2_000  # characters about builds or a machine
_MAX_METRICS = 12
_MAX_SENTENCES = 3  # in one group of warnings
_WARNING_ADVICE = {
    WarningKind.FAILURES: "Read the logs of the build in the folder of the pair",
    WarningKind.LOAD: "Repeat on a less busy machine, or with less load",
    WarningKind.METRICS: (
        "A metric with missing values decides nothing: find the cause, or do not gate on it"
    ),
    WarningKind.BUILDS: "Build both from committed source with the same toolchain",
    WarningKind.TRIALS: (
        "A longer or heavier load makes metrics steadier; results.json names each trial"
    ),
}


@dataclass(frozen=True, slots=True)
class WarningGroup:
    """Warnings of one kind.

    Attributes:
        advice: What to do about them; empty if the warnings say it themselves.
    """

    sentences: tuple[str, ...]
    more: int
    advice: str

    def __str__(self) -> str:
        """Return the group as one paragraph."""
        more = f"; and {self.more} more, see verdict.json" if self.more else ""
        advice = f". {self.advice}." if self.advice else ""
        return f"{'; '.join(self.sentences)}{more}{advice}"


def warning_groups(report: Report) -> list[WarningGroup]:
    """Return the warnings of a report by kind, the gravest first."""
    by_kind: dict[WarningKind, list[str]] = {kind: [] for kind in WarningKind}
    for warning in report.warnings:
        by_kind[warning.kind].append(warning.text)
    notes = metric_notes(report.findings)
    by_kind[WarningKind.METRICS] += (f"{names}: {text}" for text, names in notes)
    return [
        WarningGroup(
            tuple(texts[:_MAX_SENTENCES]),
            max(0, len(texts) - _MAX_SENTENCES),
            _WARNING_ADVICE.get(kind, ""),
        )
        for kind, texts in by_kind.items()
        if texts
    ]


def verdict_counts(report: Report) -> str:
    """Return how many findings have each verdict, gating ones and others separately."""
    parts = [f"gating: {tally(report.gating)}"] if report.gating else []
    others = [f for f in report.findings if not f.comparison.metric.gate]
    if others:
        parts.append(f"others: {tally(others)}")
    return "; ".join(parts) or "no metrics"


def tally(findings: Iterable[Finding]) -> str:
    """Return how many findings have each verdict."""
    verdicts = [finding.verdict for finding in findings]
    return ", ".join(f"{verdicts.count(v)} {v.value}" for v in Verdict if v in verdicts)


def identity(report: Report) -> str:
    """Return which builds were compared, and how."""
    results = report.results
    candidate, baseline = (
        _spec_and_digest(results.subjects[arm]) for arm in (Arm.CANDIDATE, Arm.BASELINE)
    )
    stored = f", stored as {results.stored.name}," if results.stored else ""
    return (
        f"{candidate} against {baseline}{stored} on the suite {results.suite}:"
        f" {count(len(results.valid_pairs), 'pair')}, {INTERLEAVE_TEXT[results.interleave]}"
    )


def sensitivity(report: Report) -> str:
    """Return the smallest regression of a gating metric that this run would have detected.

    For ratios these are the typical metric and the noisiest.  Amounts have no common unit, so for
    them it is the metric that is noisiest for its margin.
    """
    known = [f for f in report.gating if f.comparison.detectable_change is not None]
    ratios = sorted(
        (f for f in known if f.comparison.metric.scale is Scale.RATIO), key=_detectable_worsening
    )
    amounts = [f for f in known if f.comparison.metric.scale is Scale.DIFFERENCE]
    parts = []
    if len(ratios) > 1:
        parts.append(f"{_detectable_size(ratios[(len(ratios) - 1) // 2])} in a typical metric")
    if ratios:
        parts.append(
            f"{_detectable_size(ratios[-1])} in {finding_name(ratios[-1])}, the noisiest ratio"
        )
    if amounts:
        worst = max(
            amounts, key=lambda f: _detectable_worsening(f) / scale.margin(f.comparison.metric)
        )
        parts.append(f"{_detectable_size(worst)} in {finding_name(worst)}, the noisiest amount")
    if not parts:
        return ""
    return (
        f"It would have detected a regression of {'; of '.join(parts)}"
        f" ({share(report.rule.power)} power)."
    )


def method(report: Report) -> list[tuple[str, str]]:
    """Return the environment and the method as pairs of a name and a sentence."""
    results = report.results
    invalid = sum(bool(trial.invalid) for trial in results.trials)
    first = sum(trial.arm is Arm.CANDIDATE and trial.position == 0 for trial in results.trials)
    pairs = [
        f"{len(results.valid_pairs)} valid of {results.pairs}, the candidate first in {first}",
        *(
            f"{name} was settled after {len(results.pairs_of(name))} pairs and not run again"
            for name in results.left_out
        ),
    ]
    tools = ", ".join(f"{name} {tool.version}" for name, tool in sorted(results.tools.items()))
    lines = [
        ("candidate", _subject_facts(results.subjects[Arm.CANDIDATE])),
        ("baseline", _subject_facts(results.subjects[Arm.BASELINE])),
        ("machine", _machine_facts(results.machine)),
        ("tools", truncate(tools, _MAX_LINE)),
        ("pairs", "; ".join(pairs)),
        ("trials", f"{len(results.trials)}, {invalid} of them invalid"),
        ("when", f"{moment(results.taken_at)}, {duration(results.measured_s)} measured"),
        ("seed", f"{results.seed}"),
        ("suite", f"{results.suite}, {_short_digest(results.suite_digest)}"),
        ("rule", _rule(report)),
        ("prior", _prior(report)),
        ("floors", _floors(report)),
        ("notes", "; ".join(facts(results))),
    ]
    return [(name, sentence) for name, sentence in lines if sentence]


def ratios_within_builds(report: Report) -> list[tuple[str, str]]:
    """Return the name of each ratio of two readings of one build, and its level in each arm."""
    lines = []
    for finding, levels in levels_of_ratios(report):
        texts = [
            f"{arm} {level.estimate:.3g} [{level.low:.3g}, {level.high:.3g}]"
            if math.isfinite(level.high)
            else f"{arm} at least {level.estimate:.3g} [{level.low:.3g}, ...]"
            for arm, level in levels.items()
        ]
        about = describe_metric(finding.comparison.metric)
        lines += [(finding_name(finding), f"{', '.join(texts)}: {about}")] if texts else []
    return lines


def ratios_title(report: Report) -> str:
    """Return the title of `ratios_within_builds`."""
    return f"Ratios within each build, with {share(report.rule.confidence)} intervals over pairs"


def metric_notes(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """Return each warning about single metrics once, with the names of its metrics."""
    names: dict[str, list[str]] = {}
    for finding in findings:
        for warning in finding.comparison.warnings:
            names.setdefault(warning, []).append(finding_name(finding))
    return [(warning, _first_names(metrics)) for warning, metrics in names.items()]


def advice_text(finding: Finding) -> str:
    """Return what would settle an inconclusive metric; empty for any other."""
    advice = finding.advice
    if advice is None:
        return ""
    if advice.more_pairs is None:
        return f"{advice.shows}: no practical number of pairs would settle it"
    return f"{advice.shows}: about {count(advice.more_pairs, 'more pair')} would settle it"


def kept_text(finding: Finding) -> str:
    """Return which interim analysis a verdict is from, and the result of all pairs.

    It is empty if the verdict is of all pairs.  An earlier verdict stays, because its analysis has
    spent its share of alpha.
    """
    earlier, now = finding.kept, finding.comparison
    if earlier is None:
        return ""
    return (
        f"found at {count(earlier.pairs, 'pair')}: {interval(earlier.metric, earlier.change)};"
        f" all {count(now.pairs, 'pair')}: {interval(now.metric, now.change)}"
    )


def explanations(finding: Finding) -> tuple[str, ...]:
    """Return everything that there is to know about a finding beside its numbers."""
    comparison = finding.comparison
    notes = floor_notes(comparison.metric)
    texts = (kept_text(finding), advice_text(finding), *comparison.warnings, *notes)
    return tuple(filter(None, texts))


def reproduce_command(report: Report) -> str:
    """Return the command that measures the same again, quoted for a shell."""
    results = report.results
    place = results.place
    if place is None:  # an older version did not keep what was asked for
        place = "" if results.environment == "local" else "environment.toml"
    baseline = _pinned_spec(results.subjects[Arm.BASELINE])
    is_auto = results.looks and not results.added
    words = [
        *("milo-perf", "run", "--suite", results.suite_path or results.suite),
        *("--candidate", _pinned_spec(results.subjects[Arm.CANDIDATE])),
        *(("--baseline", results.stored.name) if results.stored else ("--against", baseline)),
        *("--pairs", "auto" if is_auto else f"{results.pairs_asked}"),
        *("--interleave", results.interleave.value),
        *(("--environment", place) if place else ()),
        *profile_arguments(results.machine),
        *(("--driver", results.driver) if results.driver else ()),
        *(("--load-pods", f"{results.load_pods}") if results.load_pods is not None else ()),
        *("--seed", f"{results.seed}"),
    ]
    if command := results.subjects[Arm.CANDIDATE].facts.get("build"):
        words += ("--build", command)
    return printable(shlex.join(words))


def finding_name(finding: Finding) -> str:
    """Return `workload/metric`, or the metric alone if there is no workload."""
    return finding.comparison.key.removeprefix("/")


def arm_mean(finding: Finding, arm: Arm) -> str:
    """Return the mean of an arm with its unit; `>= 2.00 s` if a deadline cut values off."""
    comparison = finding.comparison
    value = comparison.baseline if arm is Arm.BASELINE else comparison.candidate
    is_bound = arm in comparison.cut_off and value is not None
    return f"{'>= ' if is_bound else ''}{quantity(value, comparison.metric.unit)}"


def at_worst_text(finding: Finding) -> str:
    """Return the worst change that is not excluded; `unknown` if a deadline hides it."""
    comparison = finding.comparison
    if comparison.at_worst is None:
        return "-" if comparison.change is None or comparison.standard_error is None else "unknown"
    return brief_change(comparison.metric, comparison.at_worst, is_limit=True).replace(MINUS, "-")


def margin_and_tolerance(metric: Metric) -> str:
    """Return the margin of a metric, and its tolerance in brackets if it differs."""
    if metric.tolerated == metric.margin:
        return margin_text(metric)
    return f"{margin_text(metric)} ({tolerance_text(metric)})"


def tolerance_text(metric: Metric) -> str:
    """Return the tolerance of a metric without a sign."""
    return margin_text(replace(metric, margin=metric.tolerated))


def _rule(report: Report) -> str:
    rule, looks = report.rule, report.results.looks
    when = f" over interim analyses at {', '.join(map(str, looks))} pairs" if looks else ""
    equivalence = share(1 - 2 * rule.pass_alpha)
    return (
        f"regressed or improved: a change of more than the margin, at alpha {rule.alpha:.4g} over"
        " all gating metrics (Holm; Benjamini-Hochberg over the others; corrected for at least"
        f" {rule.min_family_size} tests); alpha {FAMILY_ALPHA:g} is spent{when}, a tenth of it on"
        f" pairs that are added later; intervals hold {share(rule.confidence)}; unchanged: `at"
        f" worst`, the end of the {equivalence} interval, is below the tolerance, and half of the"
        f" shown interval is at most {rule.max_half_width:g} tolerances wide; detectable change:"
        f" the smallest worsening called a regression with {share(rule.power)} power"
    )


def _prior(report: Report) -> str:
    prior = report.results.prior
    if prior is None:
        return "none: the spread of each metric is estimated from the pairs of this run alone"
    used = sum(finding.comparison.prior_sd is not None for finding in report.findings)
    of = f"{used} of {count(len(report.findings), 'metric')}"
    degrees = f"{prior.degrees_of_freedom:g} degrees of freedom"
    return f"{truncate(prior.source, _MAX_LINE)}: counts as {degrees} for the spread of {of}"


def _floors(report: Report) -> str:
    """Return what is subtracted from both arms before a ratio, with the metrics."""
    names: dict[str, list[str]] = {}
    for finding in report.findings:
        for text in floor_notes(finding.comparison.metric):
            names.setdefault(text, []).append(finding_name(finding))
    return "; ".join(f"{_first_names(metrics)}: {text}" for text, metrics in names.items())


def _spec_and_digest(subject: Subject) -> str:
    return f"{subject.spec} ({_short_digest(subject.digest)})"


def _short_digest(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _subject_facts(subject: Subject) -> str:
    known = (f"{name} {value}" for name, value in sorted(subject.facts.items()) if value)
    return truncate(", ".join((_spec_and_digest(subject), *known)), _MAX_LINE)


def _machine_facts(machine: Machine) -> str:
    known = {**machine.fingerprint, **machine.facts}
    return truncate(", ".join(f"{name} {value}" for name, value in known.items()), _MAX_LINE)


def _first_names(names: list[str]) -> str:
    rest = len(names) - _MAX_METRICS
    return ", ".join(names[:_MAX_METRICS]) + (f" and {rest} more" if rest > 0 else "")


def start_arguments(subject: Subject, environment: str, machine: Machine) -> list[str]:
    """Return the arguments of a command that starts one build again as it was started.

    Settings of a file are not known here, so the file is named as an example.
    """
    facts = machine.fingerprint
    needs_file = environment not in ("local", "kind") or {REPLICAS, ETCD_MEMBERS} & facts.keys()
    place = "environment.toml" if needs_file else environment
    words = ["--candidate", _pinned_spec(subject)]
    if command := subject.facts.get("build"):
        words += ["--build", command]
    if place != "local":
        words += ["--environment", place]
    return [*words, *profile_arguments(machine)]


def profile_arguments(machine: Machine) -> list[str]:
    """Return the arguments that name the start profile of a machine; none for `minimal`."""
    profile = machine.fingerprint.get(PROFILE)
    return ["--profile", profile] if profile else []


def _pinned_spec(subject: Subject) -> str:
    """Return the spec with the tree of its source, if that is known and committed."""
    tree = subject.facts.get("tree", "")
    if not tree or subject.facts.get("modified") != "no":
        return subject.spec
    try:
        return str(replace(parse_spec(subject.spec), revision=tree))
    except ValueError:
        return subject.spec


def _detectable_size(finding: Finding) -> str:
    comparison = finding.comparison
    return amount(comparison.metric, comparison.detectable_change).replace("+", "").lstrip("-")


def _detectable_worsening(finding: Finding) -> float:
    smallest = finding.comparison.detectable_change
    return 0.0 if smallest is None else scale.worse(finding.comparison.metric, smallest)
