"""How often a run of a suite decides, and how rightly: whole reports of simulated pairs.

28 gating metrics with the spreads that a quiet pr of Milo shows, margins and tolerances as suites
have them, looks at 3, 5 and 8 pairs.  The true variance of a metric differs from run to run (scaled
inverse chi-square, 8 degrees of freedom), and `noise` multiplies the standard deviations of all.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from dev.benchmarks.judged import MARGIN, NOBODY, Row
from dev.benchmarks.known import azure, windows
from pipeline.judge import constants, evidence, policy, rows
from pipeline.model.metric import Better, Metric
from pipeline.model.prior import Prior, Spread
from pipeline.model.report import Comparison, Finding, Verdict

LOOKS = (3, 5, 8)
_EARLIER = 10
_MOST_RED = 0.02
_ORDERS = 5
_SEED = 20261129
_RUNS = 150
_OWN = 8.0  # degrees of freedom of the true variances
_GATES: tuple[tuple[str, float, float, float], ...] = (
    *((f"median {at}", sd, 0.035, 0.10) for at, sd in enumerate((0.007, 0.012, 0.018, 0.02, 0.03))),
    *((f"cpu {at}", 0.013, 0.025, 0.06) for at in range(2)),
    *((f"memory {at}", sd, 0.10, 0.15) for at, sd in enumerate((0.01, 0.02, 0.02, 0.03))),
    *((f"heap {at}", 0.01, 0.05, 0.10) for at in range(2)),
    *((f"tail {at}", sd, 0.15, 0.35) for at, sd in enumerate((0.02, 0.04, 0.05, 0.06, 0.075))),
    ("ready", 0.12, 0.30, 0.60),
    ("gone", 0.08, 0.30, 0.60),
    *((f"goroutines {at}", 0.002, 0.05, 0.10) for at in range(8)),
)
"""Name, standard deviation of a pair, margin, tolerance."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Which of the two helps are used, and with how much of a prior."""

    has_tolerance: bool = True
    freedom: float | None = 4.0


@dataclass(frozen=True, slots=True)
class Came:
    """What runs came to: shares, and the mean number of pairs."""

    passed: float
    red: float
    pairs: float


def simulate_runs(
    rule: Rule, *, noise: float = 1.0, worse: tuple[str, float] | None = None, runs: int = _RUNS
) -> Came:
    """Return the outcomes of simulated runs.

    Args:
        rule: To judge by.
        noise: Noise of these runs, as a multiple of the prior's.
        worse: A metric, and by how many of its margins the candidate is worse in it.
        runs: How many to simulate.
    """
    random = np.random.default_rng(_SEED)
    metrics = [
        Metric(name, "1", Better.LOWER, m, gate=True, tolerance=t if rule.has_tolerance else None)
        for name, _, m, t in _GATES
    ]
    spreads = {f"/{name}": Spread(sd**2, 12) for name, sd, _, _ in _GATES}
    prior = Prior("12 runs", rule.freedom, spreads) if rule.freedom else None
    deviations = np.array([sd for _, sd, _, _ in _GATES]) * noise
    came = []
    for _ in range(runs):
        chi = random.chisquare(_OWN, len(metrics))
        sd = deviations * np.sqrt((_OWN - 2) / chi)
        found = random.normal(0.0, sd, (LOOKS[-1], len(metrics)))
        if worse:
            at = [name for name, *_ in _GATES].index(worse[0])
            found[:, at] += worse[1] * math.log1p(_GATES[at][2])
        at_look = _rows(metrics, np.exp(found), prior)
        came.append(policy.judge_at_looks(LOOKS, at_look, stops_at_red=True))
    return _came(came)


def _rows(
    metrics: list[Metric],
    after: "np.ndarray[tuple[int, int], np.dtype[np.float64]]",
    prior: Prior | None,
) -> Callable[[int], list[rows.Row]]:
    """Return a function that gives the rows of the first pairs."""

    def at(pairs: int) -> list[rows.Row]:
        plain = [_row(m, values) for m, values in zip(metrics, after[:pairs].T, strict=True)]
        return rows.with_prior(plain, prior) if prior else plain

    return at


