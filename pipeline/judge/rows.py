"""What is compared: the numbers of two arms, metric by metric, and what they show."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.judge import coarse, evidence, scale
from pipeline.judge.evidence import Evidence, OneSided
from pipeline.judge.missing import lopsided
from pipeline.judge.stats.moderated import MOST_WIDENED, Seen, widening
from pipeline.judge.stats.student import Estimate
from pipeline.model.metric import Metric, Scale
from pipeline.model.prior import Prior
from pipeline.model.results import Cutoff, ResultSet, Sample
from pipeline.model.subject import Arm

OTHERS = "others"
"""The family of the metrics that do not gate."""

GATE = "gate"
"""The family of those that do."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one metric has.

    Attributes:
        workload: Name of the workload; empty where there is none.
        metric: What was measured.
        family: Metrics among which its p is corrected.
        means: By arm, over the pairs that both arms have, in `metric.unit`: those of which the
            change is the ratio or the difference.  None when nothing was reported.
        pairs: Number of pairs, or of values of the smaller arm where there are none.
        evidence: None when there is too little of it.
        stored: Median of a stored baseline, to be shown.
        warnings: What a reader must know of the numbers.
        cut_off: Arms of which a deadline cut values off: their means may be lower bounds.
        deviation: Standard deviation of a pair's difference on the test's scale, as these pairs
            alone show it; None where the evidence is not of pairs.
        prior: The same by earlier runs, as it was used; None where it was not.
        is_lopsided: Whether one arm lacks so many more values than the other that what is left
            decides nothing.
    """

    workload: str
    metric: Metric
    family: str
    means: Mapping[Arm, float | None]
    pairs: int
    evidence: Evidence | None
    stored: float | None
    warnings: tuple[str, ...]
    cut_off: frozenset[Arm] = frozenset()
    deviation: float | None = None
    prior: float | None = None
    is_lopsided: bool = False

    @property
    def key(self) -> str:
        """`workload/metric`, the key of its samples."""
        return f"{self.workload}/{self.metric.name}"


def of_results(results: ResultSet) -> list[Row]:
    """Return the rows of a run, in the suite's order; only valid pairs are in them."""
    by_key = {arm: {s.key: s for s in results.samples.get(arm, ())} for arm in Arm}
    samples = {key: sample for arm in Arm for key, sample in by_key[arm].items()}
    stored = results.stored.values if results.stored else {}
    arms = {key: {arm: by_key[arm].get(key) for arm in Arm} for key in samples}
    counts_vary = any(
        coarse.is_count_that_varies(sample.metric, *zip(*pairs, strict=True))
        for key, sample in samples.items()
        if not sample.of and (pairs := _pairs(arms[key], results.pairs_of(sample.workload)))
    )
    rows = [
        _row(results, sample, arms[key], stored.get(key), counts_vary=counts_vary)
        for key, sample in samples.items()
    ]
    rows = [ungated(row) if row.key in results.ungated else row for row in rows]
    return with_prior(rows, results.prior) if results.prior else rows


def ungated(row: Row) -> Row:
    """Return a row that is only shown."""
    return replace(row, metric=replace(row.metric, gate=False), family=OTHERS)


def with_prior(rows: Sequence[Row], prior: Prior) -> list[Row]:
    """Return rows whose errors lean on what earlier runs say of the spread of each metric.

    Where the spreads of a workload lie together above those of earlier runs, the prior is widened
    as much; where they lie far above, it does not hold and is not used.

    Args:
        rows: Of one run.
        prior: Of the same suite; metrics that it does not know stay as they are.
    """
    seen: dict[str, list[Seen]] = {}
    for row in rows:
        if one := _seen(row, prior):
            seen.setdefault(row.workload, []).append(one)
    wider = {workload: widening(found) for workload, found in seen.items()}
    return [_leaning(row, prior, wider.get(row.workload, 1.0)) for row in rows]


def _seen(row: Row, prior: Prior) -> Seen | None:
    """Return the variance of a metric here and in earlier runs; None where one is not known."""
    spread = prior.spreads.get(row.key)
    if row.evidence is None or row.deviation is None or not (spread and spread.variance):
        return None
    return Seen(row.deviation**2, row.evidence.freedom, spread.variance)


