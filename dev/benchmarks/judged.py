"""How often the judge is right on data with known answers, beside what others say of the same."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from dev.benchmarks import benchstat
from dev.benchmarks.known import Series, Values, azure, duet, milo, windows
from dev.benchmarks.ranks import mann_whitney, median_interval
from pipeline.judge import policy
from pipeline.judge.constants import LOOKS
from pipeline.judge.rows import MetricValues
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Finding, Verdict

MARGIN = 0.03
NOBODY = "-"
_SEED = 20261124
_MOST = 4000  # comparisons of one kind: beyond, only the time grows


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of the table.

    Attributes:
        what: Name of the figure.
        others: The best of others, as measured here or known.
        goal: What it is to be.
        ours: Measured figure.
        is_met: Whether it reaches the goal.
    """

    what: str
    others: str
    goal: str
    ours: str
    is_met: bool


def measure_row(
    name: str,
    before: Values,
    after: Values,
    *,
    family: str = "",
    is_paired: bool = True,
    scale: Scale = Scale.RATIO,
) -> MetricValues:
    """Return a metric of two arms, less is better, with the margin of the table.

    On the scale of differences the margin is as large a share of the median of both arms.
    """
    level = 1.0 if scale is Scale.RATIO else median([*before, *after])
    metric = Metric(name, "1", Better.LOWER, MARGIN * level, gate=True, scale=scale)
    return MetricValues(
        family or name, metric, array("d", before), array("d", after), is_paired=is_paired
    )


def share(findings: Iterable[Finding], verdict: Verdict) -> float:
    """Return the share of findings with a verdict."""
    found = [finding.verdict is verdict for finding in findings]
    return sum(found) / len(found)


