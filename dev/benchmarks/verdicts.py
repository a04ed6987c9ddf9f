"""Measure the judge on data with known answers, beside its peers: docs/results/verdicts.csv.

`python -m dev.benchmarks verdicts --data DIR`, or the variable MILO_PERF_DATA.  DIR holds
`azure-vm-noise` (Freischuetz et al., TUNA, EuroSys 2025; CC-BY-4.0), `benchstat` (the examples of
golang.org/x/perf), `milo-runs` (launches of two equal builds at once), and `tcpd` and `otava` (see
`dev.benchmarks.steps`).
"""

import argparse
import csv
import io
import os
import platform
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from dev.benchmarks import decides, judged, judged_model, steps
from dev.benchmarks.judged import Row
from pipeline.storage import codec
from pipeline.system import paths

DATA = "MILO_PERF_DATA"
_WITH_DATA: tuple[Callable[[Path], list[Row]], ...] = (
    judged.equal,
    judged.whole_reports,
    judged.other_machine,
    judged.found_changes,
    judged.golden_agreement,
    judged.pairs_used,
    judged.milo_builds,
)
_WITHOUT: tuple[Callable[[], list[Row]], ...] = (
    judged_model.coverage,
    judged_model.power,
    judged_model.rounded_reports,
)


def main(argv: list[str]) -> None:
    """Print the table as it grows, and write it when it is whole."""
    parser = argparse.ArgumentParser(prog="python -m dev.benchmarks verdicts")
    known = os.environ.get(DATA)
    parser.add_argument("--data", type=Path, default=known and Path(known), metavar="DIR")
    parser.add_argument(
        "--document",
        type=Path,
        default=paths.project_path("docs", "results", "verdicts.csv"),
        metavar="FILE",
    )
    args = parser.parse_args(argv)
    if args.data is None or not (args.data / "azure-vm-noise").is_dir():
        parser.error(f"give --data, or set {DATA}, to the folder that holds azure-vm-noise")
    began = time.monotonic()
    rows = []
    for row in _rows(args.data):
        print(f"{row.what} | {row.others} | {row.goal} | {row.ours}", flush=True)
        rows.append(row)
    codec.write_text(args.document, _document(rows, time.monotonic() - began))


def _rows(data: Path) -> Iterator[Row]:
    for with_data in _WITH_DATA:
        yield from with_data(data)
    for without in _WITHOUT:
        yield from without()
    yield from decides.measure_decisions()
    yield from decides.real(data)
    yield from steps.rows(data)


def _document(rows: list[Row], seconds: float) -> str:
    """Return the rows as CSV; docs/verdicts.md sums them up."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {seconds / 60:.0f} min"
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("what", "others", "goal", "ours", "goal met"))
    writer.writerows(
        (row.what, row.others, row.goal, row.ours, "yes" if row.is_met else "no") for row in rows
    )
    writer.writerow(("measured", "", "", f"{datetime.now(UTC):%Y-%m-%d}, {machine}", ""))
    return file.getvalue()
