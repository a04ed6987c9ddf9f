"""`cluster`: create, list, delete and sweep clusters on Google Cloud."""

import argparse
from pathlib import Path

from pipeline.commands import options
from pipeline.environments.gke.values import OURS, USUAL
from pipeline.system import output
from pipeline.system.durations import duration_s, positive
from pipeline.system.errors import ConfigError, Exit

_EXITS = (
    "exit codes: 0 done, or nothing to do; 2 arguments, permissions, or a budget that does not"
    " allow it; 5 Google or the cluster refuses, a cluster did not come up, or something is older"
    " than twice its limit; 9 Google or the cluster does not answer"
)


def add(commands: "options.Commands") -> None:
    """Add the command with its own commands."""
    parser = commands.add_parser(
        "cluster", help="make a cluster on Google Cloud for a night; sweep up what is left behind"
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    _add_create(verbs.add_parser("create", help="make one, within a budget", epilog=_EXITS))

    delete = verbs.add_parser("delete", help="delete what is of one run", epilog=_EXITS)
    delete.add_argument("--run", required=True, metavar="NAME", help="as it was created")
    delete.add_argument("--project", required=True, metavar="ID")
    _add_common(delete)

    listed = verbs.add_parser("list", help="print what is ours; delete nothing", epilog=_EXITS)
    _add_places(listed)
    _add_common(listed)

    sweep = verbs.add_parser("sweep", help="delete what has expired", epilog=_EXITS)
    _add_places(sweep)
    _add_common(sweep)
    sweep.add_argument(
        "--delete", action="store_true", help="really; without it only what would be is printed"
    )
    parser.set_defaults(command=_cluster)


def _cluster(args: argparse.Namespace) -> Exit:
    if args.verb in ("list", "sweep") and not args.project and not args.context:
        raise ConfigError(
            f"cluster {args.verb}: where?", hint="--project ID, --context NAME, or both"
        )
    from pipeline.environments.gke import actions

    for text in actions.carried_out(args):
        output.show(text)
    return Exit.NO_REGRESSION


def _add_create(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", required=True, metavar="ID")
    parser.add_argument(
        "--location",
        required=True,
        metavar="ZONE",
        help="such as us-central1-a; a region has every node in each of its zones",
    )
    parser.add_argument("--run", required=True, metavar="NAME", help=f"the name is {OURS}-NAME")
    parser.add_argument(
        "--account", required=True, metavar="EMAIL", help="service account of its nodes"
    )
    parser.add_argument(
        "--budget-usd", required=True, type=positive, metavar="N", help="refused above it"
    )
    parser.add_argument(
        "--expires-in", type=duration_s, default=3 * 3600.0, metavar="TIME", help="default: 3h"
    )
    for pool in USUAL:
        parser.add_argument(
            f"--{pool.name}-type",
            default=pool.machine_type,
            metavar="TYPE",
            help=f"machines of the {pool.name}{', spot' if pool.is_spot else ''}"
            f" (default: {pool.machine_type})",
        )
        parser.add_argument(
            f"--{pool.name}-nodes",
            type=_count,
            default=pool.nodes,
            metavar="N",
            help=f"how many (default: {pool.nodes})",
        )
    parser.add_argument("--network", default="default", metavar="NAME", help="default: default")
    parser.add_argument("--subnetwork", default="", metavar="NAME", help="default: Google's choice")
    parser.add_argument("--channel", choices=("rapid", "regular", "stable"), default="regular")
    _add_prices(parser)
    parser.add_argument("--dry-run", action="store_true", help="print what it costs; make nothing")
    options.add_json(parser, "the answer")


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", default="", metavar="ID", help="the only one that is touched")
    parser.add_argument("--context", default="", metavar="NAME", help="of the kubeconfig")
    parser.add_argument(
        "--prefix", default=OURS, metavar="NAME", help=f"of namespaces (default: {OURS})"
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--account", default="", metavar="EMAIL", help="only clusters whose nodes are this"
    )
    _add_prices(parser)
    options.add_json(parser, "the answer")


def _add_prices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prices", type=Path, metavar="FILE", help="TOML, put over our prices")


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 100:
        raise argparse.ArgumentTypeError(f"`{text}` is no number from 1 to 100")
    return int(text)
