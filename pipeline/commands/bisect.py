"""`bisect`: find the commit that changed a metric."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands import options, run
from pipeline.commands.options import duration_s
from pipeline.system import output, terminal
from pipeline.system.errors import ConfigError, Exit

if TYPE_CHECKING:
    from pipeline.model.bisect import Bisection
    from pipeline.model.history import JudgedSeries
    from pipeline.model.request import BisectRequest

_EXITS = (
    "bisect: a clone and two revisions, built by --build; or --from DIR, a run of"
    " source:DIR@REVISION builds -- exit codes: 0 found, 4 not decided, or the ends do not differ;"
    " others say what went wrong: `milo-perf --help`"
)
_TYPED = ("good", "bad", "metric")
_HISTORY = ("from_history", "branch", "remote", "acknowledged")


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "bisect", help="find the commit that changed a metric", epilog=_EXITS
    )
    parser.add_argument(
        "repository",
        nargs="?",
        metavar="REPO",
        help="clone; settings of its builds follow a `?`, as in a SPEC",
    )
    parser.add_argument("--good", metavar="REV", help="commit before the change")
    parser.add_argument("--bad", metavar="REV", help="commit with the change")
    parser.add_argument(
        "--metric",
        metavar="WORKLOAD/METRIC",
        help="metric to search (default: the one that stands out most in a run of both ends)",
    )
    parser.add_argument(
        "--from",
        dest="from_run",
        type=Path,
        metavar="DIR",
        help="take repository, range, metric and suite from a run",
    )
    parser.add_argument(
        "--from-history",
        type=Path,
        metavar="FILE.jsonl",
        help="take range and metric from the newest unacknowledged regression of a history",
    )
    parser.add_argument("--branch", metavar="NAME", help="branch with FILE.jsonl")
    options.add_remote(parser)
    parser.add_argument(
        "--acknowledged", type=Path, metavar="FILE", help="explained change points of the history"
    )
    parser.add_argument(
        "--known",
        type=Path,
        metavar="DIR",
        help="folder with bisect.json of earlier searches, which are not made again",
    )
    run.add_measurement(parser, has_pairs=False)
    parser.add_argument(
        "--budget",
        type=duration_s,
        metavar="TIME",
        help="begin no pair that would end later than this, such as 2h",
    )
    options.add_resume(parser, "continue a search, in a new budget")
    parser.add_argument(
        "--rest",
        action="store_true",
        help="with --resume: look for one more commit, if the first explains only a part",
    )
    options.add_out(parser)
    options.add_json(parser, "the search")
    parser.set_defaults(command=_bisect)


def _bisect(args: argparse.Namespace) -> Exit:
    is_from_run = args.from_run is not None
    if args.resume is None and is_from_run and args.trust:
        args.trust, is_trusted = False, True
    else:
        is_trusted = args.trust
    fixed = ("repository", *_TYPED, "from_run", "known", *_HISTORY, *run.MEASUREMENT_OPTIONS)
    options.check_resume(args, fixed, "start a new search; only --budget may be given again")
    if args.rest and args.resume is None:
        raise ConfigError("--rest needs --resume DIR")
    from pipeline.model.bisect import Bisection
    from pipeline.render.bisect import bisect_text
    from pipeline.runs.bisect import run as bisect_run
    from pipeline.storage import codec

    if args.resume is not None:
        out = args.resume
        found = bisect_run.resume(out, args.budget, rest=args.rest, is_trusted=is_trusted)
    else:
        out = args.out or terminal.new_folder("bisect")
        asked = _request(args, is_trusted=is_trusted)
        if isinstance(asked, Bisection):
            found = bisect_run.keep_earlier(asked, out)
        else:
            found = bisect_run.run(asked, out)
    bisect_run.write(found, out)
    output.print_stdout(codec.BISECT.dumps(found) if args.json else bisect_text(found))
    return bisect_run.exit_code(found)


def _request(args: argparse.Namespace, *, is_trusted: bool) -> "BisectRequest | Bisection":
    """Return what the arguments ask for, or the earlier search that has the answer."""
    from pipeline.model.request import BisectRequest
    from pipeline.runs.bisect import known
    from pipeline.runs.bisect import request as bisect_request

    is_source_given = [args.from_run is not None, args.from_history is not None]
    if all(is_source_given):
        raise ConfigError("--from and --from-history cannot be combined")
    measurement = replace(run.measurement(args), seed=None)
    if args.suite is None and args.from_run is not None:
        measurement = replace(measurement, suite="")
    asked = BisectRequest(
        repository=args.repository or "",
        good=args.good or "",
        bad=args.bad or "",
        metric=args.metric or "",
        run=measurement,
        budget_s=args.budget,
        seed=args.seed,
    )
    searches = known.read_searches(args.known) if args.known is not None else ()
    if args.from_run is not None:
        return bisect_request.from_run(args.from_run, asked, searches, is_trusted=is_trusted)
    if not asked.repository:
        raise ConfigError(
            "bisect which repository?",
            hint="`milo-perf bisect REPO --good REV --bad REV --build COMMAND`, or --from DIR",
        )
    if args.from_history is not None:
        return bisect_request.from_history(_histories(args), asked, searches)
    if any(getattr(args, name) is not None for name in _HISTORY):
        raise ConfigError("--branch, --remote and --acknowledged need --from-history FILE.jsonl")
    return bisect_request.from_ends(asked, searches)


def _histories(args: argparse.Namespace) -> "list[JudgedSeries]":
    from pipeline.runs.history.run import HistoryRequest, read_history
    from pipeline.runs.history.source import Meaning

    return read_history(
        HistoryRequest(
            args.from_history,
            Meaning(),
            branch=args.branch,
            remote=args.remote,
            acknowledged=args.acknowledged,
        )
    )
