"""`render`: print a report of the results in a folder."""

import argparse
from pathlib import Path

from pipeline.commands import options
from pipeline.render.registry import RENDERERS
from pipeline.system import output, terminal
from pipeline.system.errors import Exit


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser("render", help="print a report of the results in a folder")
    parser.add_argument("dir", type=Path, metavar="DIR", help="folder of the run")
    parser.add_argument("--format", choices=RENDERERS, default="text", help="default: text")
    options.add_arm(parser)
    parser.set_defaults(command=_render)


def _render(args: argparse.Namespace) -> Exit:
    from pipeline.runs import reports

    arm = options.arm_of(args)
    report = reports.compare(args.dir)
    text = reports.render(report, args.dir, args.format, arm=arm, **terminal.width_and_color())
    output.print_stdout(text)
    return Exit.NO_REGRESSION
