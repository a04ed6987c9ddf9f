"""`baseline`: store, show, compare and calibrate baselines."""

import argparse
from pathlib import Path

from pipeline.commands import judge, options
from pipeline.system import log, output, terminal
from pipeline.system.errors import Exit

PAIRS = 20
"""Of a calibration: a spread from so many is known to 16 %."""


def add(commands: "options.Commands") -> None:
    """Add the command with its own commands."""
    parser = commands.add_parser("baseline", help="keep, show, compare and calibrate baselines")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    save = commands.add_parser("save", help="keep the candidate of a run")
    save.add_argument("dir", type=Path, metavar="DIR")
    save.add_argument("name", metavar="NAME")
    save.set_defaults(command=_save)
    show = commands.add_parser("show", help="print a baseline")
    show.add_argument("name", metavar="NAME")
    options.add_json(show, "the baseline")
    show.set_defaults(command=_show)
    diff = commands.add_parser("diff", help="say what sets two baselines apart: advice only")
    diff.add_argument("first", metavar="A")
    diff.add_argument("second", metavar="B")
    options.add_json(diff, "the findings")
    diff.set_defaults(command=_diff)
    noise = commands.add_parser(
        "calibrate", help="measure a build against itself: what can be seen on this machine"
    )
    noise.add_argument("--suite", default="pr", help="default: pr")
    noise.add_argument(
        "--candidate", default="reference", metavar="SPEC", help="the build (default: reference)"
    )
    noise.add_argument("--subject", dest="candidate", help=argparse.SUPPRESS)
    noise.add_argument("--pairs", type=int, default=PAIRS, metavar="N", help=f"default: {PAIRS}")
    noise.add_argument(
        "--runs", nargs="+", type=Path, metavar="DIR", help="runs of equal builds, instead of a new"
    )
    options.add_out(noise)
    options.add_json(noise, "the calibration")
    noise.set_defaults(command=_calibrate)
    spreads = commands.add_parser(
        "spreads", help="put runs together into a file of how much pairs vary: a prior"
    )
    spreads.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="DIR|FILE",
        help="folder of a run, a spread file, or nights (.jsonl), of which those of the newest"
        " load are taken",
    )
    spreads.add_argument(
        "--save", action="store_true", help="keep it in baselines/spreads/, for the suite to ship"
    )
    options.add_json(spreads, "the spreads")
    spreads.set_defaults(command=_spreads)
    listing = commands.add_parser("list", help="print the names of all baselines")
    options.add_json(listing, "the names")
    listing.set_defaults(command=_list)


def _save(args: argparse.Namespace) -> Exit:
    from pipeline.runs import baselines

    output.show(f"{baselines.save_baseline(args.dir, args.name)}\n")
    return Exit.NO_REGRESSION


def _show(args: argparse.Namespace) -> Exit:
    from pipeline.render.baseline import baseline_text
    from pipeline.runs import baselines
    from pipeline.storage import codec

    baseline = baselines.stored_baseline(args.name)
    output.show(codec.baseline_json(baseline) if args.json else baseline_text(baseline))
    return Exit.NO_REGRESSION


def _diff(args: argparse.Namespace) -> Exit:
    from pipeline.runs import baselines

    judge.print_findings(baselines.differences(args.first, args.second), is_json=args.json)
    return Exit.NO_REGRESSION


def _calibrate(args: argparse.Namespace) -> Exit:
    from pipeline.render.calibration import calibration_text
    from pipeline.runs import baselines

    found, path = baselines.calibrated(
        args, args.out or terminal.new_folder(f"calibrate-{args.suite}")
    )
    shown = path.read_text() if args.json else calibration_text(found, **terminal.shape())
    output.show(shown)
    log.log.info("kept in %s", path)
    return Exit.NO_REGRESSION


def _spreads(args: argparse.Namespace) -> Exit:
    from pipeline.render.spreads import spreads_text
    from pipeline.runs import baselines
    from pipeline.runs.history.spreads_file import newest_spreads
    from pipeline.storage import codec

    of_files = {path: newest_spreads(path) for path in args.paths if path.is_file()}
    folders = [path for path in args.paths if path not in of_files]
    found = baselines.spreads_of(folders, of_files)
    output.show(codec.spreads_json(found) if args.json else spreads_text(found))
    if args.save:
        log.log.info("kept in %s", baselines.save_spreads(found))
    return Exit.NO_REGRESSION


def _list(args: argparse.Namespace) -> Exit:
    from pipeline.runs import baselines
    from pipeline.storage import codec

    names = baselines.baseline_names()
    output.show(
        codec.list_json("baselines", names) if args.json else "".join(f"{n}\n" for n in names)
    )
    return Exit.NO_REGRESSION
