"""How often the judge is right where the truth is known exactly: simulated launches."""

import numpy as np

from dev.benchmarks.judged import Row, measure_row, share
from dev.benchmarks.known import launches
from pipeline.judge import policy
from pipeline.model.metric import Scale
from pipeline.model.report import Verdict

_SEED = 20261124


def coverage() -> list[Row]:
    """Return the coverage of intervals, in a model of launches with tails."""
    random = np.random.default_rng(_SEED)
    shift, runs = float(np.log(1.05)), 1500
    found: dict[str, float] = {}
    for pairs in (3, 5, 10):
        ends: dict[float, list[bool]] = {0.5: [], 0.9: [], 0.99: []}
        for _ in range(runs):
            both = launches(random, pairs, 600, 0.05), launches(random, pairs, 600, 0.05, shift)
            for q, hit in ends.items():
                before, after = (np.quantile(arm, q, axis=1) for arm in both)
                (one,) = policy.judge_table([measure_row("m", before, after)])
                change = one.comparison.change
                hit.append(change is not None and change.low <= 0.05 <= change.high)
        found |= {f"p{100 * q:.0f}, {pairs} pairs": float(np.mean(h)) for q, h in ends.items()}
    shown = f"{100 * min(found.values()):.1f} to {100 * max(found.values()):.1f} %"
    return [
        Row(
            f"interval coverage, simulated launches, 3 to 10 pairs ({runs} each)",
            "91 %",
            "93 to 97 %",
            shown,
            all(0.93 <= rate <= 0.97 for rate in found.values()),
        )
    ]


def rounded_reports() -> list[Row]:
    """Return the rate of red reports on equal builds with coarsely rounded values."""
    random = np.random.default_rng(_SEED)
    gates, reports = 28, 100
    found: dict[str, float] = {}
    for scale in Scale:
        for noise in (0.2, 0.4, 0.6, 1.0):
            red = 0
            for _ in range(reports):
                levels = 10 + random.uniform(0, 1, (gates, 1, 1))
                values = np.maximum(1, np.round(random.normal(levels, noise, (gates, 2, 3))))
                table = [
                    measure_row(f"m{gate}", *values[gate], family="all", scale=scale)
                    for gate in range(gates)
                ]
                red += any(f.verdict is Verdict.REGRESSED for f in policy.judge_table(table))
            found[f"{scale}, noise {noise:g} steps"] = red / reports
    return [
        Row(
            f"report of {gates} equal metrics red, values rounded to 10 %, 3 pairs"
            f" ({len(found)} x {reports})",
            "-",
            "≤ 5 %",
            f"{100 * min(found.values()):.0f} to {100 * max(found.values()):.0f} %",
            max(found.values()) <= 0.05,
        )
    ]


def power() -> list[Row]:
    """Return the rate of detection of changes as large as the detectable change of a report."""
    random = np.random.default_rng(_SEED)
    found: dict[str, float] = {}
    for pairs in (5, 10, 20):
        for spread in (0.01, 0.03, 0.06):
            noise = np.exp(random.normal(0, spread, (2, 1500, pairs)))
            said = policy.judge_table(
                [measure_row(f"m{i}", np.ones(pairs), noise[0, i]) for i in range(noise.shape[1])]
            )
            printed = [f.comparison.detectable_change or 0.0 for f in said]
            size = float(np.median(printed))
            again = policy.judge_table(
                [
                    measure_row(f"m{i}", np.ones(pairs), (1 + size) * noise[1, i])
                    for i in range(noise.shape[1])
                ]
            )
            found[f"{pairs} pairs, {spread:.0%}"] = share(again, Verdict.REGRESSED)
    rates = found.values()
    return [
        Row(
            "power at the detectable change (spreads 1, 3, 6 %; 5, 10, 20 pairs)",
            "-",
            "80 ± 5 %",
            f"{100 * min(rates):.0f} to {100 * max(rates):.0f} %",
            all(0.75 <= rate <= 0.85 for rate in rates),
        )
    ]
