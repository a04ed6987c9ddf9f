"""`load`: measure pairs of trials on a deployment, as it stands or on new launches of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from pipeline import toolchain
from pipeline.environments.bootstrap import blame_dead_build
from pipeline.judge import policy
from pipeline.judge.launches import counted_pairs
from pipeline.model.deployment import DeployedArm
from pipeline.model.ports import Artifact, ResourceUsage, Target
from pipeline.model.report import Report
from pipeline.model.results import ResultSet
from pipeline.model.subject import Arm
from pipeline.runs import measure, preflight, run
from pipeline.runs.deploy import channel
from pipeline.runs.deploy.folder import DeploymentFolder
from pipeline.runs.plan import Plan
from pipeline.storage import codec
from pipeline.system import paths, private_folder, progress, terminal
from pipeline.system.errors import ConfigError, LaunchError, SubjectDiedError
from pipeline.system.log import log


def load(out: Path, pairs: int | None = None, driver: str = "") -> Report:
    """Measure, keep every pair in results.json, and judge all pairs so far.

    Args:
        out: Folder of a deployment that is up.
        pairs: Number of pairs that count, each on a launch of its own; None for one load of the
            launch that is up, which counts only once however often it is loaded.
        driver: Kind of the only driver whose workloads are run; empty for all.

    Raises:
        ConfigError: The deployment is not up, another load measures it, or it has all pairs.
        PipelineError: The load could not be applied; what was measured is kept.
    """
    folder = DeploymentFolder(out)
    deployment = folder.require_up()
    busy = ConfigError(f"another load measures {out}", hint="wait until it has ended")
    with folder.hold_lock("load.lock", busy):
        stored = run.open_run(out)
        results, plan = stored.results, stored.plan
        left_out = _other_workloads(plan, driver)
        adds_one = not (deployment.loads and deployment.arms)
        _require_room(results, int(adds_one) if pairs is None else pairs, out)
        preflight.require_programs(plan.suite.only(driver))
        artifacts = stored.rebuild()
        programs = toolchain.programs_of(plan.suite.only(driver).needs)
        plan = replace(plan, budget_s=None)
        environment = DeployedEnvironment(folder, is_as_it_stands=pairs is None)
        with private_folder.measurement_lock(out), progress.show_progress() as shown:
            harness = run.harness_of(plan.without(left_out), environment, artifacts, programs)
            harness = replace(harness, launch_number=environment.number)
            try:
                for latest in measure.run_pairs(
                    plan,
                    harness,
                    results,
                    out,
                    shown,
                    is_enough=_end_of(results, pairs),
                    settled_workloads=lambda _: left_out,
                ):
                    results = latest
                    codec.RESULTS.write(out / paths.RESULTS, results)
            except (Exception, KeyboardInterrupt):
                log.warning("%s: %s pairs are kept, and the builds stay up", out, results.pairs)
                raise
    return policy.report(results)


def _other_workloads(plan: Plan, driver: str) -> tuple[str, ...]:
    """Return the names of the workloads that a load of one driver leaves out."""
    ours = plan.suite.only(driver).workloads
    return tuple(one.name for one in plan.suite.workloads if one not in ours)


def _require_room(results: ResultSet, pairs: int, out: Path) -> None:
    counted = counted_pairs(results)
    if counted + pairs > results.pairs_asked:
        raise ConfigError(
            f"{out} has {counted} of its {results.pairs_asked} pairs, no room for {pairs} more",
            hint=f"judge it: {terminal.command('compare', out)}; if that is inconclusive:"
            f" {terminal.command('run', '--resume', out, '--pairs', pairs)}",
        )


def _end_of(before: ResultSet, pairs: int | None) -> measure.StopCondition:
    """Return the condition that ends a load."""
    if pairs is None:
        return lambda found: found.pairs > before.pairs
    wanted = counted_pairs(before) + pairs
    return lambda found: counted_pairs(found) >= wanted


@dataclass(slots=True)
class DeployedEnvironment:
    """Implements `Environment` with a deployment: a launch is the one that is up, or a new one.

    Attributes:
        is_as_it_stands: True to load the launch that is up even if it was loaded before.
    """

    folder: DeploymentFolder
    is_as_it_stands: bool
    _launch: int = 0
    _launches: int = 0

    def number(self) -> int | None:
        """Return the number of the launch that was loaded last."""
        return self._launch

    @contextmanager
    def launch(
        self, artifacts: Mapping[Arm, Artifact], out: Path
    ) -> Iterator[Mapping[Arm, Target]]:
        """See `Environment.launch`; leaving the context stops nothing."""
        deployment = self.folder.require_up()
        is_fresh = (
            not self._launches
            and bool(deployment.arms)
            and (self.is_as_it_stands or not deployment.loads)
        )
        if not is_fresh:
            try:
                self._ask({"do": "relaunch", "order": [str(arm) for arm in artifacts]})
            finally:
                self._launch = self.folder.read().launch  # a build that dies in it has a number too
            deployment = self.folder.require_up()
        self._launches += 1
        self._launch = deployment.launch
        targets = {arm: self._target(arm, deployment.arms[arm]) for arm in artifacts}
        # A death that no load has seen yet is a result of the build.
        with nullcontext() if deployment.loads else blame_dead_build(targets):
            self._require_alive(targets)
        loads = self._ask({"do": "begin"})
        if loads:
            log.info("this launch was loaded before: of each workload its first load counts")
        yield targets

    def _require_alive(self, targets: Mapping[Arm, Target]) -> None:
        for arm, target in targets.items():
            try:
                target.check()
            except SubjectDiedError as error:
                raise LaunchError(
                    f"the {arm} has died since it was deployed: {error}",
                    hint=f"`{terminal.command('load', self.folder.path, '--pairs', 1)}` starts"
                    f" both anew\n{error.hint}",
                ) from error

    def _ask(self, question: channel.Question) -> Any:  # noqa: ANN401 (JSON)
        return channel.ask(self.folder.socket, question, self.folder.is_kept)

    def _target(self, arm: Arm, one: DeployedArm) -> Target:
        pids = dict(one.processes)

        def restart() -> None:
            pids.update(self._ask({"do": "restart", "arm": arm}))

        return Target(
            url=one.url,
            ca_file=Path(one.ca_file),
            token_file=Path(one.token_file),
            admin_token_file=Path(one.admin_token_file),
            processes=pids,
            metrics=one.metrics,
            etcd_url=one.etcd_url,
            check=partial(self._check, arm, pids),
            usage=partial(self._usage, arm) if one.has_usage else None,
            restart=restart if one.can_restart else None,
            needs_organization_path=one.needs_organization_path,
        )

    def _check(self, arm: Arm, pids: Mapping[str, int]) -> None:
        """Raise the keeper's error if a build has died; the keeper is asked only when needed."""
        if not pids or not all(map(_is_running, pids.values())) or not self.folder.is_kept():
            self._ask({"do": "check", "arm": arm})

    def _usage(self, arm: Arm) -> Mapping[str, ResourceUsage]:
        usage = self._ask({"do": "usage", "arm": arm})
        return {name: ResourceUsage(**one) for name, one in usage.items()}


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
