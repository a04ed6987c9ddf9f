"""Options that mean the same in every command that has them."""

import argparse
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.model.bounds import MAX_SECONDS, MAX_SEED_DIGITS
from pipeline.model.subject import Arm
from pipeline.render.registry import ONE_ARM
from pipeline.system.errors import ConfigError
from pipeline.system.sanitize import truncate

if TYPE_CHECKING:  # the types have no public names
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 (no public name)
    OptionsOwner = argparse._ActionsContainer  # noqa: SLF001 (no public name)

RESULTS_EPILOG = (
    "exit codes: 0 no regression, 3 regression, 4 inconclusive with --strict; others say what went"
    " wrong: `milo-perf --help`"
)


_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_SHOWN = 40  # characters of a wrong argument in a message


def add_json(parser: "OptionsOwner", what: str) -> None:
    """Add --json: print a machine-readable answer instead of text."""
    parser.add_argument("--json", action="store_true", help=f"print {what} as JSON")


def add_out(parser: argparse.ArgumentParser) -> None:
    """Add --out: the folder that the command creates."""
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder to create (default: out/ and the time)"
    )


def add_remote(parser: argparse.ArgumentParser) -> None:
    """Add --remote: the repository of --branch."""
    parser.add_argument("--remote", metavar="URL", help="repository of --branch (default: origin)")


def add_arm(parser: argparse.ArgumentParser) -> None:
    """Add --arm: the build of a format that holds one."""
    parser.add_argument(
        "--arm",
        choices=[arm.value for arm in Arm],
        help=f"build, for {', '.join(sorted(ONE_ARM))} (default: candidate)",
    )


def arm_of(args: argparse.Namespace) -> Arm:
    """Return the arm of the arguments `format` and `arm`.

    Raises:
        ConfigError: The format holds both arms.
    """
    if args.arm is not None and args.format not in ONE_ARM:
        raise ConfigError(
            f"--arm {args.arm}: the format {args.format} has both builds",
            hint=f"leave --arm out, or choose one of {', '.join(sorted(ONE_ARM))}",
        )
    return Arm(args.arm or Arm.CANDIDATE)


def add_seed(parser: "OptionsOwner") -> None:
    """Add --seed: the random seed."""
    parser.add_argument("--seed", type=seed, metavar="N", help="random seed")


def add_strict(parser: argparse.ArgumentParser) -> None:
    """Add --strict: an inconclusive answer is exit code 4."""
    parser.add_argument("--strict", action="store_true", help="exit with 4 when inconclusive")


def add_candidate(parser: argparse.ArgumentParser, *, alias: str = "") -> None:
    """Add --candidate, the build under test; help does not show its older name."""
    parser.add_argument(
        "--candidate",
        metavar="SPEC",
        help="build under test (default: the Milo binary in MILO_BIN, otherwise reference)",
    )
    if alias:
        parser.add_argument(alias, dest="candidate", help=argparse.SUPPRESS)


def add_environment(parser: argparse.ArgumentParser, default: str) -> None:
    """Add --environment and --profile: where and how the builds are started.

    Args:
        parser: Parser of a command.
        default: Default environment, in words.
    """
    parser.add_argument(
        "--environment",
        metavar="NAME|FILE",
        help=f"name of an environment, or a .toml file with [environment] (default: {default})",
    )
    parser.add_argument(
        "--profile",
        metavar="NAME",
        help="how Milo is started: minimal, production or production+quota (default: the"
        " environment's, which is minimal)",
    )


def add_build(parser: argparse.ArgumentParser) -> None:
    """Add --build: how a source is built."""
    parser.add_argument(
        "--build",
        metavar="COMMAND",
        help="command that builds a source:DIR@REVISION; {out} is the path of the binary",
    )


def add_resume(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --resume, with a help text, and --trust."""
    parser.add_argument("--resume", type=Path, metavar="DIR", help=what)
    parser.add_argument(
        "--trust",
        action="store_true",
        help="with --resume: execute what the folder says, even if somebody else started it",
    )


def parsers_of(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser, and the parsers of all commands below it."""
    yield parser
    for action in parser._actions:  # noqa: SLF001 (argparse has no public list of them)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 (nor a public type)
            for subparser in action.choices.values():
                yield from parsers_of(subparser)


def describe_commands(parser: argparse.ArgumentParser) -> None:
    """Begin the help of each command with the sentence that the list of commands has for it."""
    for action in parser._actions:  # noqa: SLF001 (argparse has no public list of them)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 (nor a public type)
            for entry in action._get_subactions():  # noqa: SLF001 (nor of its help texts)
                command, text = action.choices[entry.dest], entry.help or ""
                command.description = f"{text[:1].upper()}{text[1:]}."
                describe_commands(command)


def actions_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield every option and argument of a parser and of all commands below it."""
    for one in parsers_of(parser):
        yield from one._actions  # noqa: SLF001 (argparse has no public list of them)


def typed_options(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return the options that were typed, by name; a request has defaults for the others."""
    return {name: value for name in names if (value := getattr(args, name)) is not None}


def check_resume(args: argparse.Namespace, fixed: Iterable[str], hint: str) -> None:
    """Refuse --trust without --resume, and arguments that --resume restores from the folder.

    Raises:
        ConfigError: Naming the first such argument.
    """
    if args.resume is None:
        if args.trust:
            raise ConfigError("--trust needs --resume DIR")
        return
    for name in (*fixed, "out"):
        if getattr(args, name, None) is not None:
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{option} cannot be changed by --resume", hint=hint)


def duration_s(text: str) -> float:
    """Return the seconds of `90s`, `30m` or `1.5h`; argparse shows the error."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh])", text)
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not 0 < seconds <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(
            f"`{truncate(text, _SHOWN)}` is not a duration of up to 30 days; write 90s, 30m or 1.5h"
        )
    return seconds


def integer(text: str) -> int:
    """Return a whole number, which may be negative; argparse shows the error."""
    if re.fullmatch(r"-?[0-9]{1,9}", text):
        return int(text)
    raise argparse.ArgumentTypeError(f"`{truncate(text, _SHOWN)}` is not a whole number")


def positive_integer(text: str) -> int:
    """Return a whole number above zero; argparse shows the error."""
    if re.fullmatch(r"[0-9]{1,9}", text) and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"`{truncate(text, _SHOWN)}` is not a whole number above zero")


def whole_number(text: str) -> int:
    """Return a whole number, which may be zero; argparse shows the error."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        return int(text)
    raise argparse.ArgumentTypeError(f"`{truncate(text, _SHOWN)}` is not a whole number")


def seed(text: str) -> int:
    """Return a random seed, which k6 and JSON keep exactly; argparse shows the error."""
    if re.fullmatch(rf"-?[0-9]{{1,{MAX_SEED_DIGITS}}}", text):
        return int(text)
    raise argparse.ArgumentTypeError(
        f"`{truncate(text, _SHOWN)}` is not a whole number of up to {MAX_SEED_DIGITS} digits"
    )


def positive_number(text: str) -> float:
    """Return a number that is finite and above zero; argparse shows the error."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(
            f"`{truncate(text, _SHOWN)}` is not a finite number above zero"
        )
    return number
