"""`cluster`: create, list, delete and sweep clusters on Google Cloud."""

import argparse
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands import options
from pipeline.commands.options import duration_s, positive_number
from pipeline.environments.gke.resources import DEFAULT_POOLS, OURS
from pipeline.system import output
from pipeline.system.errors import ConfigError, Exit, LaunchError
from pipeline.system.log import log

if TYPE_CHECKING:
    from pipeline.environments.gke.sweep import CloudProject, Decision, ResourceScope, SweepPolicy

POLL_S = 10.0
"""Seconds between two polls of what is being created or deleted."""

_EXITS = (
    "exit codes: 0 done, or nothing to do; 2 arguments, permissions, or a budget that does not"
    " allow it; 5 Google or the cluster refuses, a cluster did not come up, or something is older"
    " than twice its limit; 9 Google or the cluster does not answer"
)

_PROJECT = "Google Cloud project"


def add(commands: "options.Commands") -> None:
    """Add the command with its own commands."""
    parser = commands.add_parser(
        "cluster", help="create, list, delete and sweep clusters on Google Cloud"
    )
    verbs = parser.add_subparsers(title="commands", dest="verb", metavar="COMMAND", required=True)
    create = verbs.add_parser("create", help="create a cluster within a budget", epilog=_EXITS)
    _add_create(create)
    create.set_defaults(command=_create)

    delete = verbs.add_parser("delete", help="delete the resources of one run", epilog=_EXITS)
    delete.add_argument("--run", required=True, metavar="NAME", help="name given to `create`")
    delete.add_argument("--project", required=True, metavar="ID", help=_PROJECT)
    _add_common(delete)
    delete.set_defaults(command=_delete)

    list_ = verbs.add_parser(
        "list", help="print our resources and when they expire; delete nothing", epilog=_EXITS
    )
    _add_places(list_)
    _add_common(list_)
    list_.set_defaults(command=_list)

    sweep = verbs.add_parser(
        "sweep", help="print our expired resources; with --delete, also delete them", epilog=_EXITS
    )
    _add_places(sweep)
    _add_common(sweep)
    sweep.add_argument("--delete", action="store_true", help="delete what is printed")
    sweep.set_defaults(command=_sweep)


def _create(args: argparse.Namespace) -> Exit:
    from pipeline.environments.gke import cost
    from pipeline.environments.gke import output as gke_output
    from pipeline.environments.gke.clusters import Clusters
    from pipeline.environments.gke.resources import ClusterSpec, NodePool
    from pipeline.render.numbers import moment

    spec = ClusterSpec(
        project=args.project,
        location=args.location,
        run=args.run,
        life_s=args.expires_in,
        pools=(
            NodePool("server", args.server_type, args.server_nodes, is_spot=False),
            NodePool("load", args.load_type, args.load_nodes, is_spot=True),
        ),
        account=args.account,
        network=args.network,
        subnetwork=args.subnetwork,
        channel=args.channel.upper(),
    )
    prices = cost.prices(args.prices)
    estimate = cost.estimate(spec, prices, args.budget_usd)
    show = gke_output.estimate_json if args.json else gke_output.estimate_text
    output.print_stdout(show(spec, estimate))
    estimate.require_within()
    if args.dry_run:
        return Exit.NO_REGRESSION
    expires_s = Clusters(spec.project, prices, POLL_S).create(spec)
    expires = datetime.fromtimestamp(expires_s, UTC)
    log.info("%s is running until %s", spec.name, moment(expires))
    log.info(
        "kubeconfig: gcloud container clusters get-credentials %s --location %s --project %s"
        " --dns-endpoint",
        spec.name,
        spec.location,
        spec.project,
    )
    return Exit.NO_REGRESSION


def _delete(args: argparse.Namespace) -> Exit:
    from pipeline.environments.gke import sweep
    from pipeline.environments.gke.resources import require_run
    from pipeline.environments.gke.sweep import SweepPolicy

    require_run(args.run)
    project = _project(args)
    policy = SweepPolicy(owner=args.project, account=args.account, run=args.run)
    decisions = sweep.list_decisions(project, policy)
    _show(args, [one for one in decisions if one.resource.run == args.run], project)
    sweep.delete_expired(project, policy, pause_s=POLL_S)
    log.info("nothing of run %s is left in %s", args.run, args.project)
    return Exit.NO_REGRESSION


def _list(args: argparse.Namespace) -> Exit:
    from pipeline.environments.gke import sweep

    for scope, policy in _scopes(args):
        _show(args, sweep.list_decisions(scope, policy), scope)
    return Exit.NO_REGRESSION


