"""What the verbs of `cluster` do."""

import argparse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from pipeline.environments.gke import cost, output, sweep
from pipeline.environments.gke.compute import Leftovers
from pipeline.environments.gke.gke import Clusters
from pipeline.environments.gke.namespaces import Namespaces
from pipeline.environments.gke.sweep_policy import Decision, Rules
from pipeline.environments.gke.values import OURS, Order, Pool, require_project, require_run
from pipeline.system.errors import LaunchError
from pipeline.system.log import log

PAUSE_S = 10.0
"""Between two looks at what is being made or deleted."""


def carried_out(args: argparse.Namespace) -> Iterator[str]:
    """Do what was asked for, and yield what is printed, as soon as it is known.

    Raises:
        PipelineError: It could not be done; or something is older than twice its limit.
    """
    verbs: dict[str, Callable[[argparse.Namespace], Iterator[str]]] = {
        "create": _create,
        "delete": _delete,
        "list": _list,
        "sweep": _sweep,
    }
    return verbs[args.verb](args)


def _create(args: argparse.Namespace) -> Iterator[str]:
    order = Order(
        project=args.project,
        location=args.location,
        run=args.run,
        life_s=args.expires_in,
        pools=(
            Pool("server", args.server_type, args.server_nodes, is_spot=False),
            Pool("load", args.load_type, args.load_nodes, is_spot=True),
        ),
        account=args.account,
        network=args.network,
        subnetwork=args.subnetwork,
        channel=args.channel.upper(),
    )
    prices = cost.prices(args.prices)
    estimate = cost.estimate(order, prices, args.budget_usd)
    show = output.estimate_json if args.json else output.estimate_text
    yield show(order, estimate)
    estimate.require_within()
    if args.dry_run:
        return
    expires_s = Clusters(order.project, prices, PAUSE_S).create(order)
    log.info(
        "%s is running until %s UTC",
        order.name,
        datetime.fromtimestamp(expires_s, UTC).strftime("%Y-%m-%d %H:%M"),
    )
    log.info(
        "kubeconfig: gcloud container clusters get-credentials %s --location %s --project %s"
        " --dns-endpoint",
        order.name,
        order.location,
        order.project,
    )


def _delete(args: argparse.Namespace) -> Iterator[str]:
    require_run(args.run)
    project = _project(args)
    rules = Rules(owner=args.project, account=args.account, run=args.run)
    before = [one for one in sweep.looked(project, rules) if one.found.run == args.run]
    yield _shown(args, before, project)
    sweep.swept(project, rules, pause_s=PAUSE_S)
    log.info("nothing of run %s is left in %s", args.run, args.project)


def _list(args: argparse.Namespace) -> Iterator[str]:
    for place, rules in _places(args):
        yield _shown(args, sweep.looked(place, rules), place)


def _sweep(args: argparse.Namespace) -> Iterator[str]:
    late = []
    for place, rules in _places(args):
        decisions = sweep.looked(place, rules)
        yield _shown(args, decisions, place)
        late += [said] if (said := sweep.late(decisions)) else []
        if args.delete:
            sweep.swept(place, rules, pause_s=PAUSE_S)
    if late:
        raise LaunchError(
            f"older than twice its limit: {'; '.join(late)}",
            hint="the sweeper has not run, or could not delete it: look at its last runs",
        )


def _places(args: argparse.Namespace) -> Iterator[tuple[sweep.Place, Rules]]:
    if args.context:
        rules = Rules(owner=args.context, prefix=args.prefix)
        yield Namespaces(args.context), rules
    if args.project:
        yield _project(args), Rules(owner=args.project, account=args.account, prefix=OURS)


def _project(args: argparse.Namespace) -> sweep.Project:
    require_project(args.project)
    prices = cost.prices(args.prices)
    return sweep.Project(Clusters(args.project, prices), Leftovers(args.project, prices))


def _shown(args: argparse.Namespace, decisions: list[Decision], place: sweep.Place) -> str:
    show = output.found_json if args.json else output.found_text
    return show(decisions, place.now_s)
