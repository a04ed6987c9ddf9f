"""How long a site of 400 nights and 60 metrics takes to build, and how large it is."""

import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dev.benchmarks.page import results_of
from pipeline.runs.history import nightly_records
from pipeline.runs.site.places import MAX_REPORTS
from pipeline.storage import codec

NIGHTS, METRICS = 400, 60
_FIRST = datetime(2025, 1, 1, 1, 17, tzinfo=UTC)


def main(_argv: list[str]) -> None:
    """Print seconds and bytes of a new site, of one more night, and of no change."""
    with tempfile.TemporaryDirectory() as folder:
        history, site = Path(folder, "history"), Path(folder, "site")
        write_history(history, NIGHTS + 1)
        lines = (history / "nightly.jsonl").read_text().splitlines(keepends=True)
        for what, nights in (("new", NIGHTS), ("one night more", NIGHTS + 1), ("no change", None)):
            if nights is not None:
                (history / "nightly.jsonl").write_text("".join(lines[:nights]))
            began, used = time.perf_counter(), _cpu_s()
            command = ["site", "--quiet", "--history", str(history), "--out", str(site)]
            done = subprocess.run(
                [sys.executable, "-m", "pipeline", *command],
                check=True,
                capture_output=True,
                text=True,
            )
            print(
                f"site, {what}: {time.perf_counter() - began:.1f} s, CPU {_cpu_s() - used:.1f} s;"
                f"{done.stdout.strip().partition(':')[2]}"
            )


def write_history(folder: Path, nights: int) -> None:
    """Write a history with a step in every fourth metric, and the results of the newest nights."""
    folder.mkdir(parents=True)
    draw = random.Random(1)
    before, after = results_of(draw, METRICS, 5), results_of(draw, METRICS, 5)
    one = nightly_records.nightly_record(before)
    lines = []
    for number in range(nights):
        record = one.model_copy(
            update={
                "run": f"{number:016x}",
                "time": _FIRST + timedelta(days=number),
                "commit": f"{draw.getrandbits(160):040x}",
                "metrics": {
                    key: value.model_copy(
                        update={
                            "value": (1.08 if at % 4 == 0 and number > nights // 2 else 1.0)
                            * math.exp(draw.gauss(0, 0.01))
                        }
                    )
                    for at, (key, value) in enumerate(one.metrics.items())
                },
            }
        )
        body = record.model_dump(mode="json", by_alias=True, exclude_none=True)
        lines.append(json.dumps(body, sort_keys=True) + "\n")
        if number >= nights - 1 - MAX_REPORTS:
            path = folder / "nightly" / f"{nightly_records.night_name(record)}.json"
            path.parent.mkdir(exist_ok=True)
            codec.RESULTS.write(path, after)
    (folder / "nightly.jsonl").write_text("".join(lines))


def _cpu_s() -> float:
    """Return the CPU of all children that have ended, in s."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
