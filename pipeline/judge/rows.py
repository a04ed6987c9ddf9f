"""Compute the evidence on each metric from the values of both arms."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.judge import constants, scale
from pipeline.judge.evidence import (
    Counted,
    Evidence,
    of_groups,
    of_pairs,
    of_proportions,
    with_cut_off,
)
from pipeline.judge.resolution import allow_for_steps, is_count_that_varies
from pipeline.judge.stats.student import Estimate, ObservedVariance, moderate, variance_inflation
from pipeline.model.metric import Metric, Scale
from pipeline.model.prior import Prior
from pipeline.model.report import Comparison
from pipeline.model.results import Cutoff, ResultSet, Sample
from pipeline.model.subject import Arm

GATE = "gate"
"""Family of the metrics that gate."""

OTHERS = "others"
"""Family of the metrics that do not gate."""

_DIGITS = 9  # of a share; digits beyond are the rounding of doubles


@dataclass(frozen=True, slots=True)
class Row:
    """The evidence on one metric.

    Attributes:
        comparison: Comparison without what follows from the evidence.
        evidence: Evidence; None if there is too little of it.
    """

    comparison: Comparison
    evidence: Evidence | None


@dataclass(frozen=True, slots=True)
class MetricValues:
    """The values of one metric in two arms, from any source.

    Attributes:
        family: Name of the metrics that are judged together.
        before: Values of the baseline; of pairs, only complete ones, in order.
        after: Values of the candidate, likewise.
        is_paired: True if values belong together in pairs.
        denominators: Number of possible events of each value by arm, for a share of events;
            otherwise empty.
        cut_off: Arms with values that a deadline cut off, so that they are lower bounds.
        lost: Number of missing values by arm.  The partner of a missing value of a pair is left
            out, too.
    """

    family: str
    metric: Metric
    before: Sequence[float]
    after: Sequence[float]
    is_paired: bool
    denominators: tuple[Sequence[float], ...] = ()
    warnings: tuple[str, ...] = ()
    cut_off: frozenset[Arm] = frozenset()
    lost: Mapping[Arm, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MissingValues:
    """The numbers of values that each arm lacks.

    Attributes:
        asked: Number of values that each arm was to have.
        pairs: Number of complete pairs; None without pairs.
    """

    lost: Mapping[Arm, int]
    asked: Mapping[Arm, int]
    pairs: int | None = None

    @property
    def are_most(self) -> bool:
        """True if most pairs are incomplete: the rest proves nothing."""
        return self.pairs is not None and 0 < 2 * self.pairs < self.asked[Arm.BASELINE]

    @property
    def are_lopsided(self) -> bool:
        """True if one arm lacks many more values than the other, and both have some.

        Source:
            Values that are not missing at random: Rubin, Inference and Missing Data, Biometrika 63
            (1976).  The test is the binomial one of two rates: Przyborowski and Wilenski,
            Homogeneity of Results in Testing Samples from Poisson Series, Biometrika 31 (1940).
        """
        from scipy.special import bdtrc

        if self.are_most or any(self.lost[arm] == self.asked[arm] for arm in Arm):
            return False
        more, less = self._by_share()
        difference = round(self._share(more) - self._share(less), _DIGITS)
        if difference <= constants.FREE_IMBALANCE:
            return False
        chance = self.asked[more] / (self.asked[more] + self.asked[less])
        p = float(bdtrc(self.lost[more] - 1, self.lost[more] + self.lost[less], chance))
        return difference > constants.MAX_IMBALANCE or p < constants.IMBALANCE_ALPHA

    def warnings(self) -> list[str]:
        """Return a sentence if the missing values make the metric inconclusive."""
        if self.are_most:
            asked = self.asked[Arm.BASELINE]
            return [f"inconclusive: only {self.pairs} of {asked} pairs have a value in both arms"]
        if not self.are_lopsided:
            return []
        more, less = self._by_share()
        lacks = f"the {more} lacks {self.lost[more]} of {self.asked[more]} values"
        others = f"the {less} {self.lost[less]}, and those that are missing may be the slow ones"
        return [f"inconclusive: {lacks} and {others}"]

    def _share(self, arm: Arm) -> float:
        return self.lost[arm] / self.asked[arm]

    def _by_share(self) -> tuple[Arm, Arm]:
        more = max(Arm, key=self._share)
        (less,) = (arm for arm in Arm if arm is not more)
        return more, less


@dataclass(frozen=True, slots=True)
class _ComparedValues:
    """The values of one metric that are compared, whatever they were read from.

    Attributes:
        metric: Metric of the values.
        arms: Values by arm.
        pairs: Number of pairs, or of values of the smaller group.
        counted: Trials by arm, for a share of events; otherwise empty.
        missing: Number of values that each arm lacks.
        cut_off: Arms with values that a deadline cut off.
        is_comparable: False if no number of values would give evidence.
        between_run_sd: Assumed standard deviation between two groups, as a ratio; None for pairs.
        counts_vary: True if another count of the same report varies; see `allow_for_steps`.
        is_exact: True if the values are known not to be rounded.
    """

    metric: Metric
    arms: Mapping[Arm, Sequence[float]]
    pairs: int
    counted: Mapping[Arm, Sequence[Counted]]
    missing: MissingValues
    cut_off: frozenset[Arm]
    is_comparable: bool
    between_run_sd: float | None = None
    counts_vary: bool = False
    is_exact: bool = False

    def row(self, workload: str, family: str, warnings: Sequence[str]) -> Row:
        """Return the row of the metric; `warnings` are those about its values."""
        means = {arm: scale.mean(self.metric, values) for arm, values in self.arms.items()}
        evidence: Evidence | None = None
        step: float | None = None
        if self.is_comparable and self.pairs >= constants.MIN_PAIRS:
            evidence, step = self._evidence()
            if self.counted:
                means = {arm: _pooled_share(trials) for arm, trials in self.counted.items()}
        comparison = Comparison(
            *(workload, self.metric, means[Arm.BASELINE], means[Arm.CANDIDATE]),
            pairs=self.pairs,
            warnings=(*warnings, *_step_warnings(self.metric, step)),
            family=family,
            cut_off=tuple(arm for arm in Arm if arm in self.cut_off),
            pair_sd=_pair_sd(evidence, self.pairs) if self.between_run_sd is None else None,
            is_lopsided=self.missing.are_lopsided,
        )
        return Row(comparison, evidence)

    def _evidence(self) -> tuple[Evidence, float | None]:
        """Return the evidence, and the step of the values if it is larger than the margin."""
        metric = self.metric
        if self.counted:
            sd = self.between_run_sd or 0.0
            return of_proportions(metric, *self.counted.values(), between_run_sd=sd), None
        before, after = self.arms[Arm.BASELINE], self.arms[Arm.CANDIDATE]
        if self.between_run_sd is None:
            estimate = of_pairs(metric, before, after)
        else:
            estimate = of_groups(metric, before, after, self.between_run_sd)
        step = None
        if not self.is_exact:
            estimate, step = allow_for_steps(
                metric, estimate, before, after, counts_vary=self.counts_vary
            )
        if len(self.cut_off) == 1:
            (arm,) = self.cut_off
            return with_cut_off(metric, estimate, arm), step
        return estimate, step


def rows_of_results(results: ResultSet) -> list[Row]:
    """Return the rows of a run, in the suite's order, from its valid pairs."""
    by_key = {arm: {s.key: s for s in results.samples.get(arm, ())} for arm in Arm}
    samples = {key: sample for arm in Arm for key, sample in by_key[arm].items()}
    arms = {key: {arm: by_key[arm].get(key) for arm in Arm} for key in samples}
    counts_vary = any(
        is_count_that_varies(sample.metric, *zip(*pairs, strict=True))
        for key, sample in samples.items()
        if not sample.denominators
        and (pairs := _complete_pairs(arms[key], results.pairs_of(sample.workload)))
    )
    rows = [
        _row_of_sample(results, sample, arms[key], counts_vary=counts_vary)
        for key, sample in samples.items()
    ]
    rows = [without_gate(row) if row.comparison.key in results.ungated else row for row in rows]
    return with_prior(rows, results.prior) if results.prior else rows


