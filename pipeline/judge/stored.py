"""A stored baseline beside a run: its differences, its rows, and whether its numbers still hold."""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.judge import scale
from pipeline.judge.rows import GATE, OTHERS, MetricValues, Row, row_of_values
from pipeline.model.report import RunWarning, WarningKind
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
    """Return the rows of the metrics that two stored baselines share; none of them gates."""
    earlier = {sample.key: sample for sample in before.samples}
    return [
        _row(earlier[sample.key], sample, between_run_sd, gates=False)
        for sample in after.samples
        if sample.key in earlier
    ]


def against_stored(
    results: ResultSet, stored: Baseline, between_run_sd: float
) -> tuple[list[Row], RunWarning]:
    """Return the rows of a run's candidate against stored numbers, and a note about them.

    They gate if the machine is the same and a canary confirms it: the stored build, measured again
    as the baseline of this run, has not moved by more than the margins.  Otherwise they advise.
    `between_run_sd` is a ratio; 0 is used if the canary holds.
    """
    reasons = list(stored_reference(stored, results.machine).differences)
    valid = results.valid_pairs
    baseline, candidate = (
        {s.key: s.of_pairs(valid) for s in results.samples.get(arm, ())} for arm in Arm
    )
    if not reasons and results.subjects[Arm.BASELINE].digest != stored.subject.digest:
        reasons.append("the stored build was not measured again in this run, so nothing is known")
    if not reasons:
        reasons = _moved_metrics(stored.samples, baseline)
    rows = [
        _row(sample, after, between_run_sd if reasons else 0.0, gates=not reasons)
        for sample in stored.samples
        if (after := candidate.get(sample.key)) is not None
    ]
    if reasons:
        why = "; ".join(reasons)
        note = f"advice only: the numbers of {stored.name} do not hold here and now: {why}"
    else:
        note = f"{stored.name} is of this machine, and its build measured again agrees with it"
    return rows, RunWarning(WarningKind.NOTE, note)


def _moved_metrics(stored: Sequence[Sample], again: dict[str, Sample]) -> list[str]:
    """Return a sentence for each gating metric of the canary that moved by more than its margin.

    The shift must also exceed twice its standard error: a canary that is merely noisy proves
    nothing.
    """
    sentences = []
    for sample in stored:
        if not sample.metric.gate or sample.key not in again:
            continue
        evidence = _row(sample, again[sample.key], 0.0, gates=True).evidence
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