def _leaning(row: Row, prior: Prior, wider: float) -> Row:
    seen = _seen(row, prior)
    if row.evidence is None or seen is None or wider > MOST_WIDENED:
        return row
    variance = seen.prior * wider
    leaning = evidence.moderated(row.evidence, row.pairs, variance, prior.freedom)
    return replace(row, evidence=leaning, prior=math.sqrt(variance))


def _deviation(found: Evidence | None, pairs: int) -> float | None:
    """Return the standard deviation of a pair; None where the evidence is of something else."""
    match found:
        case Estimate() | OneSided():
            return math.sqrt(max(0.0, found.error**2 - found.fixed) * pairs)
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Measured:
    """The values of one metric in two arms, wherever they were measured.

    Attributes:
        family: Of metrics that are judged together.
        metric: What the values mean.
        before: Of the baseline; of pairs, those that have both arms, in order.
        after: Of the candidate, likewise.
        is_paired: Whether values belong together in pairs.
        of: Of shares of events, how many there could have been, by arm; otherwise empty.
        warnings: What became of values that are not here.
        cut_off: Arms of which a deadline cut values off, so that they are lower bounds.
        lost: How many values are not here, by the arm that lacks them; nothing where none is.  Of
            pairs, the partner of each is not here either.
    """

    family: str
    metric: Metric
    before: Sequence[float]
    after: Sequence[float]
    is_paired: bool
    of: tuple[Sequence[float], ...] = ()
    warnings: tuple[str, ...] = ()
    cut_off: frozenset[Arm] = frozenset()
    lost: Mapping[Arm, int] = field(default_factory=dict)


def of_family(members: Sequence[Measured], apart: float, pairs: int) -> list[Row]:
    """Return the rows of metrics that are judged together, in order.

    Args:
        members: Their values.
        apart: See `evidence.of_groups`.
        pairs: Take only so many pairs, from the first.
    """
    counts_vary = any(
        coarse.is_count_that_varies(one.metric, one.before, one.after)
        for one in members
        if len(one.before) and len(one.after) and not one.of
    )
    return [of_measured(one, apart, pairs, counts_vary=counts_vary) for one in members]


def of_measured(
    measured: Measured, apart: float, pairs: int | None = None, *, counts_vary: bool = False
) -> Row:
    """Return the row of one metric.

    Args:
        measured: Its values.
        apart: See `evidence.of_groups`.
        pairs: Take only so many pairs, from the first.
        counts_vary: See `coarse.allowed_for`.
    """
    metric, most = measured.metric, pairs if measured.is_paired else None
    arms = {Arm.BASELINE: measured.before[:most], Arm.CANDIDATE: measured.after[:most]}
    before, after = arms.values()
    measured_arms = measured.before, measured.after
    fewest = min(len(before), len(after))
    lost = {arm: measured.lost.get(arm, 0) for arm in Arm}
    asked = {arm: len(values) + lost[arm] for arm, values in zip(Arm, measured_arms, strict=True)}
    if measured.is_paired:
        asked = dict.fromkeys(Arm, len(measured.before) + sum(lost.values()))
    lacking = lacks_most(len(measured.before), asked[Arm.BASELINE]) if measured.is_paired else []
    one_sided = [] if lacking else lopsided(lost, asked)
    said = [*measured.warnings, *lacking, *one_sided, *floored(metric)]
    said += without_ratios(metric, arms)
    if fewest < 2:
        what = "pair" if measured.is_paired else "value of an arm"
        said.append(f"{fewest} {what} only, so there is no interval: at least two are needed")
    elif not measured.is_paired:
        apart_said = f", which set groups apart by {apart:.0%} (SD)" if apart else ""
        said.append(f"not in pairs: the machine and the hour may differ{apart_said}")
    found: Evidence | None = None
    means = {arm: scale.mean(metric, values) for arm, values in arms.items()}
    if cut := _both_cut_off(measured.cut_off):
        metric = replace(metric, gate=False)
        said += cut
    elif fewest >= 2 and not lacking and not without_ratios(metric, arms):
        if metric.scale is Scale.DIFFERENCE and measured.of:
            counted = [
                [(value * of, of) for value, of in zip(values, ofs[:most], strict=True)]
                for values, ofs in zip(arms.values(), measured.of, strict=True)
            ]
            between = 0.0 if measured.is_paired else apart
            found = evidence.of_shares(metric, *counted, apart=between)
            means = dict(zip(arms, map(_pooled, counted), strict=True))
        else:
            if measured.is_paired:
                found = evidence.of_pairs(metric, before, after)
            else:
                found = evidence.of_groups(metric, before, after, apart)
            found, steps = coarse.allowed_for(metric, found, before, after, counts_vary=counts_vary)
            said += steps
        found = _bounded(metric, found, measured.cut_off)
    return Row(
        workload=measured.family,
        metric=metric,
        family=measured.family,
        means=means,
        pairs=fewest,
        evidence=found,
        stored=None,
        warnings=tuple(said),
        cut_off=measured.cut_off,
        deviation=_deviation(found, fewest) if measured.is_paired else None,
        is_lopsided=bool(one_sided),
    )


