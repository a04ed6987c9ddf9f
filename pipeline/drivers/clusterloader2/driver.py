"""Apply one load with ClusterLoader2: run every stage, and build a `Load` from the results."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pipeline.drivers.clusterloader2 import outcome, phases
from pipeline.drivers.clusterloader2.check import CheckedConfig, check
from pipeline.drivers.clusterloader2.endpoint import SCRAPE_S, Endpoint, open_endpoints
from pipeline.drivers.clusterloader2.outcome import ProcessLoad, ProcessResult, read_result
from pipeline.drivers.clusterloader2.phases import (
    CONFIGS,
    KINDS,
    ControlPlane,
    LoadStage,
    ProcessJob,
)
from pipeline.drivers.clusterloader2.processes import (
    PodRunner,
    ProcessBatch,
    pod_runner,
    run_locally,
)
from pipeline.drivers.clusterloader2.readings import warnings
from pipeline.drivers.clusterloader2.settings import ClusterLoader2
from pipeline.drivers.clusterloader2.warm_up import warm_up
from pipeline.drivers.created_objects import delete_objects, wait_until_gone
from pipeline.model.ports import FIRST_ORGANIZATION, Load, Program, Span, Target
from pipeline.model.results import Reading
from pipeline.model.subject import Arm
from pipeline.system.errors import ConfigError
from pipeline.system.kubeconfig import kubeconfig_json

_ORGANIZATION_PATH = (
    f"/apis/resourcemanager.miloapis.com/v1alpha1/organizations/{FIRST_ORGANIZATION}/control-plane"
)
_BUSY_GENERATOR = 0.5  # share of the processors above which a warning says that they are shared


@dataclass(frozen=True, slots=True)
class ClusterLoader2Driver:
    """Implements `Driver` with one or more ClusterLoader2 processes."""

    settings: ClusterLoader2
    programs: Mapping[str, Program]

    def measure(self, targets: Mapping[Arm, Target], out: Path, seed: int) -> Load:
        """See `Driver.measure`.

        Raises:
            ConfigError: The config has an error, and nothing was started.
        """
        settings = self.settings
        watchers = {name: self.programs[name] for name in settings.watchers}
        name = f"perf-{seed:08x}"
        with settings.laid_out() as configs:
            run = _LoadRun(settings, self.programs, targets, out.absolute(), name, seed, configs)
            checked = {stage: run.check(stage) for stage in settings.stages}
            try:
                if settings.prometheus:
                    warm_up(targets, name)
                if runner := pod_runner(targets, settings, watchers, run.out):
                    return run.load(checked, runner.endpoints(), runner)
                url = settings.prometheus_url
                with open_endpoints(targets, run.out, watchers, url) as endpoints:
                    return run.load(checked, endpoints)
            finally:  # also after a load that was given up
                delete_objects(targets, name)


@dataclass(slots=True)
class _LoadNotes:
    """What is known of a load while it runs: counts of Projects, results, and sentences."""

    never_ready: dict[Arm, int]
    never_gone: dict[Arm, int] = field(default_factory=dict)
    ends: dict[Arm, float] = field(default_factory=dict)  # when the last Project was gone
    results: Mapping[Arm, list[ProcessResult]] = field(default_factory=dict)
    cpu: float = 0.0
    failed: dict[Arm, str] = field(default_factory=dict)  # the load could not go on
    slow: dict[Arm, str] = field(default_factory=dict)  # the load was lighter than requested
    invalid: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _LoadRun:
    """One application of a load."""

    settings: ClusterLoader2
    programs: Mapping[str, Program]
    targets: Mapping[Arm, Target]
    out: Path
    name: str
    seed: int
    configs: Path

    def check(self, stage: LoadStage) -> CheckedConfig:
        path = self.configs / f"{stage.config}.yaml"
        try:
            checked = check(path, self._overrides(stage), self.programs["expand"])
        except ConfigError as error:
            message, hint = f"{error}", error.hint
            for name, original in self.settings.own_files().items():  # instead of their copies
                copied = f"{self.configs / name}"
                message, hint = (one.replace(copied, f"{original}") for one in (message, hint))
            raise ConfigError(message, hint=hint) from error
        if stage.is_measured and (unread := set(checked.unused) & set(self.settings.parameters)):
            raise ConfigError(
                f"{path.name} has no parameter `{min(unread)}`",
                hint=f"its parameters are in {CONFIGS}/README.md",
            )
        return checked

    def load(
        self,
        checked: Mapping[LoadStage, CheckedConfig],
        endpoints: Mapping[Arm, Endpoint],
        runner: PodRunner | None = None,
    ) -> Load:
        """Run every stage, on this machine or in pods, and return the load of the measured one."""
        notes = _LoadNotes(never_ready=dict.fromkeys(self.targets, 0))
        for number, stage in enumerate(self.settings.stages):
            began_s = time.time()
            batch = self._batch(number, stage, endpoints)
            ran = runner.run(batch, self.out / f"{number}-pods") if runner else run_locally(batch)
            if ran.lost:
                span = Span(began_s, time.time())
                return Load.without_readings(self.targets, span, invalid=ran.lost)
            results: dict[Arm, list[ProcessResult]] = {arm: [] for arm in self.targets}
            for job, ended in zip(batch.jobs, ran.ended, strict=True):
                results[job.arm].append(read_result(job, ended, checked[stage].expected))
            self._note(notes, stage, results)
            if notes.failed:
                span = Span(began_s, time.time())
                return Load.without_readings(self.targets, span, notes.failed, notes.invalid)
            if stage.is_measured:
                notes.cpu, notes.results = ran.cpu, results
                if gone_s := self.settings.longest_gone_s:
                    notes.ends, notes.never_gone = wait_until_gone(self.targets, self.name, gone_s)
        notes.invalid += [
            f"the gateway before the {arm}: {count} requests {what}"
            for arm, endpoint in endpoints.items()
            for what, count in endpoint.counts().items()
            if what in ("failed", "unanswered", "refused") and count
        ]
        return self._to_load(notes)

    def _note(
        self, notes: _LoadNotes, stage: LoadStage, results: Mapping[Arm, Sequence[ProcessResult]]
    ) -> None:
        load = self._process_load(stage)
        for arm, of_arm in results.items():
            notes.never_ready[arm] += outcome.never_ready(of_arm, self.settings.projects)
            for result in of_arm:
                name = result.job.name
                problems = outcome.problems(result, load if stage.is_measured else None)
                notes.invalid += [f"{name}: {text}" for text in problems]
                for text in outcome.build_failures(result):
                    notes.failed.setdefault(arm, f"{name}: {text}")
                if stage.is_measured and outcome.is_slow(result, load):
                    rate = outcome.describe_rate(result, load)
                    notes.slow.setdefault(arm, f"{name}: {rate}")

    def _to_load(self, notes: _LoadNotes) -> Load:
        spans = outcome.spans(notes.results, notes.ends)
        measured = next(stage for stage in self.settings.stages if stage.is_measured)
        load = self._process_load(measured)
        readings = {
            arm: (
                *outcome.combine_readings(of_arm, load),
                *self._counts(measured, notes.never_ready[arm], notes.never_gone.get(arm, 0)),
                Reading(
                    "span",
                    spans[arm].end_s - spans[arm].start_s,
                    "s",
                    at_least=bool(notes.never_gone.get(arm)),  # it ends when the last one is gone
                ),
                Reading("generator_cpu_share", notes.cpu, "1"),
            )
            for arm, of_arm in notes.results.items()
        }
        reports = [one.report for of_arm in notes.results.values() for one in of_arm]
        texts = [text for report in reports for text in warnings(report)]
        if notes.cpu > _BUSY_GENERATOR:
            texts.append(f"ClusterLoader2 used {notes.cpu:.0%} of the processors that it shares")
        limit = self.settings.max_generator_cpu
        if notes.cpu > limit:
            notes.invalid.append(
                f"ClusterLoader2 used {notes.cpu:.0%} of the processors, and {limit:.0%} is the"
                " limit"
            )
        unique = tuple(dict.fromkeys(texts))
        return Load(readings, spans, tuple(notes.invalid), unique, failing=notes.slow)

    def _batch(
        self, number: int, stage: LoadStage, endpoints: Mapping[Arm, Endpoint]
    ) -> ProcessBatch:
        return ProcessBatch(
            jobs=[
                self._job(number, stage, arm, project, endpoints[arm])
                for arm in self.targets
                for project in self._projects(stage)
            ],
            program=self.programs["clusterloader2"],
            rate=self._rate(stage),
            has_prometheus=self.settings.prometheus and stage.is_measured,
            timeout_s=self.settings.longest_s,
            tokens=[target.token_file.read_text() for target in self.targets.values()],
            check=partial(self._check_targets, endpoints),
        )

    def _check_targets(self, endpoints: Mapping[Arm, Endpoint]) -> None:
        for arm, target in self.targets.items():
            target.check()
            endpoints[arm].check()

    def _projects(self, stage: LoadStage) -> Sequence[str]:
        """Return the Projects that a stage loads; one empty name for the root."""
        if stage.where is ControlPlane.ROOT:
            return [""]
        return [phases.project_name(self.name, number) for number in range(self.settings.projects)]

    def _rate(self, stage: LoadStage) -> float:
        return self.settings.rate / len(self._projects(stage))

    def _process_load(self, stage: LoadStage) -> ProcessLoad:
        rate = self._rate(stage)
        return ProcessLoad(
            rate=rate,
            objects=KINDS * self.settings.objects,
            burst=phases.burst_size(rate),
            max_rate_error=self.settings.max_rate_error,
        )

    def _job(
        self, number: int, stage: LoadStage, arm: Arm, project: str, endpoint: Endpoint
    ) -> ProcessJob:
        folder = self.out / arm / f"{number}-{stage.config}" / project
        folder.mkdir(parents=True)
        job = ProcessJob(arm, project, self.configs / f"{stage.config}.yaml", folder)
        job.report.mkdir()
        path = f"/projects/{project}/control-plane" if project else ""
        if self._is_within_organization(stage):
            path = _ORGANIZATION_PATH
        job.kubeconfig.write_text(
            kubeconfig_json(f"{endpoint.url}{path}", endpoint.ca_file, endpoint.token_file, "load")
        )
        job.overrides.write_text(json.dumps(self._overrides(stage), indent=1) + "\n")
        return job

    def _is_within_organization(self, stage: LoadStage) -> bool:
        """Return True if a stage creates Projects that Milo accepts in an Organization only."""
        needs_path = any(target.needs_organization_path for target in self.targets.values())
        return needs_path and bool(self.settings.projects) and stage.where is ControlPlane.ROOT

    def _overrides(self, stage: LoadStage) -> dict[str, bool | float | str]:
        """Return the parameters of a config, the same for both arms."""
        return {
            "CL2_REST": 1,
            **self.settings.parameters,
            "CL2_RUN": self.name,
            "CL2_SEED": self.seed,
            **(
                {"CL2_ORGANIZATION": FIRST_ORGANIZATION}
                if self._is_within_organization(stage)
                else {}
            ),
            "CL2_PROJECTS": self.settings.projects if stage.where is ControlPlane.ROOT else 0,
            "CL2_OBJECTS": self.settings.objects,
            "CL2_OBJECT_BYTES": self.settings.object_bytes,
            **({} if stage.config == phases.MAKE else {"CL2_RATE": self._rate(stage)}),
            "CL2_BURST": phases.burst_size(self._rate(stage)),
            "CL2_CYCLES": self.settings.cycles,
            "CL2_TIMEOUT": math.ceil(self.settings.ready_s),
            "CL2_DELETE_NAMESPACES": False,  # it polls every 5 s; we delete without waiting
            "CL2_PROMETHEUS": self.settings.prometheus and stage.is_measured,
            "CL2_SCRAPE": math.ceil(2 * SCRAPE_S),
        }

    def _counts(
        self, measured: LoadStage, never_ready: int, never_gone: int
    ) -> tuple[Reading, ...]:
        has_cycles = len(self.settings.stages) == 1
        created = self.settings.projects * (self.settings.cycles if has_cycles else 1)
        control_planes = 0 if measured.config == phases.COLLECT else len(self._projects(measured))
        return (
            Reading("projects_created", float(created), "1"),
            Reading("projects_deleted", float(created - never_gone), "1"),
            Reading(outcome.NOT_READY, float(never_ready), "1"),
            Reading("projects_never_gone", float(never_gone), "1"),
            Reading("cut_off", float(never_ready + never_gone), "1"),
            Reading("objects_created", float(control_planes * KINDS * self.settings.objects), "1"),
        )