def _row(metric: Metric, ratios: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> rows.Row:
    """Return the row of a gating metric, of the ratios of its pairs."""
    pairs = len(ratios)
    found = evidence.of_pairs(metric, [1.0] * pairs, ratios.tolist())
    deviation = found.standard_error * math.sqrt(pairs)
    return rows.Row(
        Comparison("", metric, None, None, family=rows.GATE, pairs=pairs, pair_sd=deviation),
        found,
    )


def _came(found: list[tuple[Finding, ...]]) -> Came:
    reds = [any(f.verdict is Verdict.REGRESSED for f in one) for one in found]
    settled = [all(f.verdict is not Verdict.INCONCLUSIVE for f in one) for one in found]
    passed = [calm and not red for calm, red in zip(settled, reds, strict=True)]
    return Came(fmean(passed), fmean(reds), fmean(one[0].comparison.pairs for one in found))


def measure_decisions() -> Iterator[Row]:
    """Yield how often equal builds pass, and how often a worse one is found."""
    rules = {
        "neither": Rule(has_tolerance=False, freedom=None),
        "tolerance only": Rule(freedom=None),
        "prior only": Rule(has_tolerance=False, freedom=8.0),
    }
    for noise, goal, least in (
        (1.0, "pass ≥ 90 %", 0.9),
        (2.0, "pass ≥ 70 %", 0.7),
        (3.0, "-", 0),
    ):
        others = "; ".join(
            f"{name} {_rates_text(simulate_runs(rule, noise=noise))}"
            for name, rule in rules.items()
        )
        ours = {
            name: simulate_runs(Rule(freedom=d), noise=noise)
            for name, d in (("D = 4", 4.0), ("D = 8", 8.0))
        }
        met = all(
            one.passed >= least and one.red <= constants.FAMILY_ALPHA for one in ours.values()
        )
        shown = "; ".join(f"{name} {_rates_text(one)}" for name, one in ours.items())
        what = f"28 equal gates, noise {noise:g} x the prior: pass/red/pairs ({_RUNS})"
        yield Row(what, others, goal, shown, met)
    for name in ("median 2", "cpu 0", "tail 2", "ready"):
        by = {times: simulate_runs(Rule(), worse=(name, times)) for times in (1.0, 1.5)}
        shown = "; ".join(f"{times:g}: {_rates_text(one)}" for times, one in by.items())
        what = f"{name} worse by margins, 27 equal ({_RUNS})"
        yield Row(what, NOBODY, "red ≥ 90 %", shown, by[1.5].red >= 0.9)


def real(data: Path) -> Iterator[Row]:
    """Yield how often reports on real equal builds are red, each metric with a prior of its past.

    Args:
        data: Folder of the data; see `dev.benchmarks.known.azure`.
    """
    for gates in (28, 40):
        reds: list[str] = []
        is_met, held, judged = True, 0, 0
        for pairs in (3, 5, 8, 10):
            reports = [
                one for order in range(_ORDERS) for one in _reports(data, pairs, gates, order)
            ]
            found = [policy.findings(one, constants.RULE) for one in reports]
            red = fmean(any(f.verdict is Verdict.REGRESSED for f in one) for one in found)
            is_met = is_met and red <= _MOST_RED
            reds.append(f"{pairs} pairs: {red:.1%} of {len(found)}")
            changes = [f.comparison.change for one in found for f in one]
            held += sum(change is not None and change.low <= 0 <= change.high for change in changes)
            judged += len(changes)
        what = f"report of {gates} metrics red on real equal builds, with priors"
        yield Row(what, NOBODY, "≤ 2 %", "; ".join(reds), is_met)
        coverage = held / judged
        what = f"interval coverage of these {judged}"
        yield Row(what, NOBODY, "93 to 98 %", f"{coverage:.1%}", 0.93 <= coverage <= 0.98)


def _reports(data: Path, pairs: int, gates: int, order: int) -> Iterator[list[rows.Row]]:
    """Yield reports of windows of the Azure series, drawn over all of them in one random order."""
    random = np.random.default_rng([order, pairs])
    known: list[tuple[rows.Row, float]] = []
    for one in azure(data):
        found = [np.log(b) - np.log(a) for a, b in windows(one, pairs, random)]
        for at in range(_EARLIER, len(found)):
            before = fmean(float(past.var(ddof=1)) for past in found[at - _EARLIER : at])
            metric = Metric(f"{one.name}-{one.machine}-{at}", "1", Better.LOWER, MARGIN, gate=True)
            known.append((_row(metric, np.exp(found[at])), before))
    random.shuffle(known)
    for start in range(0, len(known) - gates + 1, gates):
        report = known[start : start + gates]
        spreads = {row.comparison.key: Spread(variance, _EARLIER) for row, variance in report}
        yield rows.with_prior([row for row, _ in report], Prior("", 4.0, spreads))


def _rates_text(came: Came) -> str:
    return f"{came.passed:.0%}/{came.red:.1%}/{came.pairs:.1f}"
