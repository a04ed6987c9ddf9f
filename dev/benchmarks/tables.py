"""How long `judge` and `history` take for large CSV files, and how much memory.

`python -m dev.benchmarks tables [--lines N] [--against DIR]`; DIR is another clone of this
repository, whose commands are run in turn with ours.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from pipeline.system import paths

_SERIES = 50
# Prints the CPU seconds and the largest resident memory of a command, in a process of its own.
_MEASURE = """
import json, os, subprocess, sys
with open(os.devnull, "w") as nowhere:
    process = subprocess.Popen([sys.executable, "-m", "pipeline", *sys.argv[1:]], stdout=nowhere)
_, status, used = os.wait4(process.pid, 0)
code = os.waitstatus_to_exitcode(status)
print(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


def main(argv: list[str]) -> None:
    """Print CPU seconds and memory of each command on each file."""
    parser = argparse.ArgumentParser(prog="python -m dev.benchmarks tables")
    parser.add_argument("--lines", type=int, default=10_000_000, help="of the large files")
    parser.add_argument("--against", type=Path, metavar="DIR", help="another clone, run in turn")
    parser.add_argument("--runs", type=int, default=1, help="of each command (default: 1)")
    args = parser.parse_args(argv)
    clones = {"ours": paths.project_path()} | ({"other": args.against} if args.against else {})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        for what, (verb, lines) in _files(args.lines).items():
            with path.open("w", encoding="utf-8") as file:
                file.writelines(lines())
            for _ in range(args.runs):
                for name, clone in clones.items():
                    code, seconds, kilobytes = _measure(clone, verb, path)
                    print(
                        f"{what} ({path.stat().st_size / 1e6:.0f} MB), {name}: {seconds:.1f} s of"
                        f" CPU, {kilobytes / 1e3:.0f} MB, exit code {code}",
                        flush=True,
                    )


def _measure(clone: Path, verb: str, path: Path) -> tuple[int, float, int]:
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, verb, str(path), "--json"],
        check=True,
        capture_output=True,
        text=True,
        cwd=clone,
        env={**os.environ, "PYTHONPATH": str(clone)},
    )
    code, seconds, kilobytes = json.loads(done.stdout)
    return code, seconds, kilobytes


def _files(lines: int) -> dict[str, tuple[str, Callable[[], Iterator[str]]]]:
    return {
        "judge: 1,000 comparisons of 10 pairs": ("judge", lambda: _pairs(1_000, 10)),
        f"judge: {lines} lines, pairs of one metric": ("judge", lambda: _pairs(1, lines // 2)),
        f"judge: {lines} lines, pairs of ten metrics": ("judge", lambda: _pairs(10, lines // 20)),
        f"history: {lines} points in {_SERIES} series": ("history", lambda: _points(lines)),
    }


def _pairs(metrics: int, pairs: int) -> Iterator[str]:
    draw = random.Random(1).gauss
    yield "pair,arm,metric,value\n"
    for pair in range(pairs):
        for metric in range(metrics):
            for arm in ("baseline", "candidate"):
                yield f"{pair},{arm},m{metric},{draw(100, 3):.6f}\n"


def _points(points: int) -> Iterator[str]:
    draw, began = random.Random(1).gauss, datetime(2000, 1, 1, tzinfo=UTC)
    yield "time,value,series,commit\n"
    for number in range(points // _SERIES):
        time = f"{began + timedelta(minutes=number):%Y-%m-%dT%H:%M:%SZ}"
        commit = sha256(str(number).encode()).hexdigest()[:40]
        for series in range(_SERIES):
            yield f"{time},{draw(100, 3):.6f},series{series:02},{commit}\n"
