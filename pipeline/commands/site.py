"""`site`: build static pages of nights."""

import argparse
from pathlib import Path

from pipeline.commands import options
from pipeline.system import output
from pipeline.system.errors import Exit

_EPILOG = (
    "PLACE: a folder with files of nightly records (.jsonl) or with folders of runs, or a branch of"
    " --remote -- exit codes: 0 built, 2 --out is not a site, 7 a history that is missing,"
    " unreadable or was rewritten, 8 a file cannot be written, 9 the repository does not answer"
)


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "site", help="build static pages of the nights of a history", epilog=_EPILOG
    )
    parser.add_argument(
        "--history",
        nargs="+",
        required=True,
        metavar="PLACE",
        help="folder or branch with the history of nights",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the site; one that exists is brought up to date",
    )
    parser.add_argument(
        "--remote", default="origin", metavar="URL", help="repository of branches (default: origin)"
    )
    parser.add_argument(
        "--source",
        type=Path,
        metavar="DIR",
        help="clone of Milo, for links to commits and marks at releases",
    )
    parser.add_argument(
        "--acknowledged", type=Path, metavar="FILE", help="explained change points, as TOML or JSON"
    )
    parser.set_defaults(command=_site)


def _site(args: argparse.Namespace) -> Exit:
    from pipeline.render.numbers import count
    from pipeline.runs.site.build import SiteRequest, build

    done = build(
        SiteRequest(tuple(args.history), args.out, args.remote, args.source, args.acknowledged)
    )
    output.print_stdout(
        f"{args.out / 'index.html'}: {count(done.files, 'file')}, {done.written} written,"
        f" {done.removed} removed, {done.size / 1e6:.1f} MB\n"
    )
    return Exit.NO_REGRESSION
