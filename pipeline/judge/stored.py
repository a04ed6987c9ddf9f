"""A stored baseline beside a run: its differences, its rows, and whether its numbers still hold."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from pipeline.judge import constants, policy, scale
from pipeline.judge.rows import GATE, OTHERS, MetricValues, Row, row_of_values, without_gate
from pipeline.judge.run_warnings import run_warnings
from pipeline.model.report import Report, RunWarning, WarningKind
from pipeline.model.results import Baseline, BaselineRef, Cutoff, Machine, ResultSet, Sample
from pipeline.model.subject import Arm


def stored_reference(stored: Baseline, machine: Machine) -> BaselineRef:
    """Return the reference to a stored baseline that a report shows."""
    theirs, ours = stored.machine.fingerprint, machine.fingerprint
    differences = tuple(
        f"{fact}: {theirs.get(fact, 'unknown')} there, {ours.get(fact, 'unknown')} here"
        for fact in sorted({*theirs, *ours})
        if theirs.get(fact, "unknown") != ours.get(fact, "unknown")
    )
    values = {
        sample.key: mean
        for sample in stored.samples
        if (mean := scale.mean(sample.metric, [v for v in sample.values if v is not None]))
        is not None
    }
    return BaselineRef(
        name=stored.name,
        taken_at=stored.taken_at,
        same_machine=not differences,
        differences=differences,
        digest=stored.subject.digest,
        values=values,
    )


def stored_pair(before: Baseline, after: Baseline, between_run_sd: float) -> list[Row]:
    """Return the rows of two stored baselines; none of them gates."""
    return _rows(before.samples, after.samples, between_run_sd, gates=False)


def report_against(results: ResultSet, stored: Baseline) -> Report:
    """Judge the candidate of a run against stored numbers, with a note about them.

    They gate if the machine is the same and a canary confirms it: the stored build, measured again
    as the baseline of this run, has not moved by more than the margins.  Otherwise they advise.
    Two groups are assumed to vary by `BETWEEN_RUN_SD` unless the canary holds.  That builds failed
    in this run counts in any case.
    """
    reasons = list(stored_reference(stored, results.machine).differences)
    valid = results.valid_pairs
    baseline, candidate = (
        tuple(s.of_pairs(valid) for s in results.samples.get(arm, ())) for arm in Arm
    )
    if not reasons and results.subjects[Arm.BASELINE].digest != stored.subject.digest:
        reasons.append("the stored build was not measured again in this run, so nothing is known")
    numbers = [s for s in stored.samples if s.workload not in results.omitted]
    if not reasons:
        reasons = _moved_metrics(numbers, {s.key: s for s in baseline})
    sd = constants.BETWEEN_RUN_SD if reasons else 0.0
    rows = [
        without_gate(row) if row.comparison.key in results.ungated else row
        for row in _rows(numbers, candidate, sd, gates=not reasons)
    ]
    findings = (*policy.failed_trials(results), *policy.findings(rows, constants.RULE))
    if reasons:
        why = "; ".join(reasons)
        note = f"advice only: the numbers of {stored.name} do not hold here and now: {why}"
    else:
        note = f"{stored.name} is of this machine, and its build measured again agrees with it"
    warnings = run_warnings(results, findings, is_settled=policy.is_settled(findings))
    return Report(
        results,
        findings,
        constants.RULE,
        # Whether a metric gates follows from the note.
        (
            RunWarning(WarningKind.NOTE, note),
            *(one for one in warnings if one.kind is not WarningKind.METRICS),
        ),
    )


def _moved_metrics(stored: Collection[Sample], again: dict[str, Sample]) -> list[str]:
    """Return a sentence for each gating metric of the canary that does not confirm its numbers.

    It moved by more than its margin, or was hardly measured.  The shift must also exceed twice its
    standard error: a canary that is merely noisy proves nothing.
    """
    sentences = []
    for sample in stored:
        if not sample.metric.gate or _number(sample) < constants.MIN_PAIRS:
            continue
        canary = again.get(sample.key)
        if canary is None or _number(canary) < constants.MIN_PAIRS:
            sentences.append(f"{sample.key} of the same build has too few values in this run")
            continue
        evidence = _row(sample, canary, 0.0, gates=True).evidence
        if evidence is None:
            continue
        shift = abs(evidence.mean)
        if (
            scale.is_above(shift, scale.margin(sample.metric))
            and shift > 2 * evidence.standard_error
        ):
            moved = scale.change(sample.metric, evidence.mean)
            sentences.append(f"{sample.key} of the same build moved by {moved:+.3g}")
    return sentences


def _number(sample: Sample) -> int:
    """Return the number of values that are not missing."""
    return sum(value is not None for value in sample.values)


def _rows(
    before: Sequence[Sample], after: Sequence[Sample], between_run_sd: float, *, gates: bool
) -> list[Row]:
    """Return the rows of all metrics of either group, in the order of the first that has them.

    A metric that one group lacks has no values there, so that nobody takes it for a pass.
    """
    known = {sample.key: sample for sample in (*before, *after)}
    earlier, later = (_with_missing(group, known) for group in (before, after))
    return [_row(earlier[key], later[key], between_run_sd, gates=gates) for key in known]


def _with_missing(group: Sequence[Sample], known: Mapping[str, Sample]) -> dict[str, Sample]:
    """Return the samples of a group by key; those of `known` that it lacks have no values."""
    missing = (None,) * max((len(sample.values) for sample in group), default=0)
    absent = {key: Sample(one.workload, one.metric, missing) for key, one in known.items()}
    return {**absent, **{sample.key: sample for sample in group}}


def _row(before: Sample, after: Sample, between_run_sd: float, *, gates: bool) -> Row:
    metric = replace(after.metric, gate=after.metric.gate and gates)
    samples = dict(zip(Arm, (before, after), strict=True))
    present = {arm: [v for v in one.values if v is not None] for arm, one in samples.items()}
    values = MetricValues(
        GATE if metric.gate else OTHERS,
        metric,
        present[Arm.BASELINE],
        present[Arm.CANDIDATE],
        is_paired=False,
        cut_off=frozenset(arm for arm, one in samples.items() if Cutoff.AT_LEAST in one.cutoffs),
        lost={arm: len(one.values) - len(present[arm]) for arm, one in samples.items()},
    )
    row = row_of_values(values, between_run_sd)
    return replace(row, comparison=replace(row.comparison, workload=after.workload))
