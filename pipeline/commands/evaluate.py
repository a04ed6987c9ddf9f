"""The command line of `evaluate`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.system.errors import ConfigError

if TYPE_CHECKING:  # the type of what argparse gives us has no public name
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 (it has no public name)

_EXITS = (
    "exit codes: 0 evaluated, 1 crash, 2 bad arguments or configuration, 5 the build did not start,"
    " 6 a driver is missing or its load could not be applied, 130 interrupted"
)
_FIXED = ("candidate", "build", "suite", "repetitions", "seed", "out")


def add(commands: "Commands") -> argparse.ArgumentParser:
    """Add the command, and return its parser."""
    parser = commands.add_parser(
        "evaluate", help="try the same workloads with every driver", epilog=_EXITS
    )
    parser.add_argument(
        "--candidate",
        metavar="SPEC",
        help="the build (default: the Milo binary of MILO_BIN, otherwise reference)",
    )
    parser.add_argument("--build", metavar="COMMAND", help="how a source is built; see `run`")
    parser.add_argument("--suite", help="each workload once a driver (default: drivers)")
    parser.add_argument("--repetitions", type=int, metavar="N", help="launches (default: 5)")
    parser.add_argument("--seed", type=int, metavar="N", help="of every random choice")
    parser.add_argument(
        "--faults",
        type=int,
        metavar="PAIRS",
        help="put each known fault into `reference` too, and see which driver's workloads are red;"
        " pairs of each (default: none; a fault takes minutes)",
    )
    parser.add_argument("--document", type=Path, metavar="FILE", help="write the answer there too")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: out/ and the time")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="go on with an evaluation")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="with --resume: go on with a folder that was not begun here",
    )
    parser.add_argument("--json", action="store_true", help="print evaluation.json, not the report")
    return parser


def check(args: argparse.Namespace) -> None:
    """Return if the arguments go together.

    Raises:
        ConfigError: They do not.
    """
    if args.trust and args.resume is None:
        raise ConfigError("--trust is of --resume only")
    given = [name for name in _FIXED if getattr(args, name) is not None]
    if args.resume is not None and given:
        raise ConfigError(f"--{given[0]} cannot be changed by --resume", hint="start anew")
    for name, least in (("repetitions", 2), ("faults", 3)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise ConfigError(f"--{name} {value}: fewer than {least} say nothing")
