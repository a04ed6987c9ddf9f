"""What `cluster` prints."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from pipeline.environments.gke.cost import Estimate
from pipeline.environments.gke.sweep_policy import Decision
from pipeline.environments.gke.values import Order
from pipeline.system.sanitize import clipped


def estimate_text(order: Order, estimate: Estimate) -> str:
    """Return an estimate in rows."""
    prices = estimate.prices
    rows = [
        f"cluster {order.name} in {order.location} of {order.project}",
        "",
        *(
            f"  {line.count:>3} x {line.what:<52} {line.usd_per_hour:>8.3f} USD/h"
            for line in estimate.lines
        ),
        f"  {'in all':<58} {estimate.usd_per_hour:>8.3f} USD/h",
        "",
        f"until it expires, in {estimate.life_h:g} h: {estimate.usd:.2f} USD",
        f"if the sweeper deletes it, in {estimate.billed_h:g} h: {estimate.usd_at_most:.2f} USD",
        f"the budget is {estimate.budget_usd:.2f} USD",
        f"prices of {prices.as_of}: {prices.source}; without traffic, logs and tax",
    ]
    factor = prices.factor(order.location)
    if factor != 1:
        rows.append(f"outside of {prices.region} everything is counted {factor:g} times as dear")
    return "\n".join(rows) + "\n"


def estimate_json(order: Order, estimate: Estimate) -> str:
    """Return an estimate as JSON."""
    found = {
        "name": order.name,
        "location": order.location,
        "project": order.project,
        "usd_per_hour": round(estimate.usd_per_hour, 4),
        "usd": round(estimate.usd, 2),
        "usd_at_most": round(estimate.usd_at_most, 2),
        "budget_usd": estimate.budget_usd,
        "lines": [asdict(line) for line in estimate.lines],
    }
    return json.dumps(found, indent=2) + "\n"


def found_text(decisions: Sequence[Decision], now_s: float) -> str:
    """Return what is there, with its age, what it has cost, and what happens to it.

    Args:
        decisions: Of what is ours.
        now_s: Unix time by the clock of where it is.
    """
    if not decisions:
        return "nothing of milo-perf is there\n"
    head = ("what", "name", "where", "age", "cost", "")
    rows = [head, *(_row(decision, now_s) for decision in decisions)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def found_json(decisions: Sequence[Decision], now_s: float) -> str:
    """Return the same as JSON."""
    found = [
        {
            "kind": one.found.kind,
            "name": one.found.name,
            "where": one.found.where,
            "run": one.found.run,
            "age_s": round(now_s - one.found.created_s),
            "usd": None if (usd := _usd(one, now_s)) is None else round(usd, 2),
            "delete": one.is_deleted,
            "why": one.why,
            "late": one.is_late,
        }
        for one in decisions
    ]
    return json.dumps({"found": found}, indent=2) + "\n"


def _row(decision: Decision, now_s: float) -> tuple[str, ...]:
    found = decision.found
    usd = _usd(decision, now_s)
    said = f"{'delete' if decision.is_deleted else 'keep'}: {decision.why}"
    return (
        found.kind,
        clipped(found.name, 63),
        clipped(found.where, 63),
        f"{(now_s - found.created_s) / 3600:.1f} h",
        "unknown" if usd is None else f"{usd:.2f} USD",
        f"{said}; LATE" if decision.is_late else said,
    )


def _usd(decision: Decision, now_s: float) -> float | None:
    each = decision.found.usd_per_hour
    return None if each is None else each * (now_s - decision.found.created_s) / 3600
