"""How fast a million raw points of k6 are read, against a plain loop over the same lines."""

import csv
import gzip
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

POINTS = 1_000_000
_RUNS = 3
_OPS = ("create", "get", "list", "update", "delete")
_PARTS = ("blocked", "connecting", "tls_handshaking", "sending", "waiting", "receiving", "failed")
_HEADER = (
    "metric_name,timestamp,metric_value,error_code,expected_response,name,scenario,status,"
    "extra_tags,metadata"
)
# Each is run in a process of its own and prints seconds and the bytes that memory grew by at most.
# pandas is loaded first: the figure is of reading, not of an import.
_READ = {
    "points": """
import json, resource, sys, time
from pathlib import Path
import numpy, pandas
from pipeline.drivers.points import read_points
from pipeline.model.subject import Arm
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before, began = peak(), time.perf_counter()
read_points(Path(sys.argv[1]), list(Arm))
print(json.dumps([time.perf_counter() - began, peak() - before]))
""",
    "csv": """
import csv, gzip, json, resource, statistics, sys, time
from collections import defaultdict
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before, began = peak(), time.perf_counter()
found = defaultdict(list)
with gzip.open(sys.argv[1], "rt", newline="") as file:
    for row in csv.DictReader(file):
        if row["metric_name"] == "http_req_duration":
            found[row["extra_tags"]].append(float(row["metric_value"]))
for values in found.values():
    statistics.quantiles(values, n=100)
print(json.dumps([time.perf_counter() - began, peak() - before]))
""",
}


def main(_argv: list[str]) -> None:
    """Print the median of each way of reading, the two in turn."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.csv.gz"
        write(path, POINTS)
        size = path.stat().st_size
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in _READ}
        for _ in range(_RUNS):
            for name, code in _READ.items():
                command = [sys.executable, "-c", code, str(path)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found[name].append(tuple(json.loads(done.stdout)))
    seconds = {name: sorted(values)[_RUNS // 2][0] for name, values in found.items()}
    peak = max(value[1] for value in found["points"])
    print(
        f"points: {POINTS} points ({size / 1e6:.0f} MB), {seconds['points']:.1f} s,"
        f" {peak / 1e6:.0f} MB more memory; a loop over the csv module: {seconds['csv']:.1f} s"
        f" ({seconds['csv'] / seconds['points']:.1f} times as long)"
    )


def write(path: Path, points: int) -> None:
    """Write raw points as k6 does: nine lines per request, two arms, half a minute of warm-up."""
    draw = random.Random(1)
    began = time.perf_counter()
    with gzip.open(path, "wt", compresslevel=1, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_HEADER.split(","))
        for number in range(points // 9):
            at_us = 1_800_000_000_000_000 + 4_000 * number
            op = _OPS[number % len(_OPS)]
            arm = ("baseline", "candidate")[draw.getrandbits(1)]
            phase = "load" if number > points // 90 else "warmup"
            tags = f"arm={arm}&op={op}&phase={phase}&resource=secrets"
            rest = ["", "true", f"{op} secrets", "load", 200, tags, ""]
            duration = draw.lognormvariate(1.0, 0.5)
            writer.writerow(["http_reqs", at_us, "1.000000", *rest])
            writer.writerow(["http_req_duration", at_us, f"{duration:.6f}", *rest])
            for part in _PARTS:
                share = f"{duration * draw.random():.6f}"
                writer.writerow([f"http_req_{part}", at_us, share, *rest])
    print(f"(made them in {time.perf_counter() - began:.0f} s)")


if __name__ == "__main__":
    main(sys.argv[1:])
