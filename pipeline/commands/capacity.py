"""The command line of `capacity`."""

import argparse
from pathlib import Path

from pipeline.runs.capacity.request import DEFAULT_BUDGET
from pipeline.system.durations import duration_s, positive
from pipeline.system.errors import ConfigError

_EXITS = (
    "exit codes: 0 answered, also with an open interval; 1 crash, 2 bad arguments or configuration,"
    " 5 a subject did not start, 6 the load was not applied as asked, 7 nothing to resume,"
    " 130 interrupted"
)
_LIMITS = (
    "limits: p50|p90|p95|p99|mean(get|list|create|update|delete) < TIME; ready < TIME;"
    " memory[(server|manager|etcd)] < BYTES; db < BYTES; errors < PERCENT;"
    " files|goroutines|cpu(server|manager|etcd) < NUMBER"
    " -- units: ms, s, m; B, kB, MB, GB, KiB, MiB, GiB; %"
)


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command `capacity`, and return its parser."""
    parser = commands.add_parser(
        "capacity", help="find how much a build holds", epilog=f"{_LIMITS} -- {_EXITS}"
    )
    parser.add_argument("things", nargs="?", choices=("projects", "objects"), help="what to count")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="go on with a search")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="with --resume: go on with a folder that was not begun here",
    )
    parser.add_argument("--subject", metavar="SPEC", help="the build (default: as of `run`)")
    parser.add_argument(
        "--build", metavar="COMMAND", help="how to build a source, with {out} for the binary"
    )
    parser.add_argument(
        "--limit",
        action="append",
        metavar="LIMIT",
        help="what must hold, such as 'p99(get)<1s'; may be given several times",
    )
    parser.add_argument(
        "--budget",
        type=duration_s,
        metavar="TIME",
        help=f"for the search (default: {DEFAULT_BUDGET})",
    )
    parser.add_argument("--start", type=int, metavar="N", help="the first N (default: 5, or 100)")
    parser.add_argument(
        "--projects",
        type=int,
        metavar="N",
        help="in how many Projects the objects are (default: 3)",
    )
    parser.add_argument(
        "--object-bytes", type=int, metavar="N", help="data of each object (default: 1000)"
    )
    parser.add_argument(
        "--rate", type=positive, metavar="N", help="of the probing load, per second (default: 20)"
    )
    parser.add_argument(
        "--hold", type=duration_s, metavar="TIME", help="length of a hold (default: 20s)"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="of every random choice")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: out/ and the time")
    parser.add_argument("--json", action="store_true", help="print capacity.json, not the report")
    return parser


def check(args: argparse.Namespace) -> None:
    """Return if the arguments go together.

    Raises:
        ConfigError: They do not.
    """
    if args.resume is None:
        if args.trust:
            raise ConfigError("--trust is of --resume only")
        if args.things is None:
            raise ConfigError("capacity of what?", hint="`capacity projects` or `capacity objects`")
        return
    fixed = ("things", "subject", "limit", "start", "projects", "object_bytes", "rate", "hold")
    given = [name for name in (*fixed, "seed", "build", "out") if getattr(args, name) is not None]
    if given:
        name = "what is counted" if given[0] == "things" else f"--{given[0].replace('_', '-')}"
        raise ConfigError(
            f"{name} cannot be changed by --resume",
            hint="start a new search; only --budget may be given again",
        )
