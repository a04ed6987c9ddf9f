"""What the pipeline itself costs while it measures: CPU without k6 and the servers, and memory."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil


def main(argv: list[str]) -> None:
    """Run a suite (`smoke`, or the arguments given) and print its own CPU share and memory."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        arguments = argv or ["--suite", "smoke", "--against", "reference", "--pairs", "2"]
        command = [sys.executable, "-m", "pipeline", "run", "--out", str(out), *arguments]
        looks: list[tuple[float, float, int]] = []
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            watched = psutil.Process(process.pid)
            while process.poll() is None:
                times, memory = watched.cpu_times(), watched.memory_info().rss
                looks.append((time.time(), times.user + times.system, memory))
                time.sleep(0.2)
        began = (out / "suite.toml").stat().st_mtime
        ended = (out / "results.json").stat().st_mtime
        within = [look for look in looks if began <= look[0] <= ended]
        cpu_s = within[-1][1] - within[0][1]
        wall_s = within[-1][0] - within[0][0]
        print(
            f"CPU of the pipeline during pairs: {cpu_s / wall_s:.1%} of one core ({wall_s:.0f} s)"
        )
        print(f"its memory at most: {max(look[2] for look in looks) / 1e6:.0f} MB")
