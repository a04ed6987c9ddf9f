"""`load`: measure a deployment."""

import argparse
from pathlib import Path

from pipeline.commands import options, run
from pipeline.model.request import MAX_PAIRS
from pipeline.system import output
from pipeline.system.errors import Exit

_EXITS = (
    "exit codes: 0 measured, whatever the verdict is (`compare` has its exit code); 2 not up, or"
    " another load measures it; 5 both builds have died, or did not start; 6 the load was not"
    " applied as asked"
)


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser("load", help="measure a deployment", epilog=_EXITS)
    parser.add_argument("dir", type=Path, metavar="DIR", help="folder of `deploy`")
    parser.add_argument(
        "--pairs",
        type=_pairs,
        metavar="N",
        help="number of pairs; both builds are started anew before each further one (default: one"
        " load, without a new start; loads on one launch count as one trial)",
    )
    parser.add_argument(
        "--driver", choices=run.DRIVERS, help="run only the workloads of this driver (default: all)"
    )
    options.add_json(parser, "the verdict so far")
    parser.set_defaults(command=_load, strict=False)


def _load(args: argparse.Namespace) -> Exit:
    from pipeline.judge.constants import MIN_PAIRS
    from pipeline.runs import reports
    from pipeline.runs.deploy import load

    report = load.load(args.dir, args.pairs, args.driver or "")
    valid = len(report.results.valid_pairs)
    if valid >= MIN_PAIRS or args.json:
        run.conclude(args, report, args.dir)
    else:
        reports.write(report, args.dir, Exit.WRONG_LOAD)
        step = reports.next_step(report, args.dir)
        output.print_stdout(
            f"{valid} valid pair so far, and a verdict needs {MIN_PAIRS}; the values are in"
            f" {args.dir / 'report.txt'}\n" + (f"next: {step}\n" if step else "")
        )
    return Exit.NO_REGRESSION if valid else Exit.WRONG_LOAD


def _pairs(text: str) -> int:
    if not 0 < options.integer(text) <= MAX_PAIRS:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number from 1 to {MAX_PAIRS}")
    return int(text)