def neighbouring_runs(
    data: Path, pairs: int, factor: float = 1.0, most: int = _MOST
) -> dict[str, tuple[Values, Values]]:
    """Return comparisons of neighbouring runs on one machine, all series alike.

    Args:
        data: Folder of the data.
        pairs: Number of pairs of each comparison.
        factor: What the candidate is multiplied by.
        most: Number of comparisons, at most; each series gives as many as the others, if it can.
    """
    series = azure(data)
    random = np.random.default_rng([_SEED, pairs])
    rows = {}
    for one in series:
        found = list(windows(one, pairs, random))
        order = random.permutation(len(found))[: most // len(series)]
        for at in order:
            before, after = found[at]
            rows[f"{one.name}-{one.machine}-{at}"] = (before, factor * after)
    return rows


def equal(data: Path) -> list[Row]:
    """Return the rate of false regressions, with fixed numbers of pairs and interim analyses."""
    sizes, reds, theirs = [], [], []
    for pairs in (5, 10, 20):
        known = neighbouring_runs(data, pairs)
        ours = policy.judge_table([measure_row(name, *both) for name, both in known.items()])
        worse = np.mean([said.is_worse for said in benchstat.compare(known).values()])
        theirs.append(f"{100 * worse:.1f}")
        sizes.append(f"{len(ours)}")
        reds.append(share(ours, Verdict.REGRESSED))
    known = neighbouring_runs(data, LOOKS[-1])
    ours = policy.judge_table(
        [measure_row(n, *both) for n, both in known.items()], stops_early=True
    )
    sizes.append(f"{len(ours)}")
    reds.append(share(ours, Verdict.REGRESSED))
    return [
        Row(
            f"equal neighbours red, 5/10/20 pairs/`auto` ({'/'.join(sizes)})",
            f"benchstat {'/'.join(theirs)} %",
            "≤ 1 %",
            f"{'/'.join(f'{100 * red:.2f}' for red in reds)} %",
            max(reds) <= 0.01,
        )
    ]


def whole_reports(data: Path) -> list[Row]:
    """Return the rate of red reports of 30 metrics on equal builds."""
    rows = []
    for in_looks, pairs in ((False, 10), (True, LOOKS[-1])):
        names = [*neighbouring_runs(data, pairs, most=3 * _MOST).items()]
        random = np.random.default_rng(_SEED)
        random.shuffle(names)
        reports = [names[at : at + 30] for at in range(0, len(names) - 29, 30)]
        red, theirs = [], []
        for number, report in enumerate(reports):
            table = [measure_row(n, *both, family=f"report {number}") for n, both in report]
            found = policy.judge_table(table, stops_early=in_looks)
            red.append(any(f.verdict is Verdict.REGRESSED for f in found))
            if not in_looks:
                theirs.append(any(s.is_worse for s in benchstat.compare(dict(report)).values()))
        others = f"benchstat {100 * np.mean(theirs):.0f} %" if theirs else NOBODY
        how = "`--pairs auto`" if in_looks else f"{pairs} pairs"
        rows.append(
            Row(
                f"report of 30 equal metrics red, {how} ({len(red)})",
                others,
                "≤ 5 %",
                f"{100 * np.mean(red):.1f} %",
                bool(np.mean(red) <= 0.05),
            )
        )
    return rows


def other_machine(data: Path) -> list[Row]:
    """Return the rate of false regressions with a baseline from another machine of one type."""
    pairs, known = 10, {}
    by_name: dict[str, list[Series]] = {}
    for one in azure(data):
        by_name.setdefault(one.name, []).append(one)
    for name, machines in by_name.items():
        for at, first in enumerate(machines):
            for second in machines[at + 1 :]:
                most = min(len(first.costs), len(second.costs))
                for start in range(0, most - pairs, 3 * pairs):
                    both = [one.costs[start : start + pairs] for one in (first, second)]
                    key = f"{name}-{first.machine}-{second.machine}-{start}"
                    known[key] = (both[start % 2], both[1 - start % 2])
    said = benchstat.compare(known).values()
    differ = np.mean([one.p < 0.05 for one in said])
    theirs = (
        f"benchstat {100 * np.mean([s.is_worse for s in said]):.0f} % slower,"
        f" {100 * differ:.0f} % different"
    )
    rows = []
    for scale, what in ((Scale.RATIO, ""), (Scale.DIFFERENCE, ", as differences")):
        ours = policy.judge_table(
            [measure_row(name, *both, is_paired=False, scale=scale) for name, both in known.items()]
        )
        red = share(ours, Verdict.REGRESSED)
        rows.append(
            Row(
                f"equal, other machine of the type, 10 runs{what}: red ({len(ours)})",
                theirs,
                "≤ 1 %",
                f"{100 * red:.2f} %, {100 * share(ours, Verdict.INCONCLUSIVE):.0f} % inconclusive",
                red <= 0.01,
            )
        )
    return rows


def found_changes(data: Path) -> list[Row]:
    """Return the rates of detected known changes, and of larger ones that are called unchanged."""
    rows = []
    for factor, pairs, goal in ((1.1, 10, 0.92), (1.05, 20, 0.85)):
        known = neighbouring_runs(data, pairs, factor)
        ours = policy.judge_table([measure_row(name, *both) for name, both in known.items()])
        series = {f.comparison.metric.name.rsplit("-", 1)[0] for f in ours}
        each = {
            one: share(
                [f for f in ours if f.comparison.metric.name.startswith(f"{one}-")],
                Verdict.REGRESSED,
            )
            for one in series
        }
        worst = min(each, key=lambda one: each[one])
        theirs = np.mean([said.is_worse for said in benchstat.compare(known).values()])
        red = share(ours, Verdict.REGRESSED)
        rows.append(
            Row(
                f"{factor - 1:+.0%} found, {pairs} pairs, CV ≤ 4 % ({len(ours)})",
                f"benchstat {100 * theirs:.0f} %",
                f"≥ {100 * goal:.0f} %",
                f"{100 * red:.1f} %; {worst} {100 * each[worst]:.0f} %",
                red >= goal,
            )
        )
    passed = {}
    for pairs in (5, 10, 20):
        known = neighbouring_runs(data, pairs, 1.05)
        ours = policy.judge_table([measure_row(name, *both) for name, both in known.items()])
        passed[f"{pairs} pairs"] = share(ours, Verdict.UNCHANGED)
    ours = policy.judge_table(
        [measure_row(n, *both) for n, both in neighbouring_runs(data, LOOKS[-1], 1.05).items()],
        stops_early=True,
    )
    passed["auto"] = share(ours, Verdict.UNCHANGED)
    shown = ", ".join(f"{how}: {100 * rate:.2f}%" for how, rate in passed.items())
    what = "+5 % passes"
    return [*rows, Row(what, NOBODY, "≤ 0.5 %", shown, max(passed.values()) <= 0.005)]


def golden_agreement(data: Path) -> list[Row]:
    """Compare our rank tests with benchstat's, on its own examples."""
    same = every = 0
    for names in (("old.txt", "new.txt"), ("crc-old.txt", "crc-new.txt")):
        before, after = (data / "benchstat" / name for name in names)
        values = [_benchmarks(path) for path in (before, after)]
        for name, said in benchstat.read(before, after, "-ignore", "note").items():
            both = [found[name] for found in values]
            wide = []
            for one in both:
                interval, middle = median_interval(one, 0.95), median(one)
                assert interval is not None
                off = max(interval[1] / middle - 1, 1 - interval[0] / middle)
                wide.append(f"{100 * off:.0f}%")
            every += 3
            same += round(mann_whitney(*both), 3) == said.p
            same += sum(mine == theirs for mine, theirs in zip(wide, said.wide, strict=True))
    what = "benchstat's p values and intervals reproduced"
    return [Row(what, NOBODY, "all", f"{same} of {every}", same == every)]


def _benchmarks(path: Path) -> Mapping[str, Sequence[float]]:
    found: dict[str, list[float]] = {}
    for line in path.read_text().splitlines():
        words = line.split()
        if line.startswith("Benchmark") and "ns/op" in words:
            value = float(words[words.index("ns/op") - 1])
            found.setdefault(words[0].removeprefix("Benchmark"), []).append(value)
    return found


def pairs_used(data: Path) -> list[Row]:
    """Return the number of pairs that `auto` takes, at the spread of real launches in duet."""
    random = np.random.default_rng(_SEED)
    rows = []
    for factor, goal in ((1.0, 8.0), (1.1, 4.0)):
        used: dict[str, float] = {}
        for name, ratios in duet(data).items():
            centred = ratios - ratios.mean()
            drawn = np.exp(
                random.choice(centred, (1000, LOOKS[-1]))
                * np.sqrt(len(centred) / (len(centred) - 1))
            )
            table = [
                measure_row(f"m{i}", np.ones(LOOKS[-1]), factor * drawn[i])
                for i in range(len(drawn))
            ]
            found = policy.judge_table(table, stops_early=True)
            used[name] = float(np.mean([f.comparison.pairs for f in found]))
        mean = float(np.mean([*used.values()]))
        what = "equal builds" if factor == 1 else f"{factor - 1:+.0%}"
        rows.append(
            Row(
                f"mean pairs of `auto` on {what}, real spreads",
                "fixed 10",
                f"≤ {goal:.0f}",
                f"{mean:.1f}",
                mean <= goal,
            )
        )
    return rows


def milo_builds(data: Path) -> list[Row]:
    """Return the verdicts on two versions of Milo whose changes are known."""
    known = milo(data)
    found = policy.judge_table(
        [measure_row(name, *both, family="milo") for name, both in known.items()]
    )
    of = {
        verdict: [f.comparison.metric.name for f in found if f.verdict is verdict]
        for verdict in (Verdict.IMPROVED, Verdict.REGRESSED)
    }
    wanted = {"server_files", "server_goroutines", "server_memory"}
    met = wanted <= set(of[Verdict.IMPROVED]) and not of[Verdict.REGRESSED]
    return [
        Row(
            "Milo v0.29.3 to v0.30.0, 10 alternating pairs",
            NOBODY,
            "files, goroutines, memory improved; no latency red",
            f"improved {', '.join(of[Verdict.IMPROVED])};"
            f" red {', '.join(of[Verdict.REGRESSED]) or 'none'}",
            met,
        )
    ]
