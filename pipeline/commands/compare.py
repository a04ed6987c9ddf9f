"""`compare`: judge the results in a folder again."""

import argparse
from pathlib import Path

from pipeline.commands import options, run
from pipeline.system.errors import Exit


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "compare", help="judge the results in a folder again", epilog=options.RESULTS_EPILOG
    )
    parser.add_argument("dir", type=Path, metavar="DIR", help="folder of the run")
    parser.add_argument(
        "--baseline",
        metavar="NAME",
        help="compare with the stored numbers of a baseline; they gate only on its machine",
    )
    options.add_json(parser, "the verdict")
    options.add_strict(parser)
    parser.set_defaults(command=_compare)


def _compare(args: argparse.Namespace) -> Exit:
    from pipeline.runs import baselines, reports

    if args.baseline:
        return run.print_answer(args, baselines.compare_with_stored(args.dir, args.baseline))
    return run.conclude(args, reports.compare(args.dir), args.dir)
