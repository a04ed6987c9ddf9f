"""Put each fault of known size into `reference` and see whether a suite is red: docs/faults.md.

`python -m dev.benchmarks faults [--only slow-create] [--equal 20]`; with `--out` of an earlier
table, only the rows that have no verdict are run. A whole `pr` row takes about five minutes, one
of a build that hardly works longer.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from dev.benchmarks.faults_text import Fault, Row, document, line
from dev.benchmarks.runs import measure_run, new_folder, read_finished
from pipeline.storage import codec
from pipeline.system import paths

SIZES = {
    "slow-create": "500us",
    "slow-list": "600us",
    "slow-tail": "5%:20ms",
    "cpu": "100us",
    "leak-memory": "16KiB",
    "leak-project-goroutines": "1",
    "leak-files": "1",
    "orphans": "1",
    "errors": "0.5%",
    "hang": "1%",
    "slow-ready": "50ms",
    "never-ready": "10%",
    "project-lock": "20ms",
    "deletion-lock": "200ms",
    "slow-gc": "100ms",
    "stuck-gc": "50%",
    "skip-finalizers": "50%",
    "slow-resume": "1s",
    "crash-after": "20s",
    "shared-lock": "15ms",
    "blocking-list": "100ms",
    "lose-event": "0.1%",
    "foreign-event": "0.1%",
    "delay-events": "20ms",
    "leak-watchers": "0.1",
}
"""Sizes that a reviewer should hear of: latency longer by a tenth to a sixth, a twentieth more CPU,
one key, goroutine or file for each Project, one request in a hundred that is never answered, one
event in a thousand, a watch left by one in ten.

They were chosen before anything was measured; those of the suite isolation were raised
after a first try.
"""

LARGE_SIZES = {"slow-create": "5s", "slow-list": "5s", "errors": "20%", "slow-gc": "120s"}
"""Sizes with which a build hardly works, which must be a result and never an error of ours."""

_EXPECTED = {
    "slow-create": ("object-crud/create_*",),
    "slow-list": ("object-crud/list_*",),
    "slow-tail": ("object-crud/*_p9*",),
    "cpu": ("*/server_cpu_*",),
    "leak-memory": ("*/server_memory", "*/server_heap"),
    "leak-project-goroutines": ("*/server_goroutines",),
    "leak-files": ("*/server_files",),
    "orphans": ("*/keys_*",),
    "errors": ("*/errors_share",),
    "hang": ("*/errors_share",),
    "slow-ready": ("project-burst/ready_*",),
    "never-ready": ("project-burst/*ready*",),
    "project-lock": ("project-burst/ready_*",),
    "deletion-lock": ("create-while-deleting/ready_*",),
    "slow-gc": ("garbage-collection/*gone*",),
    "stuck-gc": ("garbage-collection/*gone*",),
    "skip-finalizers": ("late-finalizers/gone_early",),
    "slow-resume": ("restart/all_gone",),
    "crash-after": ("launch/failed_trials",),
    "shared-lock": ("noise-*/*_isolation_*",),
    "blocking-list": ("noise-lists/*_isolation_*",),
    "lose-event": ("watch-herd/lost",),
    "foreign-event": ("watch-herd/foreign",),
    "delay-events": ("watch-herd/lag_*",),
    "leak-watchers": ("watch-herd/goroutines_left",),
}
"""Patterns of the metrics that are to be red for each fault."""

SUITES = {
    "deletion-lock": "gc",
    "skip-finalizers": "gc",
    "slow-resume": "restart",
    "shared-lock": "isolation",
    "blocking-list": "isolation",
    **dict.fromkeys(("lose-event", "foreign-event", "delay-events", "leak-watchers"), "watch"),
}
"""Suites of the faults that no workload of `pr` reaches."""

FAULTS = tuple(
    Fault(name, sizes[name], _EXPECTED[name]) for sizes in (SIZES, LARGE_SIZES) for name in sizes
)
EQUAL = Fault("nothing", "", ())
SLOW_BOTH = Fault("slow-gc", LARGE_SIZES["slow-gc"], (), in_both=True)
_SUITE = "pr"
_NAMES = list(dict.fromkeys(fault.name for fault in (*FAULTS, EQUAL)))


def main(argv: list[str]) -> None:
    """Run the rows, each kept as it ends; write the document once there is a run of every row."""
    args = _parser().parse_args(argv)
    out = args.out or new_folder("faults")
    asked = rows(args.equal)
    for name, fault in asked.items():
        if args.only and fault.name not in args.only:
            continue
        suite = SUITES.get(fault.name, args.suite)
        run = measure_run(
            out / name, suite, fault.candidate, against=fault.baseline, pairs=args.pairs
        )
        print(f"{name}: {line(Row(fault, run))}", flush=True)
        _write(out / "faults.md", asked, out, args)
    if all(read_finished(out / name) for name in asked):
        _write(args.document, asked, out, args)
        print(f"all rows are there, and the table is {args.document}")
    else:
        print(f"rows are missing; go on with: {_command(args)} --out {out}")


def rows(equal: int) -> dict[str, Fault]:
    """Return the fault of each row, by the name of the row's folder."""
    unchanged = {f"{EQUAL.name}-{number:02}": EQUAL for number in range(1, equal + 1)}
    small = {fault.name: fault for fault in FAULTS if fault.size == SIZES[fault.name]}
    large = {f"{fault.name}-large": fault for fault in FAULTS if fault not in small.values()}
    return small | large | {f"{SLOW_BOTH.name}-both": SLOW_BOTH} | unchanged


def _write(path: Path, asked: dict[str, Fault], out: Path, args: argparse.Namespace) -> None:
    there = [Row(fault, run) for name, fault in asked.items() if (run := read_finished(out / name))]
    codec.write_text(path, document(there, _command(args)))


def _command(args: argparse.Namespace) -> str:
    """Return the command that makes this table again."""
    words: Sequence[str] = ("nox", "-s", "faults", "--", "--equal", str(args.equal))
    words = (*words, *(("--suite", args.suite) if args.suite != _SUITE else ()))
    return " ".join((*words, *(("--pairs", str(args.pairs)) if args.pairs else ())))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dev.benchmarks faults")
    parser.add_argument("--only", action="append", choices=_NAMES, help="may be repeated")
    parser.add_argument("--suite", default=_SUITE, help=f"default: {_SUITE}")
    parser.add_argument("--pairs", type=int, metavar="N", help="default: the suite's own")
    parser.add_argument(
        "--equal", type=int, default=20, metavar="N", help="rows of nothing changed (default: 20)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="of an earlier table, to go on")
    parser.add_argument(
        "--document",
        type=Path,
        metavar="FILE",
        default=paths.project_path("docs", "faults.md"),
        help="written once all rows are there (default: docs/faults.md)",
    )
    return parser
