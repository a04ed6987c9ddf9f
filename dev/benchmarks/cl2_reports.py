"""How fast a hundred reports of ClusterLoader2 are read, each as large as that of a long run."""

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from pipeline.drivers.clusterloader2.wire import AVAILABILITY, LATENCY, QUERY, TIMER
from pipeline.model.perfdata import VERSION

REPORTS = 100
_RUNS = 3
_STEPS, _KINDS, _QUERIES = 60, 120, 4
_CONFIG = "milo-objects"
_VERBS = ("POST", "GET", "LIST", "PUT", "PATCH", "DELETE")
# Run in a process of its own, with pydantic loaded: the figure is of reading, not of an import.
_READ = """
import json, sys, time
from pathlib import Path
from pipeline.drivers.clusterloader2.readings import readings
from pipeline.drivers.clusterloader2.report import read_report
folders = sorted(Path(sys.argv[1]).iterdir())
began, used = time.perf_counter(), time.process_time()
found = sum(len(readings(read_report(folder, ()))) for folder in folders)
print(json.dumps([time.perf_counter() - began, time.process_time() - used, found]))
"""


def main(_argv: list[str]) -> None:
    """Print the median of the seconds, and what was read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw = random.Random(1)
        for number in range(REPORTS):
            _report(folder / f"{number:03}", draw)
        files = [path for path in folder.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        command = [sys.executable, "-c", _READ, str(folder)]
        found = sorted(
            json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for _ in range(_RUNS)
        )
    seconds, cpu, readings = found[_RUNS // 2]
    print(
        f"cl2_reports: {REPORTS} reports, {len(files)} files, {size / 1e6:.1f} MB:"
        f" {seconds:.2f} s, of it CPU {cpu:.2f} s; {readings} readings"
    )


def _report(folder: Path, draw: random.Random) -> None:
    """Write one report, each kind of summary in it."""
    folder.mkdir()
    cases = "".join(
        f'<testcase name="{_CONFIG}: [step: {n:02}] cycle {n} [00] - It" time="{draw.random()}"/>'
        for n in range(1, _STEPS + 1)
    )
    overall = f'<testcase name="{_CONFIG} overall (objects.yaml)" time="17.5"/>'
    (folder / "junit.xml").write_text(f'<testsuite tests="0">{overall}{cases}</testsuite>')
    for name, body in _bodies(draw).items():
        path = folder / f"{name}_{_CONFIG}_2026-01-01T00:00:00Z.json"
        path.write_text(json.dumps(body, indent=2))


def _bodies(draw: random.Random) -> dict[str, dict[str, object]]:
    def items(found: list[dict[str, object]]) -> dict[str, object]:
        return {"version": VERSION, "dataItems": found}

    latencies: list[dict[str, object]] = [
        {
            "data": {f"Perc{p}": draw.uniform(25, 900) for p in (50, 90, 99)},
            "unit": "ms",
            "labels": {
                "Verb": _VERBS[kind % len(_VERBS)],
                "Resource": f"resource{kind}",
                "Subresource": "",
                "Scope": "resource",
                "Count": "1000",
                "SlowCount": "0",
            },
        }
        for kind in range(_KINDS)
    ]
    queries: dict[str, dict[str, object]] = {
        f"{QUERY} Metric {n}": items(
            [{"data": {"Mean": draw.random()}, "unit": "s", "labels": {"verb": v}} for v in _VERBS]
        )
        for n in range(_QUERIES)
    }
    return {
        TIMER: items([{"data": {"total": 7.5}, "unit": "s", "labels": {"test": "phases"}}]),
        AVAILABILITY: {
            "clusterMetrics": {"availabilityPercentage": 100, "longestUnavailablePeriod": "0s"},
            "hostMetrics": None,
        },
        f"{LATENCY}_simple": items(latencies),
        **queries,
    }


if __name__ == "__main__":
    main(sys.argv[1:])
