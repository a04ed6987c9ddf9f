"""Refuse a run that does not fit this machine, before anything starts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline import toolchain
from pipeline.drivers import registry as drivers
from pipeline.environments import images
from pipeline.environments.cluster_settings import MAX_LOAD_PODS
from pipeline.model import sizing
from pipeline.model.headroom import Headroom
from pipeline.model.health import Status
from pipeline.model.ports import EnvironmentSettings
from pipeline.model.results import Interleave
from pipeline.model.sizing import ResourceEstimate
from pipeline.model.subject import Spec, SpecKind
from pipeline.runs.plan import Plan
from pipeline.runs.suite_file import Suite
from pipeline.system.errors import ConfigError, LaunchError, PipelineError


def resource_estimate(
    plan: Plan, specs: Sequence[Spec], interleave: Interleave | None = None
) -> ResourceEstimate:
    """Return the resources of a plan at its peak; of several builds, the largest counts."""
    counts = _object_counts(plan)
    if not plan.suite.environment.is_here:
        here = replace(counts, watches=0) if counts.pods else counts
        generator = sizing.generator_estimate(here, _arms(plan))
        return replace(generator, disk=plan.peak_bytes)
    estimates = [
        sizing.estimate(counts, build, interleave or plan.interleave, plan.peak_bytes)
        for build in _footprints(plan, specs)
    ]
    return max(estimates, key=lambda estimate: (estimate.files, estimate.memory))


def require(plan: Plan, specs: Sequence[Spec], out: Path, headroom: Headroom | None = None) -> None:
    """Return if a plan fits this machine, or the given headroom, and its load pods.

    Raises:
        ConfigError: The plan does not fit; the message says which resource is short, by how much,
            and what would fit.
        LaunchError: A binary cannot be packed into an image, and the environment needs one.
    """
    _require_pods_hold(plan)
    require_packable(plan.suite.environment, specs)
    headroom = headroom or toolchain.headroom(out)
    shortfalls = sizing.shortfalls(resource_estimate(plan, specs), headroom)
    if not shortfalls:
        return
    counts = _object_counts(plan)
    most = min(
        sizing.most_projects(counts, build, plan.interleave, plan.peak_bytes, headroom)
        for build in _footprints(plan, specs)
    )
    hints = [f"{most} of its {counts.projects} Projects would fit"] if most else []
    watches = min(
        sizing.most_watches(counts, build, plan.interleave, plan.peak_bytes, headroom)
        for build in _footprints(plan, specs)
    )
    hints += [f"{watches:,} of its {counts.watches:,} watches would fit"] if watches else []
    if not sizing.shortfalls(resource_estimate(plan, specs, Interleave.TRIAL), headroom):
        hints.append("with --interleave trial it fits: one build is up at a time")
    raise ConfigError(
        f"the suite {plan.suite.name} does not fit this machine: {'; '.join(shortfalls)}",
        hint="; ".join(hints) or "use a larger machine, or a smaller suite",
    )


def require_fit(
    counts: sizing.ObjectCounts, spec: Spec, environment: EnvironmentSettings, out: Path
) -> None:
    """Raise ConfigError if one build with so many objects does not fit this machine."""
    is_shared = toolchain.shares_etcd_connections(spec)
    build = sizing.footprint(spec.product, is_shared=is_shared, replicas=environment.replicas)
    needed = sizing.estimate(counts, build, Interleave.TRIAL, 0.0)
    if shortfalls := sizing.shortfalls(needed, toolchain.headroom(out)):
        raise ConfigError(
            f"{counts.projects:,} Projects and {counts.objects:,} objects do not fit this machine:"
            f" {'; '.join(shortfalls)}",
            hint="use a larger machine, or begin with fewer or smaller objects",
        )


def require_packable(environment: EnvironmentSettings, specs: Sequence[Spec]) -> None:
    """Raise LaunchError if a binary that exists cannot be packed into an image for a cluster."""
    if not environment.starts_images:
        return
    for spec in specs:
        if spec.kind is SpecKind.BINARY and spec.place and Path(spec.place).is_file():
            images.require_static(Path(spec.place))


def require_programs(suite: Suite) -> None:
    """Return if programs, scripts and the environment that only the user can provide are usable.

    Nothing is built; this takes a second.

    Raises:
        PipelineError: A program is missing or is another one, or cannot load a script of the suite;
            or the engine of a cluster on this machine does not answer, or the cluster is not ours.
    """
    for driver in suite.drivers:
        own = [one.driver.needs for one in suite.workloads if one.driver.kind == driver]
        try:
            toolchain.require_found(name for names in own for name in names)
        except PipelineError as error:
            others = [other for other in suite.drivers if other != driver]
            choice = [f"or leave the workloads of {driver} out: --driver {one}" for one in others]
            error.hint = "\n".join([error.hint, *choice])
            raise
    for workload in suite.workloads:
        drivers.require_loadable(workload.driver, toolchain.program)
    environment = suite.environment
    toolchain.require_found(environment.needs)
    for check in environment.checks() if environment.is_here else ():
        if check.status is Status.MISSING:
            raise LaunchError(f"{check.name}: {check.found}", hint=check.fix)


def _require_pods_hold(plan: Plan) -> None:
    """Raise ConfigError if a load pod has too little memory for its share of the watches."""
    environment = plan.suite.environment
    for workload in plan.suite.workloads:
        driver, arms = workload.driver, _arms(plan)
        if not (environment.load_pods and driver.watches):
            continue
        needs = [
            sizing.pod_memory(driver.watches, driver.projects, pods, arms)
            for pods in range(1, min(driver.max_pods or MAX_LOAD_PODS, MAX_LOAD_PODS) + 1)
        ]
        if needs[environment.load_pods - 1] <= environment.load_memory:
            continue
        fits = next((n for n, one in enumerate(needs, 1) if one <= environment.load_memory), 0)
        more = f"use --load-pods {fits}, or " if fits else ""
        raise ConfigError(
            f"{workload.name}: each of {environment.load_pods} load pods needs about"
            f" {needs[environment.load_pods - 1] / 1e6:,.0f} MB for its share of"
            f" {driver.watches:,} watches, and has {environment.load_memory / 1e6:,.0f} MB",
            hint=f"{more}raise `memory_mib` in [environment.load.resources]",
        )


def _arms(plan: Plan) -> int:
    """Return the number of builds that are up at the same time."""
    return 2 if plan.interleave is Interleave.REQUEST else 1


def _object_counts(plan: Plan) -> sizing.ObjectCounts:
    drivers = [workload.driver for workload in plan.suite.workloads]
    counts = sizing.object_counts(
        [(d.projects, d.objects, d.object_bytes) for d in drivers], max(d.watches for d in drivers)
    )
    return replace(counts, pods=plan.suite.environment.load_pods)


def _footprints(plan: Plan, specs: Sequence[Spec]) -> list[sizing.Footprint]:
    return [
        sizing.footprint(
            spec.product,
            is_shared=toolchain.shares_etcd_connections(spec),
            replicas=plan.suite.environment.replicas,
        )
        for spec in specs
    ]
