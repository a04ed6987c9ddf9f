"""Put each fault of known size into `reference`: does `explain` name its cause first?

`python -m dev.benchmarks explained [--only cpu] [--equal 20]` writes docs/results/causes.csv; with
`--out` of an earlier table, only the rows that have no explanation are measured.  Each row runs one
workload of the suite: two judged pairs, then the extra pairs.
"""

import argparse
import csv
import io
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.benchmarks.runs import new_folder
from pipeline.model.explanation import Cause, WorkloadExplanation
from pipeline.render.explanation import quantity_of, short_name
from pipeline.runs import suite_file
from pipeline.runs.explain.explanation_file import EXPLANATION, FOLDER
from pipeline.storage import codec
from pipeline.system import paths
from pipeline.system.errors import Exit

_JUDGED_PAIRS = 2
_NEAR = 3  # ranks


@dataclass(frozen=True, slots=True)
class NamedFault:
    """A fault, the metric that shows it, and what is its cause.

    Attributes:
        cause: Pattern of the name of the cause.
        kinds: Kinds of evidence in which it counts as named; empty for any.
    """

    name: str
    size: str
    metric: str
    cause: str
    kinds: tuple[str, ...] = ()

    @property
    def candidate(self) -> str:
        """The spec of the build that has it."""
        return f"reference?{self.name}={self.size}" if self.size else "reference"


_INJECTOR = r"internal/faults\.\(\*Injector\)\."
FAULTS = (
    NamedFault(
        "cpu", "1ms", "object-crud/server_cpu_per_request", r"internal/faults\.burn", ("cpu",)
    ),
    NamedFault("slow-create", "5ms", "object-crud/create_p50", _INJECTOR, ("block", "wall")),
    NamedFault("slow-list", "5ms", "object-crud/list_p50", _INJECTOR, ("block", "wall")),
    NamedFault(
        "leak-memory", "64KiB", "object-crud/server_heap", f"{_INJECTOR}leakMemory", ("heap",)
    ),
    NamedFault(
        *("leak-goroutines", "0.1", "object-crud/server_goroutines"),
        *(r"internal/faults\.leakGoroutines", ("goroutines", "wall")),
    ),
    NamedFault(
        "errors", "5%", "object-crud/errors_share", r'apiserver_request_total\{.*code="500"'
    ),
    NamedFault(
        *("leak-project-goroutines", "1", "project-burst/server_goroutines"),
        *(r"internal/faults\.leakGoroutines", ("goroutines", "wall")),
    ),
    NamedFault(
        *("project-lock", "20ms", "project-burst/ready_p50"),
        *(r"internal/faults\.\(\*Projects\)\.holdLock", ("block", "wall")),
    ),
    NamedFault("orphans", "1", "garbage-collection/keys_left", r"etcd_|grpc_server_"),
    NamedFault("slow-gc", "100ms", "garbage-collection/gone_p50", r"workqueue_"),
)
"""Faults with sizes that a run of two pairs sees, chosen before anything was explained.

Only the cause of slow-gc was corrected after that: no function waits, the Project is put into the
work queue again.
"""

EQUAL = ("object-crud/create_p50", "project-burst/ready_p50", "garbage-collection/gone_p50")
"""Metrics that are explained in turn where both builds are equal."""

_COLUMNS = (
    *("fault", "size", "metric", "outcome", "first cause", "evidence", "baseline", "candidate"),
    *("per", "pairs", "tests", "named"),
)


def main(argv: list[str]) -> None:
    """Measure the rows, each kept as it ends, and write the table."""
    args = _parser().parse_args(argv)
    out = args.out or new_folder("explained")
    out.mkdir(parents=True, exist_ok=True)
    rows = {fault.name: fault for fault in FAULTS}
    for number in range(args.equal):
        rows[f"equal-{number + 1:02}"] = NamedFault("nothing", "", EQUAL[number % len(EQUAL)], "")
    done = []
    for name, fault in rows.items():
        folder = out / name
        if not (args.only and fault.name not in args.only):
            measure(fault, folder, args.suite, args.pairs, is_again=args.again)
        if (path := folder / FOLDER / EXPLANATION).exists():
            explained = codec.EXPLANATION.read(path).workloads[0]
            done.append(row_of(fault, explained))
            print(f"{name}: {done[-1][3]}: {done[-1][4]}", flush=True)
            codec.write_text(args.document, table(done))
    print(f"{len(done)} of {len(rows)} rows are in {args.document}")


