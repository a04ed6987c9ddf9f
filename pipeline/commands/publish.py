"""`publish`: report a run to GitHub."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline.commands import options
from pipeline.system import output
from pipeline.system.errors import Exit

TARGETS = ("summary", "check", "comment", "issue", "page")
AUTHOR = "github-actions[bot]"
API_VERSION = "2022-11-28"
IGNORE = "docs/**\n**/*.md"

_EPILOG = (
    "DIR is the folder of a run or an unpacked artifact. Only results.json is read, or error.txt of"
    " a run without results, or, for an issue, steps.json (the output of `history --json`). The"
    " verdict is decided again. Variables: GITHUB_TOKEN or the file GITHUB_TOKEN_FILE,"
    " GITHUB_REPOSITORY, GITHUB_API_URL, GITHUB_SERVER_URL, GITHUB_EVENT_PATH, GITHUB_SHA,"
    " GITHUB_RUN_ID, GITHUB_STEP_SUMMARY"
    " -- exit codes: 0 published, or nothing to publish; 2 unusable arguments or event;"
    " 8 a file cannot be written; 9 GitHub does not answer; 10 GitHub refuses"
)


def add(commands: "options.Commands") -> None:
    """Add the command."""
    _add_arguments(
        commands.add_parser(
            "publish", help="report a run to GitHub; repeating it is safe", epilog=_EPILOG
        )
    )


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Return the arguments of `publish` that were typed, and the defaults of the others."""
    parser = argparse.ArgumentParser(prog="publish")
    _add_arguments(parser)
    return parser.parse_args(words)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", type=Path, metavar="DIR")
    parser.add_argument(
        "--to",
        action="append",
        choices=TARGETS,
        required=True,
        help="where to publish; may be repeated",
    )
    parser.add_argument(
        "--comment",
        choices=("always", "changes", "never"),
        default="changes",
        help="when to create a comment; changes (default): when something regressed, improved or"
        " broke, or the pull request has the label milo-perf-comment. Existing ones are updated",
    )
    parser.add_argument("--start", action="store_true", help="only set the check to in progress")
    parser.add_argument(
        "--key", metavar="SUITE", help="key of comment, check and issue (default: the suite)"
    )
    parser.add_argument(
        "--suite",
        metavar="NAME|FILE",
        help="suite that decides, with its margins (default: the one that the results name)",
    )
    parser.add_argument(
        "--driver",
        choices=("k6", "clusterloader2"),
        default="",
        help="driver whose workloads alone were to be run (default: all of the suite)",
    )
    parser.add_argument(
        "--product",
        choices=("milo", "reference"),
        default="milo",
        help="product that was to be measured (default: milo)",
    )
    parser.add_argument(
        "--pairs",
        default="auto",
        metavar="N",
        help="number of pairs that was asked for (default: auto)",
    )
    parser.add_argument(
        "--fail-on",
        type=_fail_on,
        choices=("regression", "inconclusive", "never"),
        default="regression",
        help="verdict that turns the check red; inconclusive includes regression (default:"
        " regression)",
    )
    parser.add_argument(
        "--ignore",
        default=IGNORE,
        metavar="PATTERNS",
        help="git patterns of files that need no measurement, one per line (default: docs/** and"
        " **/*.md)",
    )
    for name, text in (
        ("--event", "event (default: GITHUB_EVENT_PATH)"),
        ("--acknowledged", "accepted regressions, as TOML or JSON"),
        ("--page", "HTML file to write for `--to page`"),
    ):
        parser.add_argument(name, type=Path, metavar="FILE", help=text)
    for name, metavar, text in (
        ("--report-url", "URL", "URL of that page for a browser"),
        ("--artifact-url", "URL", "URL of the archives with all data"),
        (
            "--fork-label",
            "LABEL",
            "label that a fork's pull request needs for its results to count",
        ),
        ("--build", "COMMAND", "command that builds a checkout, for the text"),
    ):
        parser.add_argument(name, default="", metavar=metavar, help=text)
    parser.add_argument(
        "--author",
        default=AUTHOR,
        metavar="LOGIN",
        help=f"author of our comments, checks and issues (default: {AUTHOR})",
    )
    parser.add_argument(
        "--api-version",
        default=API_VERSION,
        metavar="DATE",
        help=f"version of GitHub's API (default: {API_VERSION})",
    )
    parser.add_argument(
        "--pull-request",
        type=options.positive_integer,
        metavar="N",
        help="publish on this pull request and its commit, as GitHub says, not on an event's",
    )
    parser.add_argument("--dry-run", action="store_true", help="print everything, send nothing")
    parser.set_defaults(command=_publish, is_own=False, runner=None)


def _publish(args: argparse.Namespace) -> Exit:
    from pipeline.publish import targets

    for text in targets.publish(args):
        output.print_stdout(f"{text}\n")
    return Exit.NO_REGRESSION


def _fail_on(fail_on: str) -> str:
    """Return the value of --fail-on; `undecided` is an older name."""
    return "inconclusive" if fail_on == "undecided" else fail_on