def rows_of_family(members: Sequence[MetricValues], between_run_sd: float, pairs: int) -> list[Row]:
    """Return the rows of metrics that are judged together, in order, from their first pairs."""
    counts_vary = any(
        is_count_that_varies(one.metric, one.before, one.after)
        for one in members
        if len(one.before) and len(one.after) and not one.denominators
    )
    return [row_of_values(one, between_run_sd, pairs, counts_vary=counts_vary) for one in members]


def row_of_values(
    values: MetricValues,
    between_run_sd: float,
    pairs: int | None = None,
    *,
    counts_vary: bool = False,
) -> Row:
    """Return the row of one metric.

    Args:
        values: Values of the metric.
        between_run_sd: Assumed standard deviation between groups; see `evidence.of_groups`.
        pairs: Number of pairs to take, from the first; None for all.
        counts_vary: True if another count of the same report varies; see `allow_for_steps`.
    """
    metric, most = values.metric, pairs if values.is_paired else None
    arms = {Arm.BASELINE: values.before[:most], Arm.CANDIDATE: values.after[:most]}
    fewest = min(map(len, arms.values()))
    missing = _missing_values(values)
    warnings = [*values.warnings, *missing.warnings(), *_ratio_warnings(metric, arms)]
    if fewest < constants.MIN_PAIRS:
        what = "pair" if values.is_paired else "value of an arm"
        warnings.append(f"{fewest} {what} only, so there is no interval: at least two are needed")
    elif not values.is_paired:
        known = f", which set groups apart by {between_run_sd:.0%} (SD)" if between_run_sd else ""
        warnings.append(f"not in pairs: the machine and the hour may differ{known}")
    if is_hidden := len(values.cut_off) == len(Arm):
        metric = replace(metric, gate=False)
        warnings.append(_BOTH_CUT_OFF)
    is_comparable = not is_hidden and not missing.are_most and _have_ratios(metric, arms)
    counted: dict[Arm, list[Counted]] = {}
    if is_comparable and metric.scale is Scale.DIFFERENCE and values.denominators:
        counted = {
            arm: [(value * of, of) for value, of in zip(arms[arm], ofs[:most], strict=True)]
            for arm, ofs in zip(arms, values.denominators, strict=True)
        }
    return _ComparedValues(
        metric,
        arms,
        pairs=fewest,
        counted=counted,
        missing=missing,
        cut_off=values.cut_off,
        is_comparable=is_comparable,
        between_run_sd=None if values.is_paired else between_run_sd,
        counts_vary=counts_vary,
    ).row(values.family, values.family, warnings)


