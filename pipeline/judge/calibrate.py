"""Calibrate a machine by runs of equal builds: usable tolerances and the false alarm rate."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pipeline.judge import policy, scale
from pipeline.judge.interim import looks_up_to, rule_at
from pipeline.judge.rows import MetricValues, Row, row_of_values, rows_of_results
from pipeline.judge.spreads import exact_pairs
from pipeline.judge.stats.power import median_error_ratio, smallest_passing_limit
from pipeline.judge.stats.student import mean_and_sd, quantile
from pipeline.model.calibration import Calibration, MetricNoise
from pipeline.model.metric import Metric
from pipeline.model.prior import Prior
from pipeline.model.report import Rule, Verdict
from pipeline.model.results import ResultSet

if TYPE_CHECKING:
    import numpy as np

MIN_CALIBRATION_PAIRS = 5
"""Smallest number of pairs of a calibrated spread."""

_REPORTS = 200
_SEED = 20260101


def calibration(runs: Sequence[ResultSet], max_pairs: int) -> Calibration:
    """Return the spread, false alarms and smallest tolerance of each metric.

    The runs are of one suite on one machine, with the same build in both arms.  The false alarm
    rates are from reports that are drawn from their pairs: the arms of each pair are exchanged at
    random, for all metrics together, which equal builds could have shown as well.  A drawn report
    has at most `max_pairs` pairs, and no more than the metric with fewest pairs.  Metrics with
    fewer than `MIN_CALIBRATION_PAIRS` pairs are left out.
    """
    known = {k: p for k, p in _all_pairs(runs).items() if len(p.before) >= MIN_CALIBRATION_PAIRS}
    looks = looks_up_to(max_pairs)
    last = runs[-1]
    by_key = {
        row.comparison.key: row for run in runs for row in rows_of_results(replace(run, ungated=()))
    }
    rows = list(by_key.values())
    drawn = min([max_pairs, *(len(pairs.before) for pairs in known.values())])
    alarms, red = _false_alarms(rows, known, looks_up_to(drawn) or (drawn,))
    rule = rule_at(max_pairs, looks)
    metrics = {
        key: MetricNoise(
            spread=spread,
            false_alarms=alarms[key],
            margin=metric.margin,
            min_tolerance=min_tolerance(
                metric, spread, max_pairs, rule, known=len(pairs.before) - 1
            ),
            tolerance=metric.tolerance,
        )
        for row in rows
        if (pairs := known.get(key := row.comparison.key))
        for metric, spread in ((row.comparison.metric, _spread(pairs)),)
    }
    return Calibration(
        suite=last.suite,
        suite_digest=last.suite_digest,
        machine=last.machine,
        taken_at=max(run.taken_at for run in runs),
        pairs=sum(len(run.valid_pairs) for run in runs),
        max_pairs=max_pairs,
        false_alarms=red,
        metrics=metrics,
    )


def min_tolerance(
    metric: Metric, spread: float, pairs: int, rule: Rule, known: float = math.inf
) -> float:
    """Return the smallest tolerance with which equal builds pass, at the power of the rule.

    `spread` is the standard deviation of a pair's difference on the test scale, with `known`
    degrees of freedom.
    """
    standard_error = spread / math.sqrt(pairs)
    limit = smallest_passing_limit(standard_error, pairs - 1, rule.pass_alpha, rule.power, known)
    return abs(scale.change(metric, limit))


def out_of_reach(
    spreads: Mapping[str, float],
    metrics: Mapping[str, Metric],
    pairs: int,
    looks: Sequence[int],
    prior_degrees_of_freedom: float = 0.0,
) -> tuple[str, ...]:
    """Return the gating metrics whose tolerance cannot be excluded by a number of pairs.

    The half-width of their interval exceeds the tolerance, so even an estimate of exactly 0 would
    not pass.

    Args:
        spreads: Standard deviation of a pair's difference on the test scale, by sample key.
        metrics: Metrics by sample key; those without a spread count as in reach.
        pairs: Largest number of pairs of a run, at least 2.
        looks: Looks of the run.
        prior_degrees_of_freedom: Degrees of freedom of the prior of the run; 0 without one.
    """
    rule = rule_at(pairs, looks)
    degrees_of_freedom = prior_degrees_of_freedom + pairs - 1
    widths = quantile(1 - rule.pass_alpha, degrees_of_freedom) / math.sqrt(pairs)
    return tuple(
        key
        for key, metric in metrics.items()
        if metric.gate
        and key in spreads
        and scale.is_above(widths * spreads[key], scale.tolerance(metric))
    )


def out_of_reach_with_prior(
    prior: Prior, metrics: Mapping[str, Metric], pairs: int, looks: Sequence[int]
) -> tuple[str, ...]:
    """Return the same for a run with a prior; see `out_of_reach`."""
    spreads = {key: math.sqrt(spread.variance) for key, spread in prior.spreads.items()}
    return out_of_reach(spreads, metrics, pairs, looks, prior.degrees_of_freedom)


def spreads_of(calibration: Calibration) -> dict[str, float]:
    """Return the standard deviation of a pair by sample key, corrected for its median bias."""
    ratio = median_error_ratio(calibration.pairs - 1)
    return {key: noise.spread / ratio for key, noise in calibration.metrics.items()}


def _all_pairs(runs: Sequence[ResultSet]) -> dict[str, MetricValues]:
    """Return the values of the pairs of all runs by sample key."""
    pooled: dict[str, MetricValues] = {}
    for run in runs:
        for key, more in exact_pairs(run).items():
            one = pooled.get(key, replace(more, before=(), after=()))
            pooled[key] = replace(
                one, before=(*one.before, *more.before), after=(*one.after, *more.after)
            )
    return pooled


def _spread(pairs: MetricValues) -> float:
    """Return the standard deviation of a pair's difference on the test scale."""
    values = zip(pairs.before, pairs.after, strict=True)
    return mean_and_sd([scale.difference(pairs.metric, *both) for both in values])[1]


