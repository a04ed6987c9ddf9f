"""How long a person waits for `--help` and `plan`, against an interpreter that does nothing."""

import statistics
import subprocess
import sys
import time

_RUNS = 9


def main(_argv: list[str]) -> None:
    """Print the median of whole commands, the three kinds in turn."""
    commands = {
        "python -c pass": ["-c", "pass"],
        "python -m pipeline --help": ["-m", "pipeline", "--help"],
        "python -m pipeline plan": ["-m", "pipeline", "plan", "--suite", "pr"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(_RUNS):
        for name, arguments in commands.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - began)
    for name, values in seconds.items():
        print(f"{name}: {statistics.median(values):.2f} s (min {min(values):.2f}, of {_RUNS})")
