"""Refuse a run that this machine cannot carry, before anything of it starts."""

from collections.abc import Sequence
from pathlib import Path

from pipeline import toolchain
from pipeline.model import sizing
from pipeline.model.headroom import Room
from pipeline.model.results import Interleave
from pipeline.model.subject import Spec
from pipeline.runs.plan import Plan
from pipeline.system.errors import ConfigError


def needed(plan: Plan, specs: Sequence[Spec], interleave: Interleave | None = None) -> sizing.Need:
    """Return what a plan takes at its peak.

    Args:
        plan: What would run.
        specs: Of the builds that are known; the one that takes most counts.
        interleave: Another than the plan's own.
    """
    how = interleave or plan.interleave
    if not plan.suite.environment.is_here:
        return sizing.Need(sizing.GENERATOR_MEMORY, sizing.GENERATOR_FILES, plan.peak_bytes)
    needs = [sizing.need(_amount(plan), build, how, plan.peak_bytes) for build in _builds(specs)]
    return max(needs, key=lambda need: (need.files, need.memory))


def require(plan: Plan, specs: Sequence[Spec], out: Path, room: Room | None = None) -> None:
    """Return if a plan fits this machine.

    Args:
        plan: What would run.
        specs: Of the builds that are known.
        out: Where the run's folder would be.
        room: What the machine has left; read from it unless a test says otherwise.

    Raises:
        ConfigError: It does not: what is too little, by how much, and what would fit.
    """
    room = toolchain.room(out) if room is None else room
    if not (found := sizing.misfits(needed(plan, specs), room)):
        return
    made = _amount(plan)
    most = min(
        sizing.most_projects(made, build, plan.interleave, plan.peak_bytes, room)
        for build in _builds(specs)
    )
    hints = [f"{most} of its {made.projects} Projects would fit"] if most else []
    if not sizing.misfits(needed(plan, specs, Interleave.TRIAL), room):
        hints.append("with --interleave trial it fits: one build is up at a time")
    raise ConfigError(
        f"the suite {plan.suite.name} does not fit this machine: {'; '.join(found)}",
        hint="; ".join(hints) or "use a larger machine, or a smaller suite",
    )


def _amount(plan: Plan) -> sizing.Amount:
    drivers = [workload.driver for workload in plan.suite.workloads]
    return sizing.amount([(d.projects, d.objects, d.object_bytes) for d in drivers])


def _builds(specs: Sequence[Spec]) -> list[sizing.Footprint]:
    return [
        sizing.footprint(spec.product, is_shared=toolchain.shares_connections(spec))
        for spec in specs
    ]
