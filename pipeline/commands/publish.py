"""`publish`: tell GitHub what a run found."""

import argparse
from pathlib import Path

from pipeline.commands import options
from pipeline.system import output
from pipeline.system.errors import Exit

TARGETS = ("summary", "check", "comment", "issue", "page")
AUTHOR = "github-actions[bot]"
API_VERSION = "2022-11-28"
IGNORE = "docs/**\n**/*.md"

_EPILOG = (
    "DIR is the folder of a run or an unpacked artifact; of it only results.json is read, or"
    " error.txt where a run ended without results, and for an issue steps.json, which is what"
    " `history --json` prints. The verdict is decided again. From the environment: GITHUB_TOKEN or"
    " the file GITHUB_TOKEN_FILE, GITHUB_REPOSITORY, GITHUB_API_URL, GITHUB_SERVER_URL,"
    " GITHUB_EVENT_PATH, GITHUB_SHA, GITHUB_RUN_ID, GITHUB_STEP_SUMMARY"
    " -- exit codes: 0 published, or nothing to say; 2 arguments or event that cannot"
    " be used; 8 a file that cannot be written; 9 GitHub does not answer; 10 GitHub refuses"
)


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "publish", help="tell GitHub what a run found, again without harm", epilog=_EPILOG
    )
    parser.add_argument("dir", type=Path, metavar="DIR")
    parser.add_argument(
        "--to", action="append", choices=TARGETS, required=True, help="may be repeated"
    )
    parser.add_argument(
        "--comment",
        choices=("always", "changes", "never"),
        default="changes",
        help="changes (default): create one when something regressed, improved or broke, or the"
        " pull request has the label milo-perf-comment; update one that exists after every result",
    )
    parser.add_argument("--start", action="store_true", help="only say that a check is in progress")
    parser.add_argument(
        "--key", metavar="SUITE", help="names comment, check and issue; default: the suite"
    )
    parser.add_argument(
        "--suite",
        metavar="NAME|FILE",
        help="that was to be measured, whose margins count (default: ours of the name in the"
        " results)",
    )
    parser.add_argument(
        "--product",
        choices=("milo", "reference"),
        default="milo",
        help="that was to be measured (default: milo)",
    )
    parser.add_argument(
        "--pairs", default="auto", metavar="N", help="that were asked for (default: auto)"
    )
    parser.add_argument(
        "--fail-on",
        type=_by_its_name,
        choices=("regression", "inconclusive", "never"),
        default="regression",
        help="what turns the check red; `inconclusive`: that too (default: regression)",
    )
    parser.add_argument(
        "--ignore",
        default=IGNORE,
        metavar="PATTERNS",
        help="git patterns of files that need no measurement, one a line (default: docs/** and"
        " **/*.md)",
    )
    parser.add_argument(
        "--fork-label",
        default="",
        metavar="LABEL",
        help="that a pull request from a fork must have before its results count",
    )
    parser.add_argument(
        "--build", default="", metavar="COMMAND", help="that builds a checkout, to be recommended"
    )
    parser.add_argument("--event", type=Path, metavar="FILE", help="default: GITHUB_EVENT_PATH")
    parser.add_argument(
        "--acknowledged", type=Path, metavar="FILE", help="TOML or JSON: regressions accepted"
    )
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="HTML file to write for `--to page`"
    )
    parser.add_argument(
        "--report-url", default="", metavar="URL", help="URL at which a browser opens that page"
    )
    parser.add_argument(
        "--artifact-url", default="", metavar="URL", help="URL of the archives with all data"
    )
    parser.add_argument(
        "--author",
        default=AUTHOR,
        metavar="LOGIN",
        help=f"whose comments, checks and issues are ours (default: {AUTHOR})",
    )
    parser.add_argument(
        "--api-version", default=API_VERSION, metavar="DATE", help=f"default: {API_VERSION}"
    )
    parser.add_argument("--dry-run", action="store_true", help="print it all, send nothing")
    parser.set_defaults(command=_publish)


def _publish(args: argparse.Namespace) -> Exit:
    from pipeline.publish import stages

    for text in stages.publish(args):
        output.print_stdout(f"{text}\n")
    return Exit.NO_REGRESSION


def _by_its_name(fail_on: str) -> str:
    """Return what turns the check red, also where it is called as in the first version."""
    return "inconclusive" if fail_on == "undecided" else fail_on
