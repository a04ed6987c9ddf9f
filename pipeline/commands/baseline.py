"""`baseline`: store, show, compare and calibrate baselines."""

import argparse
from pathlib import Path

from pipeline.commands import judge, options
from pipeline.system import log, output, terminal
from pipeline.system.errors import Exit

PAIRS = 20
"""Default of `calibrate`: 20 pairs give a spread to within 16 %."""


def add(commands: "options.Commands") -> None:
    """Add the command with its own commands."""
    parser = commands.add_parser("baseline", help="store, show, compare and calibrate baselines")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    save = commands.add_parser("save", help="store the candidate of a run")
    save.add_argument("dir", type=Path, metavar="DIR", help="folder of the run")
    save.add_argument("name", metavar="NAME", help="name of the new baseline")
    save.add_argument(
        "--source",
        default="",
        metavar="URL@REVISION",
        help="repository and revision from which the binary can be built anywhere",
    )
    save.set_defaults(command=_save)
    show = commands.add_parser("show", help="print a baseline")
    show.add_argument("name", metavar="NAME", help="name of the baseline")
    options.add_json(show, "the baseline")
    show.set_defaults(command=_show)
    diff = commands.add_parser("diff", help="compare two baselines; nothing gates")
    diff.add_argument("first", metavar="A", help="name of a baseline")
    diff.add_argument("second", metavar="B", help="name of the baseline to compare with A")
    options.add_json(diff, "the findings")
    diff.set_defaults(command=_diff)
    noise = commands.add_parser(
        "calibrate", help="measure a build against itself: which changes this machine can detect"
    )
    noise.add_argument("--suite", default="pr", help="suite to measure (default: pr)")
    noise.add_argument(
        "--candidate",
        default="reference",
        metavar="SPEC",
        help="build in both arms (default: reference)",
    )
    noise.add_argument("--subject", dest="candidate", help=argparse.SUPPRESS)
    noise.add_argument(
        "--pairs",
        type=options.integer,
        default=PAIRS,
        metavar="N",
        help=f"number of pairs (default: {PAIRS})",
    )
    noise.add_argument(
        "--runs",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="folders of runs of equal builds, instead of a new run",
    )
    options.add_out(noise)
    options.add_json(noise, "the calibration")
    noise.set_defaults(command=_calibrate)
    spreads = commands.add_parser(
        "spreads", help="collect the variance of the pairs of earlier runs into a prior"
    )
    spreads.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="DIR|FILE",
        help="folder of a run, a spread file, or nightly records (.jsonl), of which those of the"
        " newest load are used",
    )
    spreads.add_argument(
        "--save",
        action="store_true",
        help="store them in baselines/spreads/, which is shipped with the suite",
    )
    options.add_json(spreads, "the spreads")
    spreads.set_defaults(command=_spreads)
    listing = commands.add_parser("list", help="print the names of all baselines")
    options.add_json(listing, "the names")
    listing.set_defaults(command=_list)


def _save(args: argparse.Namespace) -> Exit:
    from pipeline.runs import baselines

    output.print_stdout(f"{baselines.save_baseline(args.dir, args.name, args.source)}\n")
    return Exit.NO_REGRESSION


def _show(args: argparse.Namespace) -> Exit:
    from pipeline.render.baseline import baseline_text
    from pipeline.runs.request import store
    from pipeline.storage import codec

    baseline = store().load(args.name)
    output.print_stdout(codec.BASELINE.dumps(baseline) if args.json else baseline_text(baseline))
    return Exit.NO_REGRESSION


def _diff(args: argparse.Namespace) -> Exit:
    from pipeline.runs import baselines

    judge.print_findings(baselines.differences(args.first, args.second), is_json=args.json)
    return Exit.NO_REGRESSION


def _calibrate(args: argparse.Namespace) -> Exit:
    from pipeline.model.request import RunRequest
    from pipeline.render.baseline import calibration_text
    from pipeline.runs import baselines

    build = args.candidate
    request = RunRequest(suite=args.suite, candidate=build, against=build, pairs=args.pairs)
    out = args.out or terminal.new_folder(f"calibrate-{args.suite}")
    calibration, path = baselines.run_calibration(request, args.runs, out)
    text = calibration_text(calibration, **terminal.width_and_color())
    output.print_stdout(path.read_text() if args.json else text)
    log.log.info("stored in %s", path)
    return Exit.NO_REGRESSION


def _spreads(args: argparse.Namespace) -> Exit:
    from pipeline.render.baseline import spreads_text
    from pipeline.runs import baselines
    from pipeline.runs.history.spreads_file import newest_spreads
    from pipeline.storage import codec

    of_files = {path: newest_spreads(path) for path in args.paths if path.is_file()}
    folders = [path for path in args.paths if path not in of_files]
    spreads = baselines.spreads_of(folders, of_files)
    output.print_stdout(codec.SPREADS.dumps(spreads) if args.json else spreads_text(spreads))
    if args.save:
        log.log.info("stored in %s", baselines.save_spreads(spreads))
    return Exit.NO_REGRESSION


def _list(args: argparse.Namespace) -> Exit:
    from pipeline.runs.request import store
    from pipeline.storage import codec

    names = store().names()
    output.print_stdout(
        codec.list_json("baselines", names) if args.json else "".join(f"{n}\n" for n in names)
    )
    return Exit.NO_REGRESSION
