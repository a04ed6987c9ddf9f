"""How long `explain` reads and compares ten pairs, and how much memory it takes.

They are made up, in the sizes of real Milo v0.32.5: as many stacks, as deep, and the metrics of an
API server with 17,000 lines, of which most are buckets.
"""

import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from pipeline.judge.causes import find_causes
from pipeline.model.metric import Better, Metric
from pipeline.model.ports import Load, Span
from pipeline.model.profiles import Stack, StackProfile
from pipeline.model.results import Interleave, Machine, Reading, ResultSet, Trial
from pipeline.model.subject import Arm, Subject
from pipeline.probes import profiles, scrape
from pipeline.probes.sampling import write_csv
from pipeline.runs.explain.evidence import read_evidence
from pipeline.runs.explain.recorder import RecordingDriver
from pipeline.storage import pprof

_PAIRS = 10
_DEPTHS = {"server": 45, "manager": 20, "etcd": 12}
_COLUMNS = {
    "heap": ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space"),
    "block": ("contentions", "delay"),
    "mutex": ("contentions", "delay"),
    "goroutines": ("goroutine",),
    "wall": ("goroutine",),
    "cpu": ("samples", "cpu"),
}
_STACKS = {
    "server": {"heap": 1_500, "block": 650, "goroutines": 140, "wall": 170, "cpu": 100},
    "manager": {"heap": 140, "block": 350, "goroutines": 90, "wall": 100, "cpu": 20},
    "etcd": {"heap": 170, "mutex": 25, "goroutines": 40, "wall": 50, "cpu": 20},
}
"""Stacks of a profile, by component and kind."""
_WHENS = {"cpu": [f"load-{number:02}" for number in range(17)], "wall": ["load"]}
"""Files of the kinds that are not read before and after the load."""
_UNITS = {"cpu": "nanoseconds", "delay": "nanoseconds"} | dict.fromkeys(
    ("alloc_space", "inuse_space"), "bytes"
)
_SERIES = {"server": 1_000, "manager": 30, "etcd": 30}  # that changed, each with its buckets
_BUCKETS = 15
_CHILD = "--child"


def main(argv: list[str]) -> None:
    """Print the time and the peak of memory of a process of its own."""
    if argv[:1] == [_CHILD]:
        explain(Path(argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        command = [sys.executable, "-m", "dev.benchmarks", "explain_cost", _CHILD, folder]
        subprocess.run(command, check=True)


def write(out: Path) -> None:
    """Write the profiles of every pair, both arms and three components."""
    dice = random.Random(1)
    functions = [f"example.com/package{n % 300}.(*Type{n % 70}).Function{n}" for n in range(6_000)]
    for pair in range(_PAIRS):
        workload = out / "pairs" / f"{pair:03}" / "object-crud"
        for arm in Arm:
            folder = workload / arm
            folder.mkdir(parents=True)
            rows: list[tuple[object, ...]] = []
            for component, kinds in _STACKS.items():
                for when in ("before", "after"):
                    text = _text(when, _SERIES[component])
                    scrape.write_compressed(folder / f"{component}-{when}.prom.gz", text)
                for kind, count in kinds.items():
                    columns = _COLUMNS[kind]
                    for when in _WHENS.get(kind, ("before", "after")):
                        stacks: dict[Stack, tuple[float, ...]] = {}
                        for number in range(count):
                            calls = tuple(
                                functions[(number * 31 + at * 7) % len(functions)]
                                for at in range(_DEPTHS[component])
                            )
                            value = float(10 ** dice.uniform(4, 8))
                            stacks[calls] = (value,) * len(columns)
                        name = f"{component}-{kind}-{when}.pb.gz"
                        types = tuple((column, _UNITS.get(column, "count")) for column in columns)
                        pprof.write_profile(folder / name, StackProfile(types, stacks))
                        rows.append((component, kind, when, name, 0, 1, 1, ""))
            write_csv(folder / profiles.PROFILES, profiles.COLUMNS, rows)
        RecordingDriver(_Counted()).measure({}, workload, pair)


def explain(out: Path) -> None:
    """Read and compare everything, and print what it took."""
    began = time.perf_counter()
    evidence = read_evidence(out, _results(), "object-crud", "server.cpu")
    read_s = time.perf_counter() - began
    metric = Metric("server_cpu", "s", Better.LOWER, margin=0.05)
    found = find_causes(
        evidence.stacks, evidence.series, metric, reading="server.cpu", is_rise=True
    )
    took_s = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cpu_s = time.process_time()
    count = sum(1 for _ in out.rglob("*.pb.gz"))
    absent = {
        f"{kind} of {component}: there is no profile"
        for component, kinds in _STACKS.items()
        for kind in _COLUMNS.keys() - kinds.keys()
    }
    if gaps := set(evidence.gaps) - absent:
        raise SystemExit(f"not everything was read: {sorted(gaps)}")
    print(
        f"{count} profiles and the metrics of {_PAIRS} pairs: read in {read_s:.1f} s, compared in"
        f" {took_s - read_s:.1f} s ({found.tests:,} tests), CPU {cpu_s:.1f} s, peak {peak:.0f} MiB"
    )


def _text(when: str, series: int) -> str:
    """Return the metrics of one component, all of which grew."""
    lines = ["# TYPE x_seconds histogram"]
    for number in range(series):
        value = 10 * number + (number + 7 if when == "after" else 0)
        labels = f'verb="GET",resource="kind{number}",version="v1"'
        lines += [f'x_seconds_bucket{{{labels},le="{n}"}} {value + n}' for n in range(_BUCKETS)]
        lines += [
            f"x_seconds_sum{{{labels}}} {0.01 * value}",
            f"x_seconds_count{{{labels}}} {value}",
        ]
    return "\n".join(lines)


class _Counted:
    """A driver that did a thousand requests."""

    def measure(self, targets: object, out: Path, seed: int) -> Load:
        """Return the load."""
        readings = (Reading("requests", 1000.0, "1"),)
        return Load(dict.fromkeys(Arm, readings), dict.fromkeys(Arm, Span(0.0, 1.0)))


def _results() -> ResultSet:
    """Return the results of ten pairs without samples."""
    now = datetime.now(UTC)
    trials = tuple(
        Trial(pair, arm, at, now, 40.0) for pair in range(_PAIRS) for at, arm in enumerate(Arm)
    )
    return ResultSet(
        suite="pr",
        suite_digest="",
        environment="local",
        interleave=Interleave.REQUEST,
        pairs_asked=_PAIRS,
        seed=1,
        subjects=dict.fromkeys(Arm, Subject("reference", "")),
        machine=Machine({}, {}),
        tools={},
        taken_at=now,
        trials=trials,
    )
