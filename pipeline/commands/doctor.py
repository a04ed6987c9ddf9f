"""`doctor`: print what is missing on this machine, and how to get it."""

import argparse
from typing import TYPE_CHECKING

from pipeline.commands import options
from pipeline.system import output
from pipeline.system.errors import Exit

if TYPE_CHECKING:
    from pipeline.model.health import Check


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser("doctor", help="print what is missing and how to get it")
    parser.add_argument(
        "--environment", metavar="NAME|FILE", help="also check an environment, such as kind"
    )
    options.add_json(parser, "the checks")
    parser.set_defaults(command=_doctor)


def _doctor(args: argparse.Namespace) -> Exit:
    from pipeline.toolchain import doctor

    checks = doctor.checks()
    if args.environment:
        checks += _environment_checks(args.environment)
    output.print_stdout(doctor.to_json(checks) if args.json else doctor.render(checks))
    return Exit.NOT_STARTED if doctor.is_missing(checks) else Exit.NO_REGRESSION


def _environment_checks(name: str) -> "list[Check]":
    from pipeline.model.health import Check, Status

    try:
        from pipeline.environments.registry import read_environment
    except ModuleNotFoundError as error:  # the check `packages` says what to do
        found = f"cannot be checked before the Python package {error.name} is installed"
        return [Check(f"environment {name}", Status.MISSING, found)]
    return read_environment(name).checks()
