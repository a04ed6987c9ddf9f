"""The output of `cluster`, as text and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from pipeline.environments.gke.cost import CostEstimate
from pipeline.environments.gke.resources import ClusterSpec
from pipeline.environments.gke.sweep import Decision
from pipeline.system.sanitize import truncate


def estimate_text(spec: ClusterSpec, estimate: CostEstimate) -> str:
    """Return a cost estimate as a table."""
    prices = estimate.prices
    rows = [
        f"cluster {spec.name} in {spec.location} of {spec.project}",
        "",
        *(
            f"  {line.count:>3} x {line.what:<52} {line.usd_per_hour:>8.3f} USD/h"
            for line in estimate.lines
        ),
        f"  {'total':<58} {estimate.usd_per_hour:>8.3f} USD/h",
        "",
        f"until it expires, in {estimate.life_h:g} h: {estimate.usd:.2f} USD",
        f"if the sweeper deletes it, in {estimate.billed_h:g} h: {estimate.usd_at_most:.2f} USD",
        f"the budget is {estimate.budget_usd:.2f} USD",
        f"prices of {prices.as_of}: {prices.source}; without traffic, logs and tax",
    ]
    factor = prices.factor(spec.location)
    if factor != 1:
        rows.append(f"prices outside of {prices.region} are multiplied by {factor:g}")
    return "\n".join(rows) + "\n"


def estimate_json(spec: ClusterSpec, estimate: CostEstimate) -> str:
    """Return a cost estimate as JSON."""
    body = {
        "name": spec.name,
        "location": spec.location,
        "project": spec.project,
        "usd_per_hour": round(estimate.usd_per_hour, 4),
        "usd": round(estimate.usd, 2),
        "usd_at_most": round(estimate.usd_at_most, 2),
        "budget_usd": estimate.budget_usd,
        "lines": [asdict(line) for line in estimate.lines],
    }
    return json.dumps(body, indent=2) + "\n"


def resources_text(decisions: Sequence[Decision], now_s: float) -> str:
    """Return our resources as a table: age, cost until now, and what happens to each."""
    if not decisions:
        return "no resource of milo-perf exists\n"
    head = ("kind", "name", "where", "age", "cost", "")
    rows = [head, *(_row(decision, now_s) for decision in decisions)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def resources_json(decisions: Sequence[Decision], now_s: float) -> str:
    """Return the same as JSON."""
    entries = [
        {
            "kind": one.resource.kind,
            "name": one.resource.name,
            "where": one.resource.where,
            "run": one.resource.run,
            "age_s": round(now_s - one.resource.created_s),
            "usd": None if (usd := _usd(one, now_s)) is None else round(usd, 2),
            "delete": one.is_deleted,
            "why": one.reason,
            "late": one.is_overdue,
        }
        for one in decisions
    ]
    return json.dumps({"found": entries}, indent=2) + "\n"


def _row(decision: Decision, now_s: float) -> tuple[str, ...]:
    resource = decision.resource
    usd = _usd(decision, now_s)
    action = f"{'delete' if decision.is_deleted else 'keep'}: {decision.reason}"
    return (
        resource.kind,
        truncate(resource.name, 63),
        truncate(resource.where, 63),
        f"{(now_s - resource.created_s) / 3600:.1f} h",
        "unknown" if usd is None else f"{usd:.2f} USD",
        f"{action}; OVERDUE" if decision.is_overdue else action,
    )


def _usd(decision: Decision, now_s: float) -> float | None:
    per_hour = decision.resource.usd_per_hour
    return None if per_hour is None else per_hour * (now_s - decision.resource.created_s) / 3600