def without_gate(row: Row) -> Row:
    """Return a row that is only shown."""
    metric = replace(row.comparison.metric, gate=False)
    return replace(row, comparison=replace(row.comparison, metric=metric, family=OTHERS))


def with_prior(rows: Sequence[Row], prior: Prior) -> list[Row]:
    """Return the rows of a run with errors that are moderated by the spreads of earlier runs.

    If the spreads of a workload are larger than in earlier runs, the prior is widened as much; if
    they are far larger, it is not used.  Rows of metrics that the prior lacks stay as they are.
    """
    observed: dict[str, list[ObservedVariance]] = {}
    for row in rows:
        if one := _observed_variance(row, prior):
            observed.setdefault(row.comparison.workload, []).append(one)
    inflation = {
        workload: variance_inflation(variances) for workload, variances in observed.items()
    }
    return [_moderated(row, prior, inflation.get(row.comparison.workload, 1.0)) for row in rows]


def floor_notes(metric: Metric) -> tuple[str, ...]:
    """Return a sentence about the floor that is subtracted from both arms, if there is one."""
    floor = metric.in_unit(f"{metric.floor:g}")
    what = f"{floor} that no build can save are subtracted from both arms"
    return (f"{what} before the ratio",) if metric.floor else ()


def _row_of_sample(
    results: ResultSet, sample: Sample, arms: Mapping[Arm, Sample | None], *, counts_vary: bool
) -> Row:
    """Return the row of one metric of a run; `sample` is that of either arm."""
    metric, valid = sample.metric, results.pairs_of(sample.workload)
    present = {
        arm: [v for pair in valid if own and (v := own.values[pair]) is not None]
        for arm, own in arms.items()
    }
    pairs = _complete_pairs(arms, valid)
    is_share = metric.scale is Scale.DIFFERENCE and any(s and s.denominators for s in arms.values())
    counted = {arm: _counted_trials(arms[arm], valid) for arm in Arm} if is_share else {}
    used = counted if is_share and all(counted.values()) else present
    missing = MissingValues(
        lost={arm: len(valid) - len(used[arm]) for arm in Arm},
        asked=dict.fromkeys(Arm, len(valid)),
        pairs=min([len(pairs), *map(len, counted.values())]),
    )
    cut_off = frozenset(
        arm
        for arm, own in arms.items()
        if own and any(own.cutoff(pair) is Cutoff.AT_LEAST for pair in valid)
    )
    not_gating = [_BOTH_CUT_OFF] if len(cut_off) == len(Arm) else []
    not_gating += _never_done(arms, valid, len(pairs))
    if not_gating:
        metric = replace(metric, gate=False)
    is_comparable = (
        not (not_gating or missing.are_most)
        and _have_ratios(metric, present)
        and all(counted.values())
    )
    # A metric that did not vary in earlier runs is a count, and not rounded.
    spread = results.prior.spreads.get(sample.key) if results.prior else None
    warnings = (
        *not_gating,
        *(f"values of the {arm} are lower bounds: a deadline cut them off" for arm in cut_off),
        *_reporting_warnings(present, len(valid), len(pairs)),
        *missing.warnings(),
        *_uncounted_warnings(counted, present),
        *_ratio_warnings(metric, present),
    )
    row = _ComparedValues(
        metric,
        dict(zip(Arm, zip(*pairs, strict=True), strict=True)) if pairs else present,
        pairs=len(pairs),
        counted=counted,
        missing=missing,
        cut_off=cut_off,
        is_comparable=is_comparable,
        counts_vary=counts_vary,
        is_exact=spread is not None and spread.variance == 0,
    ).row(sample.workload, GATE if metric.gate else OTHERS, warnings)
    stored = results.stored.values.get(sample.key) if results.stored else None
    return replace(row, comparison=replace(row.comparison, stored=stored))


