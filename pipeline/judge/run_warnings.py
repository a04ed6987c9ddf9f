"""What a reader must know of a run as a whole before trusting its verdict.

A doubt is a reason to trust the answer less.  A fact is none, such as that both arms are the same
binary: it is told with what the answer rests on.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.model.report import Finding, Verdict
from pipeline.model.results import ResultSet, Trial
from pipeline.model.subject import Arm, Subject
from pipeline.system.sanitize import reason_lines

_LOG_LINES = 3

_MOST_OF_TRIALS = 200  # different warnings of trials that a report repeats


class Kind(StrEnum):
    """What a doubt is about, so that a report can say those of a kind together."""

    FAILURES = "failures"
    """A build died, restarted or could not be prepared."""

    LOAD = "load"
    """Pairs are invalid, or fewer than asked for."""

    METRICS = "metrics"
    """Metrics that cannot decide, or not as the suite means."""

    BUILDS = "builds"
    """The arms differ beside their source, or cannot be made again."""

    TRIALS = "trials"
    """Drivers and probes noticed something in trials that count."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A warning of a run, and what it is about."""

    kind: Kind
    said: str


def doubts(results: ResultSet, findings: Iterable[Finding], *, is_settled: bool) -> tuple[str, ...]:
    """Return the warnings of a run as sentences, the gravest first.

    Args:
        results: What was measured.
        findings: What was found in it.
        is_settled: Whether more pairs could still decide a gating metric.
    """
    return tuple(one.said for one in doubts_by_kind(results, findings, is_settled=is_settled))


def doubts_by_kind(
    results: ResultSet, findings: Iterable[Finding], *, is_settled: bool
) -> tuple[Doubt, ...]:
    """Return the same with what each is about."""
    found = {
        Kind.FAILURES: _failures(results),
        Kind.LOAD: _load(results, is_settled=is_settled),
        Kind.METRICS: _gate(results, findings),
        Kind.BUILDS: (*_builds(results), *_stored_build(results)),
        Kind.TRIALS: _trials(results),
    }
    return tuple(Doubt(kind, said) for kind, sentences in found.items() for said in sentences)


def facts(results: ResultSet) -> tuple[str, ...]:
    """Return what was measured, where that is worth a sentence and no reason to doubt."""
    return (*_subjects(results), *_stored(results))


def _builds(results: ResultSet) -> Iterator[str]:
    """Yield what makes the arms differ beside their source."""
    baseline, candidate = results.subjects[Arm.BASELINE], results.subjects[Arm.CANDIDATE]
    for fact, what in {"go": "by different Go versions", "flags": "with different flags"}.items():
        before, after = (subject.facts.get(fact, "") for subject in (baseline, candidate))
        if before and after and before != after:
            yield f"the arms were built {what}: {_differing(before, after)}"
    for arm, subject in results.subjects.items():
        if subject.facts.get("modified") == "yes":
            yield f"the {arm} was built from source that is not committed"


def _load(results: ResultSet, *, is_settled: bool) -> Iterator[str]:
    valid = len(results.valid_pairs)
    if results.looks:
        if valid < results.pairs_asked and not is_settled:
            yield (
                f"the run ended at {valid} of up to {results.pairs_asked} valid pairs, before every"
                " gating metric was settled"
            )
    elif valid < results.pairs_asked:
        yield f"{valid} of the {results.pairs_asked} pairs asked for are valid"
    alike: dict[tuple[str, str], list[int]] = {}
    for pair in sorted({trial.pair for trial in results.trials if trial.invalid}):
        trials = [trial for trial in results.trials if trial.pair == pair and trial.invalid]
        reasons = dict.fromkeys(reason for trial in trials for reason in trial.invalid)
        arms = " and ".join(sorted(trial.arm for trial in trials))
        alike.setdefault((arms, "; ".join(reasons)), []).append(pair)
    for (arms, reasons_said), pairs in alike.items():
        these, are = ("pair", "is") if len(pairs) == 1 else ("pairs", "are")
        numbers = ", ".join(map(str, pairs))
        yield f"{these} {numbers} ({arms}) {are} invalid and not counted: {reasons_said}"


def _failures(results: ResultSet) -> Iterator[str]:
    """Yield how each build failed, with the last lines of its log."""
    for trial in results.trials:
        for failure in trial.failures:
            lines = [line.strip() for line in reason_lines(failure.log.splitlines(), _LOG_LINES)]
            log = f"; its last log lines: {' | '.join(lines)}" if lines else ""
            yield f"pair {trial.pair}: {failure.what}{log}"