def _false_alarms(
    rows: Sequence[Row], known: Mapping[str, MetricValues], looks: Sequence[int]
) -> tuple[dict[str, float], float]:
    """Return the share of drawn reports in which each metric, and any gating metric, is red.

    No pair is in a report twice: it would agree with itself, and make the spread too small.
    """
    import numpy as np

    random = np.random.default_rng(_SEED)
    most = max((len(pairs.before) for pairs in known.values()), default=0)
    reds: dict[str, int] = {row.comparison.key: 0 for row in rows}
    red = 0
    for _ in range(_REPORTS):
        order = [int(at) for at in random.permutation(most)]
        swapped = random.random(most) < 0.5
        drawn = {key: _draw(pairs, order, swapped) for key, pairs in known.items()}
        judged = policy.judge_at_looks(looks, partial(_rows, rows, drawn))
        regressed = [f for f in judged if f.verdict is Verdict.REGRESSED]
        for finding in regressed:
            reds[finding.comparison.key] += 1
        red += any(f.comparison.metric.gate for f in regressed)
    return {key: count / _REPORTS for key, count in reds.items()}, red / _REPORTS


def _draw(
    pairs: MetricValues, order: Sequence[int], swapped: "np.ndarray[Any, Any]"
) -> MetricValues:
    """Return the pairs of a metric in another order, some with their arms exchanged."""
    both = [
        (pairs.after[at], pairs.before[at]) if swapped[at] else (pairs.before[at], pairs.after[at])
        for at in order
        if at < len(pairs.before)
    ]
    before, after = zip(*both, strict=True)
    return replace(pairs, before=before, after=after)


def _rows(rows: Sequence[Row], drawn: Mapping[str, MetricValues], pairs: int) -> list[Row]:
    """Return the rows of one drawn report with its first pairs."""
    return [
        replace(row, evidence=row_of_values(one, 0.0, pairs).evidence)
        if (one := drawn.get(row.comparison.key))
        else replace(row, evidence=None)
        for row in rows
    ]