def _sweep(args: argparse.Namespace) -> Exit:
    from pipeline.environments.gke import sweep

    overdue = []
    for scope, policy in _scopes(args):
        decisions = sweep.list_decisions(scope, policy)
        _show(args, decisions, scope)
        overdue += [sweep.describe(one.resource) for one in decisions if one.is_overdue]
        if args.delete:
            sweep.delete_expired(scope, policy, pause_s=POLL_S)
    if overdue:
        raise LaunchError(
            f"older than twice its lifetime: {', '.join(overdue)}",
            hint="the sweeper has not run, or could not delete it: look at its last runs",
        )
    return Exit.NO_REGRESSION


def _scopes(args: argparse.Namespace) -> "Iterator[tuple[ResourceScope, SweepPolicy]]":
    """Yield the cluster and the project that the arguments name."""
    from pipeline.environments.gke.namespaces import Namespaces
    from pipeline.environments.gke.sweep import SweepPolicy

    if not args.project and not args.context:
        raise ConfigError(
            f"cluster {args.verb}: neither a project nor a context is given",
            hint="give --project ID, --context NAME, or both",
        )
    if args.context:
        yield Namespaces(args.context), SweepPolicy(owner=args.context, prefix=args.prefix)
    if args.project:
        yield _project(args), SweepPolicy(owner=args.project, account=args.account, prefix=OURS)


def _project(args: argparse.Namespace) -> "CloudProject":
    from pipeline.environments.gke import cost
    from pipeline.environments.gke.clusters import Clusters
    from pipeline.environments.gke.resources import require_project
    from pipeline.environments.gke.sweep import CloudProject

    require_project(args.project)
    return CloudProject(Clusters(args.project, cost.prices(args.prices)))


def _show(
    args: argparse.Namespace, decisions: "Sequence[Decision]", scope: "ResourceScope"
) -> None:
    from pipeline.environments.gke import output as gke_output

    show = gke_output.resources_json if args.json else gke_output.resources_text
    output.print_stdout(show(decisions, scope.now_s))


def _add_create(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", required=True, metavar="ID", help=_PROJECT)
    parser.add_argument(
        "--location",
        required=True,
        metavar="ZONE",
        help="zone, such as us-central1-a; in a region, each of its zones gets every node",
    )
    parser.add_argument(
        "--run", required=True, metavar="NAME", help=f"name of the run; the cluster is {OURS}-NAME"
    )
    parser.add_argument(
        "--account", required=True, metavar="EMAIL", help="service account of the nodes"
    )
    parser.add_argument(
        "--budget-usd",
        required=True,
        type=positive_number,
        metavar="N",
        help="most that the cluster may cost in US dollars",
    )
    parser.add_argument(
        "--expires-in",
        type=duration_s,
        default=3 * 3600.0,
        metavar="TIME",
        help="lifetime of the cluster (default: 3h)",
    )
    for pool in DEFAULT_POOLS:
        parser.add_argument(
            f"--{pool.name}-type",
            default=pool.machine_type,
            metavar="TYPE",
            help=f"machine type of the {pool.name} nodes{', spot' if pool.is_spot else ''}"
            f" (default: {pool.machine_type})",
        )
        parser.add_argument(
            f"--{pool.name}-nodes",
            type=_count,
            default=pool.nodes,
            metavar="N",
            help=f"number of {pool.name} nodes (default: {pool.nodes})",
        )
    parser.add_argument(
        "--network", default="default", metavar="NAME", help="VPC network (default: default)"
    )
    parser.add_argument(
        "--subnetwork", default="", metavar="NAME", help="default: chosen by Google"
    )
    parser.add_argument(
        "--channel",
        choices=("rapid", "regular", "stable"),
        default="regular",
        help="release channel (default: regular)",
    )
    _add_prices(parser)
    parser.add_argument("--dry-run", action="store_true", help="print the cost; create nothing")
    options.add_json(parser, "the answer")


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", default="", metavar="ID", help=_PROJECT)
    parser.add_argument(
        "--context",
        default="",
        metavar="NAME",
        help="context of the kubeconfig, for namespaces of runs",
    )
    parser.add_argument(
        "--prefix",
        default=OURS,
        metavar="NAME",
        help=f"prefix of these namespaces (default: {OURS})",
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--account",
        default="",
        metavar="EMAIL",
        help="only clusters whose nodes have this service account",
    )
    _add_prices(parser)
    options.add_json(parser, "the answer")


def _add_prices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prices", type=Path, metavar="FILE", help="TOML file; its prices replace ours"
    )


def _count(text: str) -> int:
    if not 0 < options.integer(text) <= 100:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number from 1 to 100")
    return int(text)
