"""Run a suite again and again: how often is it red, on what, and what could it have seen?

`python -m benchmarks repeat --runs 10 --candidate 'reference?slow-create=20ms'`
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any


def main(argv: list[str]) -> None:
    """Run, and print a table; every run's folder is kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks repeat")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--suite", default="pr")
    parser.add_argument("--candidate", default="reference")
    parser.add_argument("--against", default="reference")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    out = args.out or Path("out") / f"repeat-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    verdicts = []
    for number in range(args.runs):
        verdict = _one(args, out / f"{number:02}")
        verdicts.append(verdict)
        red = [f"{m['workload']}/{m['metric']}" for m in _red(verdict)]
        print(f"run {number + 1} of {args.runs}: {verdict['verdict']}", *red, flush=True)
    print(summary(verdicts))


def _one(args: argparse.Namespace, out: Path) -> dict[str, Any]:
    began = time.monotonic()
    command = [sys.executable, "-m", "pipeline", "run", "--json", "--suite", args.suite]
    command += ["--candidate", args.candidate, "--against", args.against, "--out", str(out)]
    out.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode not in (0, 3):
        print(done.stderr, file=sys.stderr)
        return {"verdict": f"exit {done.returncode}", "metrics": [], "seconds": 0.0}
    verdict: dict[str, Any] = json.loads(done.stdout)
    return {**verdict, "seconds": time.monotonic() - began}


def _red(verdict: dict[str, Any]) -> list[dict[str, Any]]:
    return [m for m in verdict["metrics"] if m["verdict"] == "regressed"]


def summary(verdicts: list[dict[str, Any]]) -> str:
    """Return the table: verdicts of runs, then of each metric with what it could have seen."""
    lines = [f"verdicts: {dict(Counter(v['verdict'] for v in verdicts))}"]
    seconds = [v["seconds"] for v in verdicts if v["seconds"]]
    if seconds:
        lines.append(f"time of a run: {statistics.median(seconds):.0f} s (median)")
    metrics: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for verdict in verdicts:
        for metric in verdict["metrics"]:
            metrics[f"{metric['workload']}/{metric['metric']}"].append(metric)
    for key, found in metrics.items():
        seen = [m["smallest_detectable"] for m in found if m["smallest_detectable"] is not None]
        change = [m["change"]["estimate"] for m in found if m["change"]]
        lines.append(
            f"{key:<40} {'gate' if found[0]['gate'] else '    '}"
            f" {dict(Counter(m['verdict'] for m in found))!s:<40}"
            f" change {_median(change)}  could have seen {_median(seen)}"
        )
    return "\n".join(lines)


def _median(values: list[float]) -> str:
    return f"{statistics.median(values):+.3g}" if values else "-"
