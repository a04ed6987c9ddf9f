"""From samples to evidence: one comparison per metric, numbers only."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from pipeline.judge import scale
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Change, Comparison, Rule
from pipeline.model.results import ResultSet, Sample
from pipeline.model.subject import Arm
from pipeline.stats.intervals import mean_interval, moments, p_above_zero
from pipeline.stats.multiple import holm
from pipeline.stats.power import smallest_detectable

_DIGITS = 12  # of a difference; what is beyond is the rounding of doubles, not a spread


@dataclass(frozen=True, slots=True)
class _Row:
    """What one metric has: `worse` holds its differences on the test's scale, shape (pairs,)."""

    workload: str
    metric: Metric
    medians: dict[Arm, float | None]
    pairs: int
    worse: tuple[float, ...]
    stored: float | None
    warnings: tuple[str, ...]

    @property
    def is_tested(self) -> bool:
        return len(self.worse) >= 2


def compare(results: ResultSet, rule: Rule) -> tuple[Comparison, ...]:
    """Return the evidence for every metric, in the suite's order.

    The p values are corrected within two families: the metrics that gate, and the others.

    Args:
        results: Only pairs both trials of which count are used.
        rule: The constants to compute with.
    """
    rows = _rows(results)
    worse, better = [1.0] * len(rows), [1.0] * len(rows)
    size = {True: 0, False: 0}
    for gate in size:
        family = [i for i, row in enumerate(rows) if row.metric.gate is gate and row.is_tested]
        size[gate] = len(family)
        up = holm([p_above_zero(rows[i].worse) for i in family])
        down = holm([p_above_zero([-w for w in rows[i].worse]) for i in family])
        for index, p_worse, p_better in zip(family, up, down, strict=True):
            worse[index], better[index] = p_worse, p_better
    return tuple(
        _comparison(row, p_worse, p_better, rule, size[row.metric.gate])
        for row, p_worse, p_better in zip(rows, worse, better, strict=True)
    )


def _rows(results: ResultSet) -> list[_Row]:
    by_key = {arm: {s.key: s for s in results.samples.get(arm, ())} for arm in Arm}
    samples = {key: sample for arm in Arm for key, sample in by_key[arm].items()}
    stored = results.stored.values if results.stored else {}
    return [
        _row(results, sample, {arm: by_key[arm].get(key) for arm in Arm}, stored.get(key))
        for key, sample in samples.items()
    ]


def _row(
    results: ResultSet, shown: Sample, arms: dict[Arm, Sample | None], stored: float | None
) -> _Row:
    metric, valid = shown.metric, results.valid_pairs
    values = {
        arm: [sample.values[pair] if sample else None for pair in valid]
        for arm, sample in arms.items()
    }
    present = {arm: [v for v in values[arm] if v is not None] for arm in Arm}
    pairs = [
        (before, after)
        for before, after in zip(values[Arm.BASELINE], values[Arm.CANDIDATE], strict=True)
        if before is not None and after is not None
    ]
    warnings = list(_missing(present, len(valid), len(pairs)))
    if metric.floor:
        warnings.append(
            f"{metric.floor:g} {metric.unit} that no build can save are subtracted from both arms"
            " before the ratio"
        )
    without_ratio = _without_ratio(metric, present)
    return _Row(
        workload=shown.workload,
        metric=metric,
        medians={arm: median(present[arm]) if present[arm] else None for arm in Arm},
        pairs=len(pairs),
        worse=() if without_ratio else _differences(metric, pairs),
        stored=stored,
        warnings=(*warnings, *without_ratio),
    )


def _missing(present: dict[Arm, list[float]], valid: int, pairs: int) -> list[str]:
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


def _without_ratio(metric: Metric, present: dict[Arm, list[float]]) -> list[str]:
    """Return a sentence for each arm with a value of which no ratio can be taken."""
    if metric.scale is Scale.DIFFERENCE:
        return []
    return [
        f"not comparable: the {arm} has a value of {min(values):g} {metric.unit}, and a ratio"
        f" needs values above {metric.floor:g}"
        for arm, values in present.items()
        if values and min(values) <= metric.floor
    ]


def _differences(metric: Metric, pairs: Sequence[tuple[float, float]]) -> tuple[float, ...]:
    """Return how much worse each pair is, rounded so that equal changes are equal numbers."""
    digits = _DIGITS
    if metric.scale is Scale.DIFFERENCE:
        largest = max((abs(value) for pair in pairs for value in pair), default=0.0)
        digits -= math.ceil(math.log10(largest)) if largest else 0
    return tuple(round(scale.difference(metric, *pair), digits) for pair in pairs)


def _comparison(row: _Row, p_worse: float, p_better: float, rule: Rule, family: int) -> Comparison:
    found = row.is_tested
    return Comparison(
        workload=row.workload,
        metric=row.metric,
        baseline=row.medians[Arm.BASELINE],
        candidate=row.medians[Arm.CANDIDATE],
        change=_change(row, rule) if found else None,
        p_worse=p_worse if found else None,
        p_better=p_better if found else None,
        smallest_detectable=_detectable(row, rule, family) if found else None,
        pairs=row.pairs,
        stored=row.stored,
        warnings=row.warnings,
    )


def _change(row: _Row, rule: Rule) -> Change:
    low, mean, high = (
        scale.change(row.metric, worse) for worse in mean_interval(row.worse, rule.confidence)
    )
    return Change(low, mean, high) if row.metric.better is Better.LOWER else Change(high, mean, low)


def _detectable(row: _Row, rule: Rule, family: int) -> float:
    """Return the smallest worsening that is called a regression, at Holm's strictest level."""
    _, deviation = moments(row.worse)
    worse = smallest_detectable(
        deviation, len(row.worse), rule.alpha / family, scale.margin(row.metric), rule.power
    )
    return scale.change(row.metric, worse)