def _complete_pairs(
    arms: Mapping[Arm, Sample | None], valid: Sequence[int]
) -> list[tuple[float, float]]:
    """Return the values of the valid pairs that both arms have."""
    baseline, candidate = (arms[arm] for arm in Arm)
    if baseline is None or candidate is None:
        return []
    return [
        (before, after)
        for pair in valid
        if (before := baseline.values[pair]) is not None
        and (after := candidate.values[pair]) is not None
    ]


def _missing_values(values: MetricValues) -> MissingValues:
    lost = {arm: values.lost.get(arm, 0) for arm in Arm}
    if values.is_paired:
        pairs = len(values.before)
        return MissingValues(lost, dict.fromkeys(Arm, pairs + sum(lost.values())), pairs)
    sizes = zip(Arm, (values.before, values.after), strict=True)
    return MissingValues(lost, {arm: len(own) + lost[arm] for arm, own in sizes})


def _counted_trials(sample: Sample | None, valid: Sequence[int]) -> list[Counted]:
    """Return the counted events of each valid trial that could have any."""
    if sample is None or not sample.denominators:
        return []
    trials = [(sample.values[pair], sample.denominators[pair]) for pair in valid]
    return [(value * of, of) for value, of in trials if value is not None and of]


def _pooled_share(trials: Sequence[Counted]) -> float:
    """Return the share of events in all trials together."""
    events, possible = (math.fsum(part) for part in zip(*trials, strict=True))
    return events / possible


def _pair_sd(evidence: Evidence | None, pairs: int) -> float | None:
    """Return the standard deviation of a pair; None if the evidence is not from pairs."""
    if not isinstance(evidence, Estimate):
        return None
    return math.sqrt(max(0.0, evidence.standard_error**2 - evidence.fixed_variance) * pairs)


