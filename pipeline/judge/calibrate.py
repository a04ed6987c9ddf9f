"""From runs of equal builds to what a suite can see on this machine, and how often it errs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pipeline.judge import policy, scale
from pipeline.judge.interim import looks_up_to
from pipeline.judge.rows import Measured, Row, of_measured, of_results
from pipeline.judge.spreads import ExactPairs, exact_pairs
from pipeline.judge.stats.power import median_share, smallest_limit
from pipeline.judge.stats.student import moments, quantile
from pipeline.model.calibration import Calibration, Noise
from pipeline.model.metric import Metric
from pipeline.model.prior import Prior
from pipeline.model.report import Rule, Verdict
from pipeline.model.results import ResultSet

if TYPE_CHECKING:
    import numpy as np

LEAST_PAIRS = 5
"""A spread from fewer says little."""

_REPORTS = 200
_SEED = 20260101


def calibration(runs: Sequence[ResultSet], most: int) -> Calibration:
    """Return what equal builds do, from at least `LEAST_PAIRS` valid pairs.

    Reports are drawn from the pairs, each pair with its sides as they were or exchanged, all
    metrics of a pair together: that is what equal builds could have shown as well.

    Args:
        runs: Of one suite on one machine, the same build in both arms; at least one.
        most: Number of pairs that a report may have.  Of a metric with fewer pairs than that, the
            reports that are drawn have no more.
    """
    known = {k: p for k, p in _all_pairs(runs).items() if len(p.before) >= LEAST_PAIRS}
    looks = looks_up_to(most)
    last = runs[-1]
    rows = of_results(replace(last, ungated=()))
    drawn = min([most, *(len(pairs.before) for pairs in known.values())])
    alarms, red = _alarms(rows, known, looks_up_to(drawn) or (drawn,))
    rule = policy.rule_at(most, looks)
    metrics = {
        key: Noise(
            spread=spread,
            false_alarms=alarms[key],
            margin=row.metric.margin,
            floor=floor(row.metric, spread, most, rule, known=len(pairs.before) - 1),
            tolerance=row.metric.tolerance,
        )
        for row in rows
        if (pairs := known.get(key := row.key))
        for spread in (_spread(pairs),)
    }
    return Calibration(
        suite=last.suite,
        suite_digest=last.suite_digest,
        machine=last.machine,
        taken_at=max(run.taken_at for run in runs),
        pairs=sum(len(run.valid_pairs) for run in runs),
        most=most,
        false_alarms=red,
        metrics=metrics,
    )


def floor(metric: Metric, spread: float, pairs: int, rule: Rule, known: float = math.inf) -> float:
    """Return the smallest tolerance with which equal builds pass, at the power of the rule.

    Args:
        metric: Gives the scale.
        spread: Of a pair's difference, on the test's scale.
        pairs: Of the report, at least 2.
        rule: The constants that decide.
        known: Degrees of freedom that the spread is known with.
    """
    error = spread / math.sqrt(pairs)
    limit = smallest_limit(error, pairs - 1, rule.pass_alpha, rule.power, known)
    return abs(scale.change(metric, limit))


def out_of_reach(
    spreads: Mapping[str, float],
    metrics: Mapping[str, Metric],
    pairs: int,
    looks: Sequence[int],
    freedom: float = 0.0,
) -> tuple[str, ...]:
    """Return the gating metrics whose tolerance so many pairs of equal builds cannot exclude.

    Half of such an interval is wider than the tolerance, so that not even builds whose estimate is
    exactly 0 would pass.

    Args:
        spreads: Standard deviation of a pair's difference on the test's scale, by sample key.
        metrics: Metrics by sample key; those without a spread are taken to be in reach.
        pairs: That a run may have, at least 2.
        looks: At which it may end.
        freedom: Degrees of freedom that the spreads count for in the intervals of the run: those
            of its prior, or 0 where the run has none.
    """
    rule = policy.rule_at(pairs, looks)
    widths = quantile(1 - rule.pass_alpha, freedom + pairs - 1) / math.sqrt(pairs)
    return tuple(
        key
        for key, metric in metrics.items()
        if metric.gate
        and key in spreads
        and scale.is_above(widths * spreads[key], scale.tolerance(metric))
    )


def out_of_reach_by(
    prior: Prior, metrics: Mapping[str, Metric], pairs: int, looks: Sequence[int]
) -> tuple[str, ...]:
    """Return the same for a run whose intervals lean on a prior; see `out_of_reach`."""
    spreads = {key: math.sqrt(spread.variance) for key, spread in prior.spreads.items()}
    return out_of_reach(spreads, metrics, pairs, looks, prior.freedom)


def spreads_of(found: Calibration) -> dict[str, float]:
    """Return the standard deviation of a pair by sample key, as a calibration tells it.

    The one of a sample lies below the true one more often than not, which is corrected.
    """
    share = median_share(found.pairs - 1)
    return {key: noise.spread / share for key, noise in found.metrics.items()}


def _all_pairs(runs: Sequence[ResultSet]) -> dict[str, ExactPairs]:
    """Return the values of all pairs by sample key, of pairs that both arms have."""
    found: dict[str, ExactPairs] = {}
    for run in runs:
        for key, more in exact_pairs(run).items():
            one = found.get(key, ExactPairs(more.metric, (), ()))
            found[key] = replace(
                one, before=(*one.before, *more.before), after=(*one.after, *more.after)
            )
    return found


def _spread(pairs: ExactPairs) -> float:
    """Return the standard deviation of a pair's difference on the test's scale."""
    values = zip(pairs.before, pairs.after, strict=True)
    return moments([scale.difference(pairs.metric, *both) for both in values])[1]


def _alarms(
    rows: Sequence[Row], known: Mapping[str, ExactPairs], looks: Sequence[int]
) -> tuple[dict[str, float], float]:
    """Return how often each metric, and a whole report, is red in reports drawn from pairs.

    No pair is in a report twice: it would agree with itself, and make the spread too small.
    """
    import numpy as np

    random = np.random.default_rng(_SEED)
    most = max((len(pairs.before) for pairs in known.values()), default=0)
    reds: dict[str, int] = {row.key: 0 for row in rows}
    red = 0
    for _ in range(_REPORTS):
        order = [int(at) for at in random.permutation(most)]
        swapped = random.random(most) < 0.5
        drawn = {key: _drawn(pairs, order, swapped) for key, pairs in known.items()}
        judged = policy.at_looks(looks, partial(_rows, rows, drawn))
        regressed = [f for f in judged if f.verdict is Verdict.REGRESSED]
        for finding in regressed:
            reds[finding.comparison.key] += 1
        red += any(f.comparison.metric.gate for f in regressed)
    return {key: count / _REPORTS for key, count in reds.items()}, red / _REPORTS


def _drawn(pairs: ExactPairs, order: Sequence[int], swapped: "np.ndarray[Any, Any]") -> Measured:
    """Return the pairs of a metric in another order, some with their sides exchanged."""
    both = [
        (pairs.after[at], pairs.before[at]) if swapped[at] else (pairs.before[at], pairs.after[at])
        for at in order
        if at < len(pairs.before)
    ]
    before, after = zip(*both, strict=True)
    return Measured("", pairs.metric, before, after, is_paired=True)


def _rows(rows: Sequence[Row], drawn: Mapping[str, Measured], pairs: int) -> list[Row]:
    """Return the rows of one drawn report with so many of its pairs."""
    return [
        replace(row, evidence=of_measured(one, 0.0, pairs).evidence)
        if (one := drawn.get(row.key))
        else replace(row, evidence=None)
        for row in rows
    ]