def _gate(results: ResultSet, findings: Iterable[Finding]) -> Iterator[str]:
    findings = tuple(findings)
    gating = [f for f in findings if f.comparison.metric.gate]
    meant = {s.key for samples in results.samples.values() for s in samples if s.metric.gate}
    waived = [
        name
        for f in findings
        if not f.comparison.metric.gate and (name := f.comparison.key) in meant
    ]
    if unreachable := [name for name in waived if name in results.ungated]:
        yield (
            f"these metrics do not gate on this machine, where {results.pairs_asked} pairs of equal"
            f" builds cannot exclude their tolerance: {', '.join(unreachable)}"
        )
    waived = [name for name in waived if name not in results.ungated]
    if waived:
        yield (
            "these metrics did not gate, because a deadline left nothing to compare:"
            f" {', '.join(waived)}"
        )
    if not gating:
        yield "no metric of this suite gates, so nothing could have turned this run red"
    absent = [
        f.comparison.key
        for f in gating
        if f.verdict is Verdict.INCONCLUSIVE and f.comparison.change is None
    ]
    if absent:
        yield f"gating metrics without an interval: {', '.join(absent)}"


def _subjects(results: ResultSet) -> Iterator[str]:
    baseline, candidate = results.subjects[Arm.BASELINE], results.subjects[Arm.CANDIDATE]
    reference = [arm for arm in Arm if _kind(results.subjects[arm]) == "reference"]
    if reference:
        who = "" if len(reference) == len(Arm) else f" as the {reference[0]}"
        yield f"the embedded reference control plane was measured{who}, not Milo"
    if baseline.digest == candidate.digest and _settings(baseline) == _settings(candidate):
        yield "both arms are the same binary and settings: nothing can have changed"


def _differing(before: str, after: str) -> str:
    """Return the words that two texts do not share."""
    one, other = before.split(), after.split()
    left, right = ([w for w in a if w not in b] for a, b in ((one, other), (other, one)))
    return f"{' '.join(left) or 'nothing'} and {' '.join(right) or 'nothing'}"


def _stored(results: ResultSet) -> Iterator[str]:
    stored = results.stored
    if stored is None:
        return
    again = "its subject was measured again on this machine, and that is what was judged by"
    if stored.same_machine:
        yield f"the stored baseline {stored.name} is of a machine like this one; {again}"
    else:
        yield (
            f"the stored baseline {stored.name} is of another machine"
            f" ({'; '.join(stored.differences)}): its numbers are shown only; {again}"
        )


def _stored_build(results: ResultSet) -> Iterator[str]:
    stored = results.stored
    if stored and stored.digest != results.subjects[Arm.BASELINE].digest:
        yield (
            f"the binary measured as the baseline is not the one that {stored.name} was stored"
            " from: the same source, built differently"
        )


def _trials(results: ResultSet) -> Iterator[str]:
    """Yield each warning of a trial once, with the metrics and the trials that it is of."""
    names = {s.key: None for samples in results.samples.values() for s in samples}
    counted = [trial for trial in results.trials if not trial.invalid]
    where: dict[str, dict[str, list[Trial]]] = {}
    for trial in counted:
        for warning in dict.fromkeys(trial.warnings):
            name, sentence = _of_metric(warning, names)
            where.setdefault(sentence, {}).setdefault(name, []).append(trial)
    if len(where) > _MOST_OF_TRIALS:
        yield f"{len(where) - _MOST_OF_TRIALS} more warnings of trials are in results.json"
    for sentence, seen in list(where.items())[:_MOST_OF_TRIALS]:
        these = list(
            dict.fromkeys(
                _which(
                    trials, _loaded(name.partition("/")[0] or sentence.partition(":")[0], counted)
                )
                for name, trials in seen.items()
            )
        )
        which = these[0] if len(these) == 1 else "some trials"
        of = ", ".join(name for name in seen if name)
        yield f"{of}: {sentence} ({which})" if of else f"{sentence} ({which})"


def _of_metric(warning: str, names: Iterable[str]) -> tuple[str, str]:
    """Return the metric that a warning names first, if any, and the rest of it."""
    workload, _, rest = warning.partition(": ")
    metric, _, sentence = rest.partition(": ")
    name = f"{workload}/{metric}"
    return (name, sentence) if sentence and name in names else ("", warning)


def _loaded(workload: str, counted: Sequence[Trial]) -> list[Trial]:
    """Return the trials that did not leave a workload out."""
    return [trial for trial in counted if workload not in trial.left_out]


def _which(seen: Sequence[Trial], counted: Sequence[Trial]) -> str:
    if len(seen) == len(counted):
        return "every trial"
    return "; ".join(
        f"{arm} of pair {', '.join(pairs)}"
        for arm in Arm
        if (pairs := [str(trial.pair) for trial in seen if trial.arm is arm])
    )


def _kind(subject: Subject) -> str:
    return subject.spec.partition("?")[0].partition("@")[0]


def _settings(subject: Subject) -> list[str]:
    return sorted(subject.spec.partition("?")[2].split("&"))
