"""A stored baseline beside a run: is it of this machine, what did it say, does it still hold?"""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.judge import scale
from pipeline.judge.rows import GATE, OTHERS, Measured, Row, of_measured
from pipeline.model.results import (
    Baseline,
    BaselineRef,
    Cutoff,
    Machine,
    ResultSet,
    Sample,
)
from pipeline.model.subject import Arm


def stored_reference(stored: Baseline, machine: Machine) -> BaselineRef:
    """Return what a report shows of a stored baseline; its numbers are never judged by."""
    facts = sorted({*stored.machine.fingerprint, *machine.fingerprint})
    differences = tuple(
        f"{fact}: {there} there, {here} here"
        for fact in facts
        for there in (stored.machine.fingerprint.get(fact, "unknown"),)
        for here in (machine.fingerprint.get(fact, "unknown"),)
        if there != here
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


def stored_pair(before: Baseline, after: Baseline, apart: float) -> list[Row]:
    """Return the rows of two stored baselines that have a metric each; none of them gates."""
    there = {sample.key: sample for sample in before.samples}
    return [
        _row(there[sample.key], sample, apart, gates=False)
        for sample in after.samples
        if sample.key in there
    ]


def against_stored(
    results: ResultSet, stored: Baseline, apart: float
) -> tuple[list[Row], tuple[str, ...]]:
    """Return the rows of a run's candidate against stored numbers, and what to know of them.

    They gate where the machine is the same and a canary says that it still is: the stored build,
    measured again as the baseline of this run, has not moved by more than the margins.  Otherwise
    they advise.

    Args:
        results: With the candidate.
        stored: Of the same suite.
        apart: See `evidence.of_groups`; nothing where the canary holds.
    """
    reference = stored_reference(stored, results.machine)
    doubts = [f"{difference}" for difference in reference.differences]
    valid = results.valid_pairs
    arms = {arm: {s.key: _only(s, valid) for s in results.samples.get(arm, ())} for arm in Arm}
    if not doubts and results.subjects[Arm.BASELINE].digest != stored.subject.digest:
        doubts.append("the stored build was not measured again in this run, so nothing is known")
    if not doubts:
        doubts = _moved(stored.samples, arms[Arm.BASELINE])
    rows = [
        _row(sample, after, apart if doubts else 0.0, gates=not doubts)
        for sample in stored.samples
        if (after := arms[Arm.CANDIDATE].get(sample.key)) is not None
    ]
    if doubts:
        why = "; ".join(doubts)
        said = f"advice only: the numbers of {stored.name} do not hold here and now: {why}"
    else:
        said = f"{stored.name} is of this machine, and its build measured again agrees with it"
    return rows, (said,)


def _moved(stored: Sequence[Sample], again: dict[str, Sample]) -> list[str]:
    """Return a sentence for each gating metric of the canary that is off by more than its margin.

    A shift counts that is larger than the margin and than its own error, twice: a canary that is
    merely noisy says nothing.
    """
    said = []
    for sample in stored:
        if not sample.metric.gate or sample.key not in again:
            continue
        row = _row(sample, again[sample.key], 0.0, gates=True)
        if row.evidence is None:
            continue
        shift, error = abs(row.evidence.mean), row.evidence.error
        if scale.is_above(shift, scale.margin(sample.metric)) and shift > 2 * error:
            moved = scale.change(sample.metric, row.evidence.mean)
            said.append(f"{sample.key} of the same build moved by {moved:+.3g}")
    return said


def _row(before: Sample, after: Sample, apart: float, *, gates: bool) -> Row:
    metric = replace(after.metric, gate=after.metric.gate and gates)
    present = [tuple(v for v in sample.values if v is not None) for sample in (before, after)]
    lost = {
        arm: len(sample.values) - len(values)
        for arm, sample, values in zip(Arm, (before, after), present, strict=True)
    }
    family = GATE if metric.gate else OTHERS
    cut_off = frozenset(
        arm
        for arm, sample in ((Arm.BASELINE, before), (Arm.CANDIDATE, after))
        if Cutoff.AT_LEAST in sample.cutoffs
    )
    measured = Measured(
        family, metric, present[0], present[1], is_paired=False, cut_off=cut_off, lost=lost
    )
    return replace(of_measured(measured, apart), workload=after.workload)


def _only(sample: Sample, pairs: Sequence[int]) -> Sample:
    return sample.of_pairs(pairs)
