"""`judge`: verdicts on a table of measurements that somebody else made."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands import options
from pipeline.render.registry import EXPORTERS
from pipeline.system import output, terminal
from pipeline.system.errors import Exit

if TYPE_CHECKING:  # these would load what `--help` does not need
    from collections.abc import Sequence

    from pipeline.model.report import Finding

_EPILOG = (
    "FILE.csv, or - for standard input, has the columns pair,arm,metric,value and optionally"
    " unit,better,family,floor,margin,tolerance,scale,of."
    " arm: baseline or candidate. Values without a pair are compared as two groups."
    " family: metrics that are corrected together. margin: smallest change that can be a"
    " regression. tolerance: worsening that a pass must exclude (default: margin)."
    " scale: ratio or difference. of: denominator of a value that is a proportion"
    " -- exit codes: 0 no regression, 2 an unusable file, 3 regression, 4 inconclusive (--strict)"
)


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser("judge", help="judge a CSV file of measurements", epilog=_EPILOG)
    parser.add_argument("file", type=Path, metavar="FILE.csv", help="measurements; see below")
    how = parser.add_mutually_exclusive_group()
    options.add_json(how, "the findings")
    how.add_argument("--format", choices=("text", *EXPORTERS), default="text", help="default: text")
    options.add_arm(parser)
    options.add_strict(parser)
    parser.add_argument(
        "--pairs",
        choices=("all", "auto"),
        default="all",
        help="take all pairs (default), or only those until the first decisive interim analysis, as"
        " a run does",
    )
    parser.add_argument(
        "--same-machine",
        action="store_true",
        help="values without pairs come from one machine at one time",
    )
    parser.set_defaults(command=_judge)


def _judge(args: argparse.Namespace) -> Exit:
    from pipeline.judge import constants, policy
    from pipeline.model.report import Verdict
    from pipeline.storage import measurements_csv

    arm = options.arm_of(args)
    values = measurements_csv.read(args.file)
    findings = policy.judge_table(
        values,
        stops_early=args.pairs == "auto",
        between_run_sd=0.0 if args.same_machine else constants.BETWEEN_RUN_SD,
    )
    if args.format in EXPORTERS:
        from pipeline.render.exports import of_table

        output.print_stdout(EXPORTERS[args.format](of_table(values, findings, arm)))
    else:
        print_findings(findings, is_json=args.json)
    verdicts = {finding.verdict for finding in findings}
    if Verdict.REGRESSED in verdicts:
        return Exit.REGRESSION
    is_open = args.strict and Verdict.INCONCLUSIVE in verdicts
    return Exit.INCONCLUSIVE if is_open else Exit.NO_REGRESSION


def print_findings(findings: "Sequence[Finding]", *, is_json: bool) -> None:
    """Print findings as JSON, or as text in the shape of the terminal."""
    if is_json:
        from pipeline.storage import codec

        output.print_stdout(codec.judged_json(findings))
    else:
        from pipeline.render.text import findings_text

        output.print_stdout(findings_text(findings, **terminal.width_and_color()))
