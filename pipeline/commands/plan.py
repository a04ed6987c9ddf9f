"""`plan`: print what would run; start nothing."""

import argparse

from pipeline.commands import options, run
from pipeline.system import output
from pipeline.system.errors import Exit


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser("plan", help="print what would run; start nothing")
    run.add_request(parser)
    options.add_json(parser, "the plan")
    parser.set_defaults(command=_plan)


def _plan(args: argparse.Namespace) -> Exit:
    from pipeline.render.plan import plan_text
    from pipeline.runs.request import preview
    from pipeline.storage import codec

    plan, need = preview(run.request(args))
    output.print_stdout(codec.plan_json(plan, need) if args.json else plan_text(plan, need))
    return Exit.NO_REGRESSION