def measure(
    fault: NamedFault, folder: Path, suite: str, pairs: int, *, is_again: bool = False
) -> None:
    """Run and explain one fault, unless the folder has its explanation.

    `is_again` compares the pairs that are there again.
    """
    if (folder / FOLDER / EXPLANATION).exists() and not is_again:
        return
    workload = fault.metric.partition("/")[0]
    path = folder.with_name(f"{workload}.toml")
    path.write_text(one_workload(suite, workload), encoding="utf-8")
    with folder.with_name(f"{folder.name}.log").open("a") as log:
        commands: list[list[str]] = []
        if not (folder / "results.json").exists():
            builds = ["--candidate", fault.candidate, "--against", "reference"]
            judged = ["--suite", f"{path}", "--pairs", f"{_JUDGED_PAIRS}", "--out", f"{folder}"]
            commands.append(["run", *judged, *builds])
        begun = ["--resume"] if (folder / FOLDER / "pairs.json").exists() else []
        commands.append(
            ["explain", *begun, f"{folder}", "--metric", fault.metric, "--pairs", f"{pairs}"]
        )
        for command in commands:
            argv = [sys.executable, "-m", "pipeline", *command]
            code = subprocess.run(argv, check=False, stdout=log, stderr=log).returncode
            if code == Exit.INTERRUPTED:
                raise KeyboardInterrupt


def one_workload(suite: str, workload: str) -> str:
    """Return the text of a suite with one of its workloads."""
    text = suite_file.path_of(suite).read_text(encoding="utf-8")
    head, *blocks = re.split(r"(?m)^(?=\[\[workload\]\])", text)
    wanted = [block for block in blocks if f'\nname = "{workload}"' in block]
    return head + "".join(wanted)


def row_of(fault: NamedFault, explained: WorkloadExplanation) -> tuple[str, ...]:
    """Return the cells of one row."""
    causes = explained.causes
    first = causes[0] if causes else None
    return (
        *(fault.name, fault.size, fault.metric, outcome(fault, causes)),
        short_name(first) if first else "",
        f"{first.kind} of {first.component}" if first else "",
        quantity_of(first.baseline, first.unit) if first else "",
        quantity_of(first.candidate, first.unit) if first else "",
        *(explained.per, f"{explained.pairs}", f"{explained.tests}", f"{len(causes)}"),
    )


def outcome(fault: NamedFault, causes: Sequence[Cause]) -> str:
    """Return where the cause is: `first`, `in the first three`, or `not named`."""
    if not fault.size:
        return "something was named" if causes else "nothing was named"
    ranks = [rank for rank, one in enumerate(causes) if matches(fault, one)]
    if not ranks:
        return "not named"
    return "first" if ranks[0] == 0 else "in the first three" if ranks[0] < _NEAR else "later"


def matches(fault: NamedFault, cause: Cause) -> bool:
    """Return whether a cause is that of the fault."""
    is_kind = not fault.kinds or cause.kind.value in fault.kinds
    return is_kind and re.search(fault.cause, cause.name) is not None


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return the table as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(rows)
    return text.getvalue()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dev.benchmarks explained")
    names = [*(fault.name for fault in FAULTS), "nothing"]
    parser.add_argument("--only", action="append", choices=names, help="may be repeated")
    parser.add_argument("--suite", default="smoke", help="default: smoke")
    parser.add_argument("--pairs", type=int, default=4, metavar="N", help="extra pairs")
    parser.add_argument("--equal", type=int, default=20, metavar="N", help="rows of equal builds")
    parser.add_argument("--out", type=Path, metavar="DIR", help="of an earlier table, to go on")
    parser.add_argument(
        "--again", action="store_true", help="compare the pairs that are there with this code"
    )
    parser.add_argument(
        "--document",
        type=Path,
        metavar="FILE",
        default=paths.project_path("docs", "results", "causes.csv"),
        help="default: docs/results/causes.csv",
    )
    return parser
