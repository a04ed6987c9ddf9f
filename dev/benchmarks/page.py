"""How large a page of 30 metrics and 20 pairs is, and how long it takes to write."""

import csv
import math
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from dev.benchmarks.points import write
from pipeline.model.results import Interleave, Machine, ResultSet, Sample, Tool, Trial
from pipeline.model.subject import Arm, Product, Subject
from pipeline.runs import suite_file
from pipeline.storage import codec
from pipeline.system import paths

METRICS, PAIRS = 30, 20
_POINTS = (60_000, 3_000)  # lines of one pair in the workloads of `pr`, rounded up
_LOOKS = 200
_RUNS = 5


def main(_argv: list[str]) -> None:
    """Print the bytes of the page and the seconds of the whole command, the median of some."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        _fill(out)
        command = [sys.executable, "-m", "pipeline", "render", str(out), "--format", "html"]
        seconds, cpu = [], []
        body = b""
        for _ in range(_RUNS):
            began, used = time.perf_counter(), _cpu_s()
            body = subprocess.run(command, check=True, capture_output=True).stdout
            seconds.append(time.perf_counter() - began)
            cpu.append(_cpu_s() - used)
        raw = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(
        f"page: {METRICS} metrics of {PAIRS} pairs, {raw / 1e6:.0f} MB of raw files:"
        f" {len(body) / 1e6:.2f} MB, {sorted(seconds)[_RUNS // 2]:.1f} s for the whole command"
        f" (min {min(seconds):.1f}, max {max(seconds):.1f}, of {_RUNS}), of it CPU"
        f" {sorted(cpu)[_RUNS // 2]:.1f} s"
    )


def _cpu_s() -> float:
    """Return the CPU of all children that have ended, in s."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def results_of(draw: random.Random, number: int, pairs: int) -> ResultSet:
    """Return results of the first metrics of `pr`, each with so many pairs."""
    suite = suite_file.load(paths.project_path("suites", "pr.toml")).suite.of(Product.REFERENCE)
    declared = [(w.name, m.metric()) for w in suite.workloads for m in w.metrics]
    copies = ((f"{w}{copy or ''}", m) for copy in range(number) for w, m in declared)
    metrics = list(islice(copies, number))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return ResultSet(
        suite="pr",
        suite_digest="sha256:" + "5" * 64,
        environment="local",
        interleave=Interleave.REQUEST,
        pairs_asked=pairs,
        seed=1,
        subjects={arm: Subject("reference", f"sha256:{'0' * 64}") for arm in Arm},
        machine=Machine({"cpu": "a cpu"}, {}),
        tools={"k6": Tool("1.1.0", "sha256:6")},
        taken_at=now,
        trials=tuple(
            Trial(pair, arm, place, now, 40.0)
            for pair in range(pairs)
            for place, arm in enumerate(Arm)
        ),
        samples={
            arm: tuple(
                Sample(w, m, tuple(draw.lognormvariate(0, 0.05) for _ in range(pairs)))
                for w, m in metrics
            )
            for arm in Arm
        },
    )


def _fill(out: Path) -> None:
    """Write the folder of a run: results, and for every pair raw points and looks."""
    shutil.copy(paths.project_path("suites", "pr.toml"), out / "suite.toml")
    draw = random.Random(1)
    results = results_of(draw, METRICS, PAIRS)
    codec.RESULTS.write(out / "results.json", results)
    metrics = [(sample.workload, sample.metric) for sample in results.samples[Arm.CANDIDATE]]
    for number, workload in enumerate(dict.fromkeys(workload for workload, _ in metrics)):
        for pair in range(PAIRS):
            lines = 0 if pair else _POINTS[number]
            _pair(out / "pairs" / f"{pair:03}" / workload, draw, lines)
            first = out / "pairs" / "000" / workload / "points.csv.gz"
            if pair:
                shutil.copy(first, out / "pairs" / f"{pair:03}" / workload)


def _pair(folder: Path, draw: random.Random, lines: int) -> None:
    folder.mkdir(parents=True)
    if lines:
        write(folder / "points.csv.gz", lines)
    for arm in Arm:
        (folder / arm).mkdir()
        with (folder / arm / "process.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(("component", "time_s", "cpu_s", "memory", "threads", "files"))
            for component in ("server", "etcd"):
                for look in range(_LOOKS):
                    memory = round(3e8 * (1 - math.exp(-look / 20)) + 1e6 * draw.random())
                    rows.writerow((component, 1e9 + look / 2, 0.2 * look, memory, 9, 40))
