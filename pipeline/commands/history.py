"""`history`: find the change points in a series of measurements."""

import argparse
import math
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands import options
from pipeline.system import output, terminal
from pipeline.system.errors import Exit
from pipeline.system.sanitize import truncate

if TYPE_CHECKING:
    from pipeline.judge.history import HistoryRule
    from pipeline.runs.history.run import HistoryRequest

_EPILOG = (
    "FILE.csv, or - for standard input, has the columns time,value and optionally"
    " series,commit,scale,better. --append writes FILE.jsonl: one line per night, with each metric"
    " relative to the reference build of the same run"
    " -- exit codes: 0 done, 2 an unusable file, 3 an unexplained regression with --alarm,"
    " 6 a run without a valid pair, 7 an unreadable run or .jsonl file, a branch that lost records,"
    " or --fresh, 8 a file cannot be written, 9 the repository does not answer, 10 a refused push"
)

_MOST_RATIO = 100.0
"""Largest change that --least can ask for, as a ratio: a larger one finds nothing."""

_MOST_HOURS = 366 * 24.0
_SHOWN = 40  # characters of a wrong argument in a message


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "history", help="find change points in a series of measurements", epilog=_EPILOG
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument(
        "--append", type=Path, metavar="DIR", help="first add the run in a folder to FILE.jsonl"
    )
    parser.add_argument(
        "--suite",
        metavar="NAME|FILE",
        help="with --append: suite of the run; it says which direction of each metric is better",
    )
    parser.add_argument(
        "--product",
        choices=("milo", "reference"),
        default="milo",
        help="with --suite: product that was measured (default: milo)",
    )
    parser.add_argument(
        "--branch",
        metavar="NAME",
        help="FILE.jsonl is on this branch of a git repository; --append pushes to it",
    )
    parser.add_argument(
        "--keep-results",
        action="store_true",
        help="with --append and --branch: also push the run's results.json, for `site`",
    )
    parser.add_argument(
        "--keep-search",
        type=Path,
        metavar="DIR",
        help="with --branch: also push the commit that `bisect` found, for its option --known",
    )
    options.add_remote(parser)
    parser.add_argument(
        "--fresh",
        dest="fresh_hours",
        type=_hours,
        metavar="HOURS",
        help="exit with 7 if the newest record is older",
    )
    parser.add_argument(
        "--acknowledged", type=Path, metavar="FILE", help="explained change points, as TOML or JSON"
    )
    parser.add_argument(
        "--scale",
        choices=("ratio", "difference"),
        default="ratio",
        help="changes as ratios (default), or as differences for values that may be 0 or less",
    )
    parser.add_argument(
        "--better",
        choices=("lower", "higher"),
        default="lower",
        help="direction of an improvement (default: lower)",
    )
    parser.add_argument(
        "--least",
        dest="rule",
        type=least_rule,
        metavar="SIZE",
        help="smallest change that matters: 2.5%% (default) or 0.025; of amounts, one without %%"
        " (default: every change)",
    )
    options.add_json(parser, "the change points")
    parser.add_argument(
        "--html",
        type=Path,
        metavar="OUT.html",
        help="also write a page with a chart of every series",
    )
    parser.add_argument(
        "--alarm", action="store_true", help="exit with 3 at an unexplained regression"
    )
    parser.set_defaults(command=_history)


def _history(args: argparse.Namespace) -> Exit:
    from pipeline.render.history import history_text
    from pipeline.runs.history import history_json, run

    request = _request(args)
    series = run.read_history(request)
    output.print_stdout(
        history_json.history_json(series)
        if args.json
        else history_text(series, **terminal.width_and_color())
    )
    exit_code = run.exit_code(series, alarm=args.alarm)
    if args.html is not None and not run.write_page(series, args.html, request.rule):
        return exit_code or Exit.STORAGE
    return exit_code


def _hours(text: str) -> float:
    """Return the hours of --fresh; argparse shows the error."""
    hours = options.positive_number(text)
    if hours > _MOST_HOURS:
        raise argparse.ArgumentTypeError(f"`{truncate(text, _SHOWN)}` is more than a year")
    return hours


def least_rule(text: str) -> "HistoryRule":
    """Return the rule that `2%` or `0.02` asks for; argparse shows the error."""
    from pipeline.judge.history import HistoryRule

    is_percent = text.endswith("%")
    try:
        value = float(text.removesuffix("%")) / (100 if is_percent else 1)
    except ValueError:
        value = math.nan
    if not 0 <= value <= (_MOST_RATIO if is_percent else sys.float_info.max):
        raise argparse.ArgumentTypeError(
            f"`{truncate(text, _SHOWN)}` is not a size up to {_MOST_RATIO:,.0%}; write 2% or 0.02"
        )
    return HistoryRule(value, is_percent=is_percent)


def _request(args: argparse.Namespace) -> "HistoryRequest":
    """Return what the arguments ask for."""
    from pipeline.judge.history import HistoryRule
    from pipeline.model.metric import Better, Scale
    from pipeline.model.subject import Product
    from pipeline.runs.history.run import HistoryRequest
    from pipeline.runs.history.source import Meaning

    args.rule = args.rule or HistoryRule()
    args.product = Product(args.product)
    args.meaning = Meaning(Scale(args.scale), Better(args.better))
    return HistoryRequest(
        **{field.name: getattr(args, field.name) for field in fields(HistoryRequest)}
    )
