"""`doctor`: print what is missing on this machine, and how to get it."""

import argparse

from pipeline.commands import options
from pipeline.system import output
from pipeline.system.errors import Exit


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser("doctor", help="print what is missing and how to get it")
    parser.add_argument(
        "--environment", metavar="NAME|FILE", help="also check an environment, such as kind"
    )
    options.add_json(parser, "the checks")
    parser.set_defaults(command=_doctor)


def _doctor(args: argparse.Namespace) -> Exit:
    from pipeline.storage import codec
    from pipeline.toolchain import doctor

    checks = doctor.checks()
    if args.environment:
        from pipeline.environments.registry import read_environment

        checks += read_environment(args.environment).checks()
    output.print_stdout(codec.list_json("checks", checks) if args.json else doctor.render(checks))
    return Exit.NOT_STARTED if doctor.is_missing(checks) else Exit.NO_REGRESSION
