"""What `publish` takes from an artifact to the text of comment and check, GitHub left out."""

import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from pipeline.model.metric import Better, Metric
from pipeline.model.results import Interleave, Machine, ResultSet, Sample, Trial
from pipeline.model.subject import Arm, Subject
from pipeline.storage import codec

_RUNS = 5
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_SIZES = {"of a usual run": (50, 8), "as large as one may be": (250, 85)}  # metrics, pairs
_TO = ("--to", "check", "--to", "comment", "--dry-run")


def main(_argv: list[str]) -> None:
    """Print the median of the seconds, of which CPU, and the memory at its peak."""
    for name, (metrics, pairs) in _SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "results.json"
            codec.RESULTS.write(file, _results(metrics, pairs))
            size = file.stat().st_size
            found = sorted(_measure(folder) for _ in range(_RUNS))
        seconds, cpu, memory = found[_RUNS // 2]
        print(
            f"publish: results.json {name}, {size / 1e6:.2f} MB: {seconds:.2f} s, of it CPU"
            f" {cpu:.2f} s; {memory / 1e6:.0f} MB of memory"
        )


def _measure(folder: str) -> tuple[float, float, float]:
    """Return seconds, those of them on a CPU, and the largest memory in bytes, of one command."""
    command = [sys.executable, "-m", "pipeline", "publish", folder, *_TO]
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env={**os.environ, "GITHUB_SHA": "a" * 40}
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"publish ended with {process.returncode}")
    return time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024.0


def _results(metrics: int, pairs: int) -> ResultSet:
    """Return a run of a suite that is not ours, each metric of it worse by a fifth."""
    named = [
        Metric(f"create_{number:03}_p50", "s", Better.LOWER, 0.05, gate=True)
        for number in range(metrics)
    ]
    values = {
        Arm.BASELINE: tuple(5.123456e-3 for _ in range(pairs)),
        Arm.CANDIDATE: tuple(6.123456e-3 * (1 + 0.01 * (pair % 3)) for pair in range(pairs)),
    }
    return ResultSet(
        suite="largest",
        suite_digest="sha256:" + "5" * 64,
        environment="local",
        interleave=Interleave.REQUEST,
        pairs_asked=pairs,
        seed=1,
        subjects={arm: Subject("reference", f"sha256:{arm}", {}) for arm in Arm},
        machine=Machine({}, {}),
        tools={},
        taken_at=_NOW,
        trials=tuple(
            Trial(pair, arm, position, _NOW, 40.0)
            for pair in range(pairs)
            for position, arm in enumerate(Arm)
        ),
        samples={
            arm: tuple(Sample("object-crud", metric, values[arm]) for metric in named)
            for arm in Arm
        },
    )


if __name__ == "__main__":
    main(sys.argv[1:])
