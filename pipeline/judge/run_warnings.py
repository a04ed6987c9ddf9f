"""Warnings and facts about a run as a whole.

A warning is a reason to trust the answer less.  A fact is not, such as that both arms are the same
binary.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from pipeline.model.report import Finding, RunWarning, Verdict, WarningKind
from pipeline.model.results import ResultSet, Trial
from pipeline.model.subject import Arm, Subject
from pipeline.system.sanitize import reason_lines

_LOG_LINES = 3
_MAX_TRIAL_WARNINGS = 200  # different warnings of trials in a report


def run_warnings(
    results: ResultSet, findings: Iterable[Finding], *, is_settled: bool
) -> tuple[RunWarning, ...]:
    """Return the warnings about a run and its findings, the gravest first.

    `is_settled` says that more pairs could not decide any further gating metric.
    """
    texts = {
        WarningKind.FAILURES: _failures(results),
        WarningKind.LOAD: _load(results, is_settled=is_settled),
        WarningKind.METRICS: _gate(results, findings),
        WarningKind.BUILDS: (*_builds(results), *_stored_build(results)),
        WarningKind.TRIALS: _trials(results),
    }
    return tuple(RunWarning(kind, text) for kind, own in texts.items() for text in own)


def facts(results: ResultSet) -> tuple[str, ...]:
    """Return sentences about the run that are no warnings, such as about a stored baseline."""
    return (*_subjects(results), *_stored_baseline(results))


def _builds(results: ResultSet) -> Iterator[str]:
    """Yield differences of the arms other than their source."""
    baseline, candidate = results.subjects[Arm.BASELINE], results.subjects[Arm.CANDIDATE]
    for fact, what in {"go": "by different Go versions", "flags": "with different flags"}.items():
        before, after = (subject.facts.get(fact, "") for subject in (baseline, candidate))
        if before and after and before != after:
            yield f"the arms were built {what}: {_different_words(before, after)}"
    for arm, subject in results.subjects.items():
        if subject.facts.get("modified") == "yes":
            yield f"the {arm} was built from source that is not committed"


def _load(results: ResultSet, *, is_settled: bool) -> Iterator[str]:
    valid = len(results.valid_pairs)
    if results.omitted:
        yield (
            f"only the workloads of {results.driver} were run: nothing was measured of"
            f" {', '.join(results.omitted)}"
        )
    if results.looks:
        if valid < results.pairs_asked and not is_settled:
            yield (
                f"the run ended at {valid} of up to {results.pairs_asked} valid pairs, before every"
                " gating metric was settled"
            )
    elif valid < results.pairs_asked:
        yield f"{valid} of the {results.pairs_asked} pairs asked for are valid"
    alike: dict[tuple[str, str], list[int]] = {}  # pairs by arms and reasons
    for pair in sorted({trial.pair for trial in results.trials if trial.invalid}):
        trials = [trial for trial in results.trials if trial.pair == pair and trial.invalid]
        reasons = dict.fromkeys(reason for trial in trials for reason in trial.invalid)
        arms = " and ".join(sorted(trial.arm for trial in trials))
        alike.setdefault((arms, "; ".join(reasons)), []).append(pair)
    for (arms, text), pairs in alike.items():
        these, are = ("pair", "is") if len(pairs) == 1 else ("pairs", "are")
        numbers = ", ".join(map(str, pairs))
        yield f"{these} {numbers} ({arms}) {are} invalid and not counted: {text}"


def _failures(results: ResultSet) -> Iterator[str]:
    """Yield each failure of a build, with the last lines of its log."""
    for trial in results.trials:
        for failure in trial.failures:
            lines = [line.strip() for line in reason_lines(failure.log.splitlines(), _LOG_LINES)]
            log = f"; its last log lines: {' | '.join(lines)}" if lines else ""
            yield f"pair {trial.pair}: {failure.what}{log}"


def _gate(results: ResultSet, findings: Iterable[Finding]) -> Iterator[str]:
    findings = tuple(findings)
    gating = [f for f in findings if f.comparison.metric.gate]
    gate_in_suite = {
        s.key for samples in results.samples.values() for s in samples if s.metric.gate
    }
    waived = [
        name
        for f in findings
        if not f.comparison.metric.gate and (name := f.comparison.key) in gate_in_suite
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
    kinds = {arm: re.split("[?@]", results.subjects[arm].spec)[0] for arm in Arm}
    reference = [arm for arm in Arm if kinds[arm] == "reference"]
    if reference:
        who = "" if len(reference) == len(Arm) else f" as the {reference[0]}"
        yield f"the embedded reference control plane was measured{who}, not Milo"
    if baseline.digest == candidate.digest and _settings(baseline) == _settings(candidate):
        yield "both arms are the same binary and settings: nothing can have changed"


def _different_words(before: str, after: str) -> str:
    """Return the words of two texts that only one of them has."""
    one, other = before.split(), after.split()
    left, right = ([w for w in a if w not in b] for a, b in ((one, other), (other, one)))
    return f"{' '.join(left) or 'nothing'} and {' '.join(right) or 'nothing'}"


def _stored_baseline(results: ResultSet) -> Iterator[str]:
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
    """Yield each warning of trials once, with its metrics and trials."""
    names = {s.key for samples in results.samples.values() for s in samples}
    counted = [trial for trial in results.trials if not trial.invalid]
    by_sentence: dict[str, dict[str, list[Trial]]] = {}
    for trial in counted:
        for warning in dict.fromkeys(trial.warnings):
            name, sentence = _split_metric(warning, names)
            by_sentence.setdefault(sentence, {}).setdefault(name, []).append(trial)
    if (more := len(by_sentence) - _MAX_TRIAL_WARNINGS) > 0:
        yield f"{more} more warnings of trials are in results.json"
    for sentence, by_metric in list(by_sentence.items())[:_MAX_TRIAL_WARNINGS]:
        lists = set()
        for name, trials in by_metric.items():
            workload = name.partition("/")[0] or sentence.partition(":")[0]
            lists.add(_trial_list(trials, [t for t in counted if workload not in t.left_out]))
        which = lists.pop() if len(lists) == 1 else "some trials"
        metrics = ", ".join(filter(None, by_metric))
        yield f"{metrics}: {sentence} ({which})" if metrics else f"{sentence} ({which})"


def _split_metric(warning: str, names: Collection[str]) -> tuple[str, str]:
    """Return (metric key, rest) of a warning that begins with a metric; else ("", warning)."""
    workload, _, rest = warning.partition(": ")
    metric, _, sentence = rest.partition(": ")
    name = f"{workload}/{metric}"
    return (name, sentence) if sentence and name in names else ("", warning)


def _trial_list(trials: Sequence[Trial], all_trials: Sequence[Trial]) -> str:
    if len(trials) == len(all_trials):
        return "every trial"
    return "; ".join(
        f"{arm} of pair {', '.join(pairs)}"
        for arm in Arm
        if (pairs := [str(trial.pair) for trial in trials if trial.arm is arm])
    )


def _settings(subject: Subject) -> list[str]:
    return sorted(subject.spec.partition("?")[2].split("&"))
