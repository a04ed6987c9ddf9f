"""The level of a metric in each arm, with its interval over the pairs of a run."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipeline.judge import constants, scale
from pipeline.judge.stats.student import EstimateBound, paired_estimate
from pipeline.model.metric import TIMES, Scale
from pipeline.model.report import Finding, Report
from pipeline.model.results import Cutoff
from pipeline.model.subject import Arm


@dataclass(frozen=True, slots=True)
class ArmLevel:
    """The geometric mean of an arm's values over pairs, with its interval.

    Attributes:
        low: Lower end of the interval.
        high: Upper end of the interval; infinite if a deadline cut values off.
        estimate: Geometric mean; a lower bound if a deadline cut values off.
        pairs: Number of values, at least two.
    """

    low: float
    high: float
    estimate: float
    pairs: int


def levels_of_ratios(report: Report) -> Iterator[tuple[Finding, dict[Arm, ArmLevel]]]:
    """Yield each ratio of two readings of one build with its level in the arms that have one.

    Such a ratio is an answer about one build, so its own interval matters and not only the change.
    A value that a deadline cut off counts as the lower bound that it is, so the level is one, too.
    An arm with fewer than two values has none.
    """
    for finding in report.findings:
        metric = finding.comparison.metric
        if metric.unit == TIMES and metric.scale is Scale.RATIO:
            levels = {arm: _level(report, finding.comparison.key, arm) for arm in Arm}
            yield finding, {arm: level for arm, level in levels.items() if level}


def _level(report: Report, key: str, arm: Arm) -> ArmLevel | None:
    """Return the level of a metric in an arm; None if it has too few positive values."""
    results = report.results
    sample = next((s for s in results.samples.get(arm, ()) if s.key == key), None)
    if sample is None:
        return None
    pairs = results.pairs_of(sample.workload)
    values = [sample.values[pair] for pair in pairs]
    logs = [math.log(value) for value in values if value is not None and value > 0]
    if len(logs) < constants.MIN_PAIRS:
        return None
    estimate = paired_estimate(logs)
    if any(sample.cutoff(pair) is Cutoff.AT_LEAST for pair in pairs):
        estimate = replace(estimate, bound=EstimateBound.LOWER)
    ends = (*estimate.interval(report.rule.confidence), estimate.mean)
    low, high, middle = (
        math.inf if end == math.inf else math.exp(scale.bounded_exponent(end)) for end in ends
    )
    return ArmLevel(low, high, middle, len(logs))
