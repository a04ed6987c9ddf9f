"""How often simulated searches for a commit err, and what they cost: docs/results/bisect.csv.

The noise is that of the gating metrics of `pr` on the machine that recorded the shipped spreads.
"""

import csv
import math
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.judge import scale
from pipeline.judge.bisect import BisectState
from pipeline.model.subject import Product
from pipeline.runs import suite_file
from pipeline.storage import codec
from pipeline.system import paths
from tests.bisections import SimulatedJudge, bisection, step_at

_SEARCHES = 200
_HEAVY = 5.0  # degrees of freedom of noise with heavy tails
_COLUMNS = (
    *("commits", "margins", "noise", "prior", "searches", "right", "wrong", "undecided"),
    *("commits_measured_mean", "commits_measured_max", "pairs_each"),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One kind of search.

    Attributes:
        commits: Number of commits.
        margins: Size of the change, in margins.
        freedom: Degrees of freedom of the noise.
        prior: Standard deviation of the prior, in true ones.
    """

    commits: int
    margins: float
    freedom: float
    prior: float


def main(_arguments: list[str]) -> None:
    """Print a row for each setting."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_COLUMNS)
    ratios = spread_ratios()
    for one in _settings():
        writer.writerow(_row(one, ratios))
        sys.stdout.flush()


def spread_ratios() -> list[float]:
    """Return the spread of a pair over the margin, for each gating metric below 1."""
    history = codec.SPREADS.read(paths.project_path("baselines", "spreads", "pr-reference.json"))
    suite = suite_file.load(suite_file.path_of("pr")).suite.of(Product.REFERENCE)
    found = []
    for key, metric in suite.by_key().items():
        own = [run.metrics[key].variance for run in history.runs if key in run.metrics]
        if metric.gate and own:
            found.append(math.sqrt(sum(own) / len(own)) / scale.margin(metric))
    return [ratio for ratio in found if ratio < 1]


def _settings() -> Iterator[Setting]:
    for commits in (16, 64):
        for margins in (2.0, 3.0):
            for freedom in (math.inf, _HEAVY):
                yield Setting(commits, margins, freedom, 1.0)
        yield Setting(commits, 3.0, _HEAVY, 0.5)
        yield Setting(commits, 0.0, math.inf, 1.0)


def _row(one: Setting, ratios: list[float]) -> list[object]:
    draws = random.Random(f"{one}")
    right = wrong = 0
    costs = []
    for number in range(_SEARCHES):
        cause, ratio = draws.randint(1, one.commits), draws.choice(ratios)
        simulated = SimulatedJudge(
            step_at(cause, one.margins), ratio, seed=number, freedom=one.freedom
        )
        start = bisection(one.commits, sd_margins=one.prior * ratio)
        found, decision = simulated.search(start)
        is_found = decision.state is BisectState.FOUND
        is_right = is_found and bool(one.margins) and decision.high == cause
        is_right = is_right or (not one.margins and decision.state is BisectState.SAME_ENDS)
        right += is_right
        wrong += (is_found and not is_right) or (not one.margins and not is_right)
        costs.append((len(found.measured), found.pairs))
    measured = [cost for cost, _ in costs]
    pairs = sum(pairs for _, pairs in costs) / sum(measured)
    return [
        *(one.commits, f"{one.margins:g}", "normal" if math.isinf(one.freedom) else "heavy tails"),
        *(f"{one.prior:g} of the true spread", _SEARCHES, right, wrong),
        *(_SEARCHES - right - wrong, f"{sum(measured) / len(measured):.1f}", max(measured)),
        f"{pairs:.2f}",
    ]