def _observed_variance(row: Row, prior: Prior) -> ObservedVariance | None:
    """Return the variance of a metric in this and in earlier runs; None if one is not known."""
    spread, pair_sd = prior.spreads.get(row.comparison.key), row.comparison.pair_sd
    if row.evidence is None or pair_sd is None or not (spread and spread.variance):
        return None
    return ObservedVariance(pair_sd**2, row.evidence.degrees_of_freedom, spread.variance)


def _moderated(row: Row, prior: Prior, inflation: float) -> Row:
    observed = _observed_variance(row, prior)
    if observed is None or inflation > constants.MAX_VARIANCE_INFLATION:
        return row
    variance, evidence = observed.prior * inflation, row.evidence
    if isinstance(evidence, Estimate):
        evidence = moderate(evidence, row.comparison.pairs, variance, prior.degrees_of_freedom)
    return Row(replace(row.comparison, prior_sd=math.sqrt(variance)), evidence)


def _have_ratios(metric: Metric, arms: Mapping[Arm, Sequence[float]]) -> bool:
    """Return True unless a ratio metric has a value that is not above its floor."""
    return metric.scale is Scale.DIFFERENCE or all(
        not values or min(values) > metric.floor for values in arms.values()
    )


_BOTH_CUT_OFF = (
    "a deadline cut both builds off, so this cannot be compared and does not gate: how much was not"
    " done in time has a metric of its own"
)


def _never_done(arms: Mapping[Arm, Sample | None], valid: Sequence[int], pairs: int) -> list[str]:
    """Return a sentence for each arm that a deadline left without values, if few pairs are left."""
    if pairs >= constants.MIN_PAIRS and 2 * pairs >= len(valid):
        return []
    return [
        f"in {never} of {len(valid)} trials of the {arm} too little of this was done before the"
        " deadline, so it cannot be compared and does not gate: how much was not done in time has a"
        " metric of its own"
        for arm, sample in arms.items()
        if sample and (never := sum(sample.cutoff(pair) is Cutoff.NOTHING_DONE for pair in valid))
    ]


def _uncounted_warnings(
    counted: Mapping[Arm, Sequence[Counted]], present: Mapping[Arm, Sequence[float]]
) -> list[str]:
    """Return a sentence for each arm with trials without possible events: they are left out."""
    return [
        f"the {arm} had no events to count in {len(present[arm]) - len(trials)} of"
        f" {len(present[arm])} trials, which are left out"
        for arm, trials in counted.items()
        if len(trials) < len(present[arm])
    ]


def _ratio_warnings(metric: Metric, arms: Mapping[Arm, Sequence[float]]) -> list[str]:
    """Return a sentence for each arm with a value that has no ratio."""
    if metric.scale is Scale.DIFFERENCE:
        return []
    return [
        f"not comparable: the {arm} has a value of {metric.in_unit(f'{min(values):g}')}, and a"
        f" ratio needs values above {metric.floor:g}; use an absolute margin (scale `difference`)"
        for arm, values in arms.items()
        if values and min(values) <= metric.floor
    ]


def _step_warnings(metric: Metric, step: float | None) -> list[str]:
    """Return a sentence about values that come in steps larger than the margin."""
    if step is None:
        return []
    margin = metric.in_unit(f"{metric.margin:.3g}")
    if metric.scale is Scale.RATIO:
        margin = f"{100 * metric.margin:.3g} %"
    size = metric.in_unit(f"{step:.3g}")
    what = f"the values come in steps of {size}, which is more than the margin of {margin}"
    advice = "record more digits, or make the margin at least one step"
    return [f"{what}: one step proves nothing; {advice}"]


def _reporting_warnings(
    present: Mapping[Arm, Sequence[float]], valid: int, pairs: int
) -> list[str]:
    """Return a sentence for each arm that lacks values, and one for too few pairs."""
    if not valid:
        return ["no pair is valid, so there is nothing to compare"]
    warnings = []
    for arm, values in present.items():
        if not values:
            warnings.append(f"nothing was reported by the {arm}")
        elif len(values) < valid:
            warnings.append(f"the {arm} reported it in {len(values)} of {valid} valid trials")
    if pairs < constants.MIN_PAIRS and all(present.values()):
        warnings.append("both arms have a value in fewer than two pairs, so there is no interval")
    return warnings
