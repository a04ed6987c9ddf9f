"""`releases`: measure each release of a product against the one before."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands import options, run
from pipeline.commands.options import duration_s
from pipeline.system import output, terminal
from pipeline.system.errors import ConfigError, Exit

if TYPE_CHECKING:
    from pipeline.model.request import ReleasesRequest

_EXITS = (
    "releases: a clone and a range of its tags, both ends included, built by --build; or NAME=SPEC"
    " for each build -- exit codes: 0 measured, also with regressions; with --strict, 3 if the last"
    " release regressed, 4 if releases are unmeasured or the last is inconclusive; others say what"
    " went wrong: `milo-perf --help`"
)


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "releases", help="measure each release against the one before", epilog=_EXITS
    )
    parser.add_argument(
        "releases",
        nargs="*",
        metavar="REPO RANGE | NAME=SPEC",
        help="clone and range of tags, such as ./milo v0.29.3..v0.32.5; or builds in their order,"
        " such as v1=binary:PATH",
    )
    run.add_measurement(parser)
    parser.add_argument(
        "--budget",
        type=duration_s,
        metavar="TIME",
        help="begin no step that would end later than this, such as 75m",
    )
    options.add_resume(parser, "measure what an earlier command left, in a new budget")
    parser.add_argument(
        "--retry",
        action="store_true",
        help="with --resume: measure again from the first release that failed",
    )
    parser.add_argument(
        "--push",
        type=Path,
        metavar="DIR",
        help="measure nothing: push the releases in a folder to --branch, for `site`",
    )
    parser.add_argument("--branch", metavar="NAME", help="with --push: branch of a git repository")
    options.add_remote(parser)
    options.add_out(parser)
    options.add_json(parser, "the numbers")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with 3 if the last release regressed, with 4 if the answer is incomplete",
    )
    parser.set_defaults(command=_releases)


def _releases(args: argparse.Namespace) -> Exit:
    fixed = (*run.MEASUREMENT_OPTIONS, "pairs")
    options.check_resume(args, fixed, "start a new measurement; only --budget may be given again")
    if args.retry and args.resume is None:
        raise ConfigError("--retry needs --resume DIR")
    if args.resume is not None and args.releases:
        raise ConfigError("releases cannot be changed by --resume", hint="start a new measurement")
    if args.push is not None:
        return _push(args)
    if args.branch is not None or args.remote is not None:
        raise ConfigError("--branch and --remote need --push DIR")
    from pipeline.render.releases import releases_text
    from pipeline.runs.releases import run as releases_run
    from pipeline.storage import codec

    if args.resume is not None:
        out = args.resume
        series = releases_run.resume(out, args.budget, retry=args.retry, is_trusted=args.trust)
    else:
        out = args.out or terminal.new_folder("releases")
        series = releases_run.run(_request(args), out)
    releases_run.write(series, out)
    output.print_stdout(codec.RELEASES.dumps(series) if args.json else releases_text(series))
    return releases_run.exit_code(series, strict=args.strict)


def _push(args: argparse.Namespace) -> Exit:
    """Push what an earlier command measured."""
    if args.releases or args.resume is not None:
        raise ConfigError("--push measures nothing: leave releases and --resume out")
    if args.branch is None:
        raise ConfigError("--push needs --branch NAME")
    from pipeline.runs.releases.push import push

    is_new = push(args.push, args.remote or "origin", args.branch)
    said = "pushed to" if is_new else "already on"
    output.print_stdout(f"{args.push}: its releases are {said} the branch {args.branch}\n")
    return Exit.NO_REGRESSION


def _request(args: argparse.Namespace) -> "ReleasesRequest":
    from pipeline.model.request import ReleasesRequest
    from pipeline.runs.releases.request import releases_of

    measurement = replace(run.measurement(args), seed=None)
    return ReleasesRequest(releases_of(args.releases), measurement, args.budget, args.seed)
