"""Run a suite again and again: how often is it red, on what, and what could it have seen?

`python -m dev.benchmarks repeat --runs 10 --candidate 'reference?slow-create=20ms'`; with `--out`
of an earlier series, only the runs that are missing are run.
"""

import argparse
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from dev.benchmarks.runs import Run, key, measure_run, new_folder
from pipeline.storage.verdict_file import FindingBody


def main(argv: list[str]) -> None:
    """Run, and print a table; every run's folder is kept."""
    parser = argparse.ArgumentParser(prog="python -m dev.benchmarks repeat")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--suite", default="pr")
    parser.add_argument("--candidate", default="reference")
    parser.add_argument("--against", default="reference")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    out = args.out or new_folder("repeat")
    runs = []
    for number in range(args.runs):
        folder = out / f"{number:02}"
        run = measure_run(folder, args.suite, args.candidate, against=args.against)
        runs.append(run)
        print(f"run {number + 1} of {args.runs}: {run.answer}", *map(key, run.red), flush=True)
    print(summary(runs))


def summary(runs: Sequence[Run]) -> str:
    """Return the table: verdicts of runs, then of each metric with what it could have seen."""
    lines = [f"verdicts: {dict(Counter(run.answer for run in runs))}"]
    seconds = [run.seconds for run in runs if run.verdict and run.seconds]
    if seconds:
        lines.append(f"time of a run: {statistics.median(seconds):.0f} s (median)")
    metrics: dict[str, list[FindingBody]] = defaultdict(list)
    for run in runs:
        for metric in run.verdict.findings if run.verdict else ():
            metrics[key(metric)].append(metric)
    for name, found in metrics.items():
        seen = [m.detectable_change for m in found if m.detectable_change is not None]
        change = [m.change for m in found if m.change is not None]
        lines.append(
            f"{name:<40} {'gate' if found[0].gate else '    '}"
            f" {dict(Counter(str(m.verdict) for m in found))!s:<40}"
            f" change {_median(change)}  could have seen {_median(seen)}"
        )
    return "\n".join(lines)


def _median(values: list[float]) -> str:
    return f"{statistics.median(values):+.3g}" if values else "-"