def _pairs(arms: Mapping[Arm, Sample | None], valid: Sequence[int]) -> list[tuple[float, float]]:
    """Return the values of the valid pairs that both arms have."""
    both = [arms[arm] for arm in Arm]
    return [
        (before, after)
        for pair in valid
        for before, after in [tuple(one.values[pair] if one else None for one in both)]
        if before is not None and after is not None
    ]


def _row(
    results: ResultSet,
    shown: Sample,
    arms: dict[Arm, Sample | None],
    stored: float | None,
    *,
    counts_vary: bool,
) -> Row:
    metric, valid = shown.metric, results.pairs_of(shown.workload)
    values = {
        arm: [sample.values[pair] if sample else None for pair in valid]
        for arm, sample in arms.items()
    }
    present = {arm: [v for v in values[arm] if v is not None] for arm in Arm}
    pairs = _pairs(arms, valid)
    of_both = dict(zip(Arm, zip(*pairs, strict=True), strict=True)) if pairs else present
    means = {arm: scale.mean(metric, of_both[arm]) for arm in Arm}
    without_ratio = without_ratios(metric, present)
    is_share = metric.scale is Scale.DIFFERENCE and any(s and s.of for s in arms.values())
    counted = {arm: _counted(arms[arm], valid) for arm in Arm} if is_share else {}
    lacking = lacks_most(min([len(pairs), *map(len, counted.values())]), len(valid))
    there = counted if is_share and all(counted.values()) else present
    lost = {arm: len(valid) - len(there[arm]) for arm in Arm}
    one_sided = [] if lacking else lopsided(lost, dict.fromkeys(Arm, len(valid)))
    found: Evidence | None = None
    steps: list[str] = []
    cut_off = frozenset(
        arm
        for arm, sample in arms.items()
        if sample and any(sample.cutoff(pair) is Cutoff.AT_LEAST for pair in valid)
    )
    not_gating = [*_both_cut_off(cut_off), *_never_done(arms, valid, len(pairs))]
    if not_gating:
        metric = replace(metric, gate=False)
    elif not without_ratio and not lacking and len(pairs) >= 2:
        if not is_share:
            both = [*zip(*pairs, strict=True)]
            found = evidence.of_pairs(metric, *both)
            if not _never_varied(results, shown.key):
                found, steps = coarse.allowed_for(metric, found, *both, counts_vary=counts_vary)
            found = _bounded(metric, found, cut_off)
        elif all(counted.values()):
            found = evidence.of_shares(metric, *counted.values())
            means = {arm: _pooled(trials) for arm, trials in counted.items()}
    return Row(
        workload=shown.workload,
        metric=metric,
        family=GATE if metric.gate else OTHERS,
        means=means,
        pairs=len(pairs),
        evidence=found,
        stored=stored,
        deviation=_deviation(found, len(pairs)),
        is_lopsided=bool(one_sided),
        warnings=(
            *not_gating,
            *_lower_bounds(cut_off),
            *_missing(present, len(valid), len(pairs)),
            *lacking,
            *one_sided,
            *_uncounted(counted, present),
            *floored(metric),
            *without_ratio,
            *steps,
        ),
        cut_off=cut_off,
    )


def _never_varied(results: ResultSet, key: str) -> bool:
    """Tell whether a metric did not vary in earlier runs: then it is a count, and not rounded."""
    spread = results.prior.spreads.get(key) if results.prior else None
    return spread is not None and spread.variance == 0


