"""How long it takes to put the raw points of load pods together, and how much memory.

`python -m dev.benchmarks merge [POINTS [PODS]]`; without numbers, 100 million points of 8 pods.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from dev.benchmarks.points import write

POINTS, PODS = 100_000_000, 8
# In a process of its own: seconds of each part, and the most memory that it ever had, in bytes.
_MERGE = """
import json, resource, sys, time
from pathlib import Path
import numpy, pandas
from pipeline.drivers.points import read_points
from pipeline.drivers.shares import merge, share_of
from pipeline.model.subject import Arm
folder, paths = Path(sys.argv[1]), [Path(one) for one in sys.argv[2:]]
clock = [time.perf_counter()]
for path in paths:
    share_of(path)
clock.append(time.perf_counter())
merge(paths, folder / "all.csv.gz")
clock.append(time.perf_counter())
read_points(folder / "all.csv.gz", list(Arm))
clock.append(time.perf_counter())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps([[b - a for a, b in zip(clock, clock[1:])], peak]))
"""


def main(argv: list[str]) -> None:
    """Print how long each part took."""
    points, pods = (*map(int, argv), *(POINTS, PODS)[len(argv) :])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f"{number}.csv.gz" for number in range(pods)]
        write(paths[0], points // pods)
        for path in paths[1:]:
            path.hardlink_to(paths[0])  # every pod wrote as much
        command = [sys.executable, "-c", _MERGE, str(folder), *map(str, paths)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        (shares, merged, read), peak = json.loads(done.stdout)
        size = (folder / "all.csv.gz").stat().st_size
    print(
        f"merge: {points:,} points of {pods} pods ({size / 1e6:.0f} MB): shares {shares:.0f} s,"
        f" one file {merged:.0f} s, read {read:.0f} s, {shares + merged + read:.0f} s in all;"
        f" {peak / 1e6:.0f} MB at most"
    )
