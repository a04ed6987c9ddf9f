"""Render a plan as text."""

from pipeline.model.plan import PlanSummary, WorkloadSummary
from pipeline.model.results import MINIMAL
from pipeline.model.sizing import ResourceEstimate
from pipeline.render.numbers import duration
from pipeline.render.words import INTERLEAVE_TEXT


def plan_text(plan: PlanSummary, need: ResourceEstimate) -> str:
    """Return what would run, how long it takes, and how much of the machine it needs."""
    requests = sum(workload.requests for workload in plan.workloads)
    most = "up to " if plan.looks else ""
    fewest, longest = (f"{pairs * plan.pair_s / 60:.1f}" for pairs in (plan.ends[0], plan.ends[-1]))
    time = longest if fewest == longest else f"{fewest} to {longest}"
    lines = [
        f"Suite {plan.suite}: {plan.description}",
        "",
        f"  pairs        {pairs_text(plan)}",
        f"               {INTERLEAVE_TEXT[plan.interleave]}",
        f"  environment  {plan.environment}, {most}{plan.launches} launches",
        *([f"  profile      {plan.profile}"] if plan.profile != MINIMAL else []),
        *([f"  each build   {plan.asks}, in a namespace of its own"] if plan.asks else []),
        *([f"  load pods    {plan.asks_for_load}"] if plan.asks_for_load else []),
        f"  time         about {time} min, without the builds",
        f"  deadlines    at most {plan.most_pair_s / 60:.1f} min for a pair with a stuck build",
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
            f"  {_load_text(workload)}",
            f"  about {workload.requests:,} requests in all",
            f"  stopped after {workload.most_s:.0f} s, setup included",
            f"  {workload.metrics} metrics; gating: {', '.join(workload.gating) or 'none'}",
        ]
    return "\n".join([*lines, "", "Nothing was started.", ""])


def pairs_text(plan: PlanSummary) -> str:
    """Return the number of pairs, their duration, and how many the budget allows."""
    *before, last = map(str, plan.ends)
    pairs = f"{', '.join(before)} or {last}" if before else last
    text = f"{pairs} pairs of about {plan.pair_s:.0f} s"
    if plan.budget_s is None:
        return text
    text = f"{text}; the budget of {_whole_duration(plan.budget_s)} allows {plan.fits or 'none'}"
    if plan.fits >= plan.least:
        return text
    least = _whole_duration(plan.least * plan.pair_s)
    return f"{text}, but a run needs at least {plan.least}: about {least}"


def _whole_duration(seconds: float) -> str:
    return duration(seconds).removesuffix(" 00 s")


def _load_text(workload: WorkloadSummary) -> str:
    seconds = f"{workload.load_s:g} s"
    if workload.rate is None:
        return f"{workload.iterations} iterations for each build, about {seconds} per launch"
    return f"{workload.rate:g} {workload.counted}/s for each build, for {seconds} per launch"
