"""The arguments of `run` and `plan`: what to compare with what, and how."""

import argparse
import os
from typing import TYPE_CHECKING

from pipeline.system.durations import duration_s

if TYPE_CHECKING:  # it would load what `--help` does not need
    from pipeline.runs.request import Wish

AUTO = "auto"
"""Of --pairs: as many as the answer needs."""

NAMES = (
    "suite",
    "candidate",
    "against",
    "baseline",
    "pairs",
    "interleave",
    "environment",
    "keep",
    "load_pods",
    "seed",
    "build",
    "budget",
)
"""Of all of them; but for `pairs`, `run --resume` takes them from the run itself."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add them to the parser of a command."""
    parser.add_argument("--suite", help="smoke, pr, or a .toml file (default: pr)")
    parser.add_argument(
        "--candidate",
        metavar="SPEC",
        help="the build in question (default: the Milo binary of MILO_BIN, otherwise reference)",
    )
    against = parser.add_mutually_exclusive_group()
    against.add_argument("--against", metavar="SPEC", help="the build to compare it with")
    against.add_argument(
        "--baseline",
        metavar="NAME",
        help="or a stored baseline (default: reference-SUITE; of Milo, MILO_BASELINE_BIN or the"
        " newest milo-VERSION-SUITE)",
    )
    parser.add_argument(
        "--build",
        metavar="COMMAND",
        help="how a source:DIR@REVISION is built; {out} is where the binary goes",
    )
    parser.add_argument(
        "--pairs",
        type=_pairs,
        metavar="N|auto",
        help="a fixed number, or as many as the answer needs, up to the suite's (default: auto);"
        " with --resume, how many more than the run has, at least up to its next planned look",
    )
    parser.add_argument(
        "--budget",
        type=duration_s,
        metavar="TIME",
        help="start no pair that would end later than this, such as 20m",
    )
    parser.add_argument(
        "--interleave",
        choices=("request", "trial"),
        help="both builds at once, request by request (default), or one after the other",
    )
    parser.add_argument(
        "--environment",
        metavar="NAME|FILE",
        help="where: local, kind, remote, or a .toml file that says (default: the suite's)",
    )
    parser.add_argument(
        "--keep",
        action="store_const",
        const=True,
        help="do not delete the kind cluster that was made for the run",
    )
    parser.add_argument(
        "--load-pods",
        type=int,
        metavar="N",
        help="send the load from N pods of the cluster, instead of from this machine",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="of every random choice")


def wish(args: argparse.Namespace) -> "Wish":
    """Return what was asked for."""
    from pipeline.model.results import Interleave
    from pipeline.runs.request import Wish

    return Wish(
        suite=args.suite or "pr",
        candidate=args.candidate or _default_candidate(),
        against=args.against or "",
        baseline=args.baseline or "",
        pairs=None if args.pairs == AUTO else args.pairs,
        interleave=Interleave(args.interleave or "request"),
        seed=args.seed,
        environment=args.environment or "",
        keep=bool(args.keep),
        load_pods=args.load_pods,
        build=args.build or "",
        budget_s=args.budget,
    )


def _pairs(written: str) -> int | str:
    try:
        return written if written == AUTO else int(written)
    except ValueError:
        raise argparse.ArgumentTypeError(f"give a number or `{AUTO}`, not `{written}`") from None


def _default_candidate() -> str:
    binary = os.environ.get("MILO_BIN")
    return f"binary:{binary}" if binary else "reference"
