"""A plan as text."""

from pipeline.model.plan import PlanSummary, WorkloadSummary
from pipeline.model.results import Interleave
from pipeline.model.sizing import ResourceEstimate
from pipeline.render.numbers import minutes

_HOW = {
    Interleave.REQUEST: "both builds at once, each iteration to one of them (duet)",
    Interleave.TRIAL: "one build after the other, in random order",
}


def plan_text(plan: PlanSummary, need: ResourceEstimate) -> str:
    """Return what would run, how long, how much load, and how much of the machine."""
    requests = sum(workload.requests for workload in plan.workloads)
    most = "up to " if plan.looks else ""
    lines = [
        f"Suite {plan.suite}: {plan.description}",
        "",
        f"  pairs        {pairs_of(plan)}",
        f"               {_HOW[plan.interleave]}",
        f"  environment  {plan.environment}, {most}{plan.launches} launches",
        *([f"  each build   {plan.asks}, in a namespace of its own"] if plan.asks else []),
        *([f"  load pods    {plan.asks_for_load}"] if plan.asks_for_load else []),
        f"  time         {_time(plan)}, builds not counted",
        f"  deadlines    with a slow or stuck build up to {plan.most_pair_s / 60:.1f} min a pair",
        *([f"  on GKE       {plan.on_gke}, made for it and deleted"] if plan.on_gke else []),
        f"  load         about {requests:,} requests, {plan.load_path}",
        f"  memory       about {need.memory / 1e9:.1f} GB at its peak, k6 included",
        f"  open files   about {need.files:,.0f} at most, in one process",
        f"  disk         {need.disk / 1e6:.0f} MB at most, {plan.kept_bytes / 1e6:.0f} MB kept",
        f"  seed         {plan.seed}",
    ]
    for workload in plan.workloads:
        lines += [
            "",
            f"{workload.name}: {workload.driver}",
            f"  {_amount(workload)}",
            f"  about {workload.requests:,} requests in all",
            f"  given up after {workload.most_s:.0f} s, setup included",
            f"  {workload.metrics} metrics; gating: {', '.join(workload.gating) or 'none'}",
        ]
    return "\n".join([*lines, "", "Nothing was started.", ""])


def pairs_of(plan: PlanSummary) -> str:
    """Return how many pairs a run takes, how long each is, and how many its budget has time for."""
    *before, last = map(str, plan.ends)
    many = f"{', '.join(before)} or {last}" if before else last
    said = f"{many} pairs of about {plan.pair_s:.0f} s"
    if plan.budget_s is None:
        return said
    said = f"{said}; the budget of {_time_of(plan.budget_s)} fits {plan.fits or 'none'}"
    if plan.fits >= plan.least:
        return said
    least = _time_of(plan.least * plan.pair_s)
    return f"{said}, but a run takes at least {plan.least}: about {least}"


def _time_of(seconds: float) -> str:
    return minutes(seconds).removesuffix(" 00 s")


def _time(plan: PlanSummary) -> str:
    least, most = (pairs * plan.pair_s / 60 for pairs in (plan.ends[0], plan.ends[-1]))
    if least == most:
        return f"about {most:.1f} min"
    return f"about {least:.1f} to {most:.1f} min"


def _amount(workload: WorkloadSummary) -> str:
    if workload.rate is None:
        return (
            f"{workload.iterations} iterations for each build, about {workload.load_s:g} s a launch"
        )
    return (
        f"{workload.rate:g} {workload.counted}/s for each build, for {workload.load_s:g} s a launch"
    )
