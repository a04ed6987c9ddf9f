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
    parser.add_argument("dir", type=Path, metavar="DIR")
    parser.add_argument("--format", choices=RENDERERS, default="text")
    parser.set_defaults(command=_render)


def _render(args: argparse.Namespace) -> Exit:
    from pipeline.runs import reports

    report = reports.compare(args.dir)
    output.print_stdout(reports.render(report, args.dir, args.format, **terminal.width_and_color()))
    return Exit.NO_REGRESSION