def _bounded(metric: Metric, found: Evidence, cut_off: frozenset[Arm]) -> Evidence:
    """Return evidence that is open on the side on which a deadline hides the true values."""
    if len(cut_off) == 1 and isinstance(found, Estimate):
        (arm,) = cut_off
        return evidence.cut_off(metric, found, arm)
    return found


def _both_cut_off(cut_off: frozenset[Arm]) -> list[str]:
    """Return why a metric of which both arms were cut off cannot be compared."""
    if len(cut_off) < len(Arm):
        return []
    said = "a deadline cut both builds off, so this cannot be compared and does not gate"
    return [f"{said}: how much was not done in time has a metric of its own"]


def _lower_bounds(cut_off: frozenset[Arm]) -> list[str]:
    """Return what a reader must know of values that a deadline cut off in one arm."""
    return [f"values of the {arm} are lower bounds: a deadline cut them off" for arm in cut_off]


def _never_done(arms: Mapping[Arm, Sample | None], valid: Sequence[int], pairs: int) -> list[str]:
    """Return why a metric cannot be compared of which nothing was done before a deadline."""
    if pairs >= 2 and not lacks_most(pairs, len(valid)):
        return []
    return [
        f"in {never} of {len(valid)} trials of the {arm} too little of this was done before the"
        " deadline, so it cannot be compared and does not gate: how much was not done in time has a"
        " metric of its own"
        for arm, sample in arms.items()
        if sample and (never := sum(sample.cutoff(pair) is Cutoff.NOTHING_DONE for pair in valid))
    ]


def lacks_most(pairs: int, asked: int) -> list[str]:
    """Return a sentence if an arm lacks the metric in most pairs: then the rest proves nothing.

    Args:
        pairs: Number of pairs with a value in both arms.
        asked: Number of all pairs.
    """
    if not 0 < 2 * pairs < asked:
        return []
    return [f"inconclusive: only {pairs} of {asked} pairs have a value in both arms"]


def _counted(sample: Sample | None, valid: Sequence[int]) -> list[evidence.Counted]:
    """Return the events, and of how many, of each valid trial in which there could be any."""
    if sample is None or not sample.of:
        return []
    found = [(sample.values[pair], sample.of[pair]) for pair in valid]
    return [(value * of, of) for value, of in found if value is not None and of]


def _pooled(trials: Sequence[evidence.Counted]) -> float:
    """Return the share of all trials together."""
    events, of = (math.fsum(part) for part in zip(*trials, strict=True))
    return events / of


def _uncounted(
    counted: Mapping[Arm, Sequence[evidence.Counted]], present: Mapping[Arm, Sequence[float]]
) -> list[str]:
    """Return a sentence for each arm with shares of nothing: they are left out, and are not 0."""
    return [
        f"the {arm} had no events to count in {len(present[arm]) - len(trials)} of"
        f" {len(present[arm])} trials, which are left out"
        for arm, trials in counted.items()
        if len(trials) < len(present[arm])
    ]


def floored(metric: Metric) -> list[str]:
    """Return a sentence on what is subtracted from both arms, if anything is."""
    what = f"{metric.floor:g} {metric.unit} that no build can save are subtracted from both arms"
    return [f"{what} before the ratio"] if metric.floor else []


def without_ratios(metric: Metric, present: Mapping[Arm, Sequence[float]]) -> list[str]:
    """Return a sentence for each arm with a value of which no ratio can be taken."""
    if metric.scale is Scale.DIFFERENCE:
        return []
    return [
        f"not comparable: the {arm} has a value of {min(values):g} {metric.unit}, and a ratio"
        f" needs values above {metric.floor:g}; use an absolute margin (scale `difference`)"
        for arm, values in present.items()
        if values and min(values) <= metric.floor
    ]


def _missing(present: Mapping[Arm, Sequence[float]], valid: int, pairs: int) -> list[str]:
    """Return a sentence for each arm that lacks the metric, and for too few pairs."""
    if not valid:
        return ["no pair is valid, so there is nothing to compare"]
    said = []
    for arm, values in present.items():
        if not values:
            said.append(f"nothing was reported by the {arm}")
        elif len(values) < valid:
            said.append(f"the {arm} reported it in {len(values)} of {valid} valid trials")
    if pairs < 2 and all(present.values()):
        said.append("both arms have a value in fewer than two pairs, so there is no interval")
    return said
