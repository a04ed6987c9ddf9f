"""`plan`: print what would run; start nothing."""

import argparse
from typing import TYPE_CHECKING

from pipeline.commands import options, run
from pipeline.system import output
from pipeline.system.errors import Exit

if TYPE_CHECKING:
    from pipeline.model.plan import PlanSummary


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
    if plan.environment == "remote":
        plan = _with_cost(plan)
    output.show(codec.plan_json(plan, need) if args.json else plan_text(plan, need))
    return Exit.NO_REGRESSION


def _with_cost(plan: "PlanSummary") -> "PlanSummary":
    """Return a plan with its price on a cluster that is created for it."""
    import dataclasses

    from pipeline.environments.gke import cost

    night = cost.night(plan.duration_s, plan.load_pods, cost.prices())
    price = f"about {night.usd:.2f} USD on {night.machines}, prices of {night.as_of}"
    return dataclasses.replace(plan, on_gke=price)
