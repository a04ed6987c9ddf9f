"""Apply one load with ClusterLoader2: every stage of it, every process, and what came of them."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pipeline.drivers.clusterloader2 import outcome, phases
from pipeline.drivers.clusterloader2.check import Checked, check
from pipeline.drivers.clusterloader2.ended import require_report, result_of
from pipeline.drivers.clusterloader2.endpoint import SCRAPE_S, Door, doors
from pipeline.drivers.clusterloader2.outcome import Asked, Result
from pipeline.drivers.clusterloader2.phases import CONFIGS, KINDS, Job, Stage, Where
from pipeline.drivers.clusterloader2.pods import Crew, crew_of
from pipeline.drivers.clusterloader2.processes import Batch, here
from pipeline.drivers.clusterloader2.projects import deleted, gone
from pipeline.drivers.clusterloader2.report import warnings
from pipeline.drivers.clusterloader2.reported import Report
from pipeline.drivers.clusterloader2.settings import ClusterLoader2
from pipeline.drivers.clusterloader2.usage import EXPECTED, watched
from pipeline.drivers.clusterloader2.warm import warmed
from pipeline.drivers.k6.validity import given_up
from pipeline.model.ports import Load, Program, Span, Target
from pipeline.model.results import Reading
from pipeline.model.subject import Arm
from pipeline.system.errors import ConfigError
from pipeline.system.kubeconfig import kubeconfig

_BUSY_GENERATOR = 0.5


@dataclass(frozen=True, slots=True)
class ClusterLoader2Driver:
    """Applies one load with one or more ClusterLoader2; see the port `Driver`.

    Attributes:
        settings: The load.
        programs: By name, those that the settings need.
    """

    settings: ClusterLoader2
    programs: Mapping[str, Program]

    def measure(self, targets: Mapping[Arm, Target], out: Path, seed: int) -> Load:
        """Apply the load once.

        Args:
            targets: One or both arms.
            out: Existing empty folder; receives a folder for each process.
            seed: Of the data of the objects, and of all names.

        Raises:
            ConfigError: The config cannot be run, and nothing was started.
            LoadError: A process could not be started, or left nothing that can be read.
        """
        with self.settings.laid_out() as configs:
            name = f"perf-{seed:08x}"
            run = _Run(self.settings, self.programs, targets, out.absolute(), name, seed, configs)
            return self._measured(run)

    def _measured(self, run: "_Run") -> Load:
        targets = run.targets
        checked = {stage: run.checked(stage) for stage in self.settings.stages}
        try:
            if self.settings.prometheus:
                warmed(targets, run.name)
            with ExitStack() as stack:
                if inside := crew_of(targets, self.settings, self._watchers(), run.out):
                    return run.load(checked, inside.doors, inside)
                given = self.settings.prometheus_url
                opened = stack.enter_context(doors(targets, run.out, self._watchers(), given))
                return run.load(checked, opened)
        finally:  # also of a load that was given up
            deleted(targets, run.name)

    def _watchers(self) -> Mapping[str, Program]:
        """Return the programs by which ClusterLoader2 sees the server, if it is to."""
        return {name: self.programs[name] for name in self.settings.watchers}


@dataclass(slots=True)
class _Noted:
    """What is known of a load while it runs, by arm.

    Attributes:
        never_ready: How many Projects were not Ready in time.
        never_gone: How many were not gone in time.
        ends: When the last one was gone, in seconds of Unix time.
        measured: What the processes of the measured stage left.
        cpu: Share of the processors that they used.
        failed: What a build did not do, so that the load could not go on.
        slow: How a build may have made the load lighter than asked.
        invalid: What ClusterLoader2 did not do.
    """

    never_ready: dict[Arm, int]
    never_gone: dict[Arm, int] = field(default_factory=dict)
    ends: dict[Arm, float] = field(default_factory=dict)
    measured: Mapping[Arm, list[Result]] = field(default_factory=dict)
    cpu: float = 0.0
    failed: dict[Arm, str] = field(default_factory=dict)
    slow: dict[Arm, str] = field(default_factory=dict)
    invalid: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Run:
    """One load, applied once."""

    settings: ClusterLoader2
    programs: Mapping[str, Program]
    targets: Mapping[Arm, Target]
    out: Path
    name: str
    seed: int
    configs: Path

    def checked(self, stage: Stage) -> Checked:
        """Return a config that can be run.

        Raises:
            ConfigError: It cannot.
        """
        path = self.configs / f"{stage.config}.yaml"
        try:
            found = check(path, self.overrides(stage), self.programs["expand"])
        except ConfigError as error:
            said, hint = self._as_written(f"{error}"), self._as_written(error.hint)
            raise ConfigError(said, hint=hint) from error
        if stage.is_measured and (unread := set(found.unused) & set(self.settings.parameters)):
            raise ConfigError(
                f"{path.name} has no parameter `{min(unread)}`",
                hint=f"its parameters are in {CONFIGS}/README.md",
            )
        return found

    def _as_written(self, said: str) -> str:
        """Return a message with the paths of the files that were laid out."""
        for name, path in self.settings.own_files().items():
            said = said.replace(f"{self.configs / name}", f"{path}")
        return said

    def load(
        self,
        checked: Mapping[Stage, Checked],
        opened: Mapping[Arm, Door],
        crew: Crew | None = None,
    ) -> Load:
        """Run every stage; the measured one is what is returned.

        Args:
            checked: The config of each stage.
            opened: How each arm is reached.
            crew: The pods that the processes run in; None for this machine.
        """
        noted = _Noted(never_ready=dict.fromkeys(self.targets, 0))
        for number, stage in enumerate(self.settings.stages):
            began_s = time.time()
            results, used, lost = self._stage(number, stage, checked[stage], opened, crew)
            if lost:
                return given_up(self.targets, Span(began_s, time.time()), {}, lost)
            self._note(noted, stage, results)
            if noted.failed:
                span = Span(began_s, time.time())
                return given_up(self.targets, span, noted.failed, noted.invalid)
            if stage.is_measured:
                noted.cpu, noted.measured = used, results
                if stage.where is Where.ROOT and self.settings.projects:
                    noted.ends, noted.never_gone = gone(
                        self.targets, self.name, self.settings.ready_s
                    )
        lost = [said for arm, door in opened.items() for said in _lost(arm, door)]
        return self._measured(noted, [*noted.invalid, *self._busy(noted.cpu), *lost])

    def _note(self, noted: "_Noted", stage: Stage, results: Mapping[Arm, Sequence[Result]]) -> None:
        """Note what the processes of a stage did not do, and what the builds did not."""
        asked = self.asked(stage)
        for arm, of_arm in results.items():
            noted.never_ready[arm] += outcome.never_ready(of_arm, self.settings.projects)
            for result in of_arm:
                name = result.job.name
                problems = outcome.problems(result, asked if stage.is_measured else None)
                noted.invalid += [f"{name}: {said}" for said in problems]
                for said in outcome.refusals(result):
                    noted.failed.setdefault(arm, f"{name}: {said}")
                if stage.is_measured and (said := outcome.is_slow(result, asked)):
                    noted.slow.setdefault(arm, f"{name}: {said}")

    def _measured(self, noted: "_Noted", invalid: Sequence[str]) -> Load:
        """Return a load that came to its end."""
        spans = outcome.spans(noted.measured, noted.ends)
        readings = {
            arm: (
                *outcome.combined(of_arm, self.asked(self._measured_stage)),
                *self._counts(noted.never_ready[arm], noted.never_gone.get(arm, 0)),
                Reading(
                    "span",
                    spans[arm].end_s - spans[arm].start_s,
                    "s",
                    at_least=bool(noted.never_gone.get(arm)),  # it ends when the last one is gone
                ),
                Reading("generator_cpu_share", noted.cpu, "1"),
            )
            for arm, of_arm in noted.measured.items()
        }
        reports = [one.report for of_arm in noted.measured.values() for one in of_arm]
        said = [text for report in reports for text in warnings(report)]
        if noted.cpu > _BUSY_GENERATOR:
            said.append(f"ClusterLoader2 used {noted.cpu:.0%} of the processors that it shares")
        once = tuple(dict.fromkeys(said))
        return Load(readings, spans, tuple(invalid), once, failing=noted.slow)

    @property
    def _measured_stage(self) -> Stage:
        return next(stage for stage in self.settings.stages if stage.is_measured)

    def _stage(
        self,
        number: int,
        stage: Stage,
        checked: Checked,
        opened: Mapping[Arm, Door],
        crew: Crew | None,
    ) -> tuple[dict[Arm, list[Result]], float, Sequence[str]]:
        """Run one stage; return what each process left, what they used, and what was lost."""
        batch = Batch(
            jobs=[
                self._job(number, stage, arm, project, opened[arm])
                for arm in self.targets
                for project in self._projects(stage)
            ],
            program=self.programs["clusterloader2"],
            rate=self._rate(stage),
            has_prometheus=self._watches(stage),
            timeout_s=self.settings.longest_s,
            tokens=[target.token_file.read_text() for target in self.targets.values()],
            check=partial(self._check, opened),
        )
        with ExitStack() as stack:
            uses = {
                arm: stack.enter_context(watched(one))
                for arm, one in (self.targets if self._watches(stage) else {}).items()
            }
            ran = crew.ran(batch, self.out / f"{number}-pods") if crew else here(batch)
        results: dict[Arm, list[Result]] = {arm: [] for arm in self.targets}
        if ran.lost:
            return results, ran.cpu, ran.lost
        for job, one in zip(batch.jobs, ran.ended, strict=True):
            if one.timed_out:
                results[job.arm].append(Result(job, one, Report((), (), ()), one.start_s))
                continue
            require_report(job, one)
            expected = checked.expected
            if (use := uses.pop(job.arm, None)) is not None:  # once for each arm
                use.write(job.report, job.config.stem)
                expected = (*expected, *EXPECTED)
            results[job.arm].append(result_of(job, one, expected))
        return results, ran.cpu, ()

    def _check(self, opened: Mapping[Arm, Door]) -> None:
        for arm, target in self.targets.items():
            target.check()
            opened[arm].check()

    def _watches(self, stage: Stage) -> bool:
        return self.settings.prometheus and stage.is_measured

    def _projects(self, stage: Stage) -> Sequence[str]:
        if stage.where is Where.ROOT:
            return [""]
        return [phases.project(self.name, number) for number in range(self.settings.projects)]

    def _rate(self, stage: Stage) -> float:
        """Objects per second of one process."""
        return self.settings.rate / len(self._projects(stage))

    def asked(self, stage: Stage) -> Asked:
        """Return what one process of a stage is asked for."""
        rate = self._rate(stage)
        return Asked(
            rate=rate,
            objects=KINDS * self.settings.objects,
            burst=phases.burst(rate),
            max_rate_error=self.settings.max_rate_error,
        )

    def _job(self, number: int, stage: Stage, arm: Arm, project: str, door: Door) -> Job:
        folder = self.out / arm / f"{number}-{stage.config}" / project
        folder.mkdir(parents=True)
        job = Job(arm, project, self.configs / f"{stage.config}.yaml", folder)
        job.report.mkdir()
        place = f"/projects/{project}/control-plane" if project else ""
        job.kubeconfig.write_text(
            kubeconfig(f"{door.url}{place}", door.ca_file, door.token_file, "load")
        )
        job.overrides.write_text(phases.overrides(self.overrides(stage)))
        return job

    def overrides(self, stage: Stage) -> dict[str, bool | float | str]:
        """Return the parameters of a config, the same for both arms."""
        return {
            "CL2_REST": 1,
            **self.settings.parameters,
            "CL2_RUN": self.name,
            "CL2_SEED": self.seed,
            "CL2_PROJECTS": self.settings.projects if stage.where is Where.ROOT else 0,
            "CL2_OBJECTS": self.settings.objects,
            "CL2_OBJECT_BYTES": self.settings.object_bytes,
            **({} if stage.config == phases.MAKE else {"CL2_RATE": self._rate(stage)}),
            "CL2_BURST": phases.burst(self._rate(stage)),
            "CL2_CYCLES": self.settings.cycles,
            "CL2_TIMEOUT": math.ceil(self.settings.ready_s),
            "CL2_DELETE_NAMESPACES": False,  # it looks every 5 s; they are deleted without waiting
            "CL2_PROMETHEUS": self._watches(stage),
            "CL2_SCRAPE": math.ceil(2 * SCRAPE_S),
        }

    def _busy(self, cpu: float) -> list[str]:
        limit = self.settings.max_generator_cpu
        if cpu <= limit:
            return []
        return [f"ClusterLoader2 used {cpu:.0%} of the processors, and {limit:.0%} is the limit"]

    def _counts(self, never_ready: int, never_gone: int) -> tuple[Reading, ...]:
        made = self.settings.projects * (
            self.settings.cycles if len(self.settings.stages) == 1 else 1
        )
        stage = self._measured_stage
        places = len(self._projects(stage)) if stage.config != phases.COLLECT else 0
        return (
            Reading("projects_created", float(made), "1"),
            Reading("projects_deleted", float(made - never_gone), "1"),
            Reading(outcome.NOT_READY, float(never_ready), "1"),
            Reading("projects_never_gone", float(never_gone), "1"),
            Reading("cut_off", float(never_ready + never_gone), "1"),
            Reading("objects_created", float(places * KINDS * self.settings.objects), "1"),
        )


def _lost(arm: Arm, door: Door) -> Iterator[str]:
    """Yield how many requests the gateway could not pass on, or would not answer."""
    counts = door.counts()
    for what in ("failed", "unanswered", "refused"):
        if count := counts.get(what, 0):
            yield f"the gateway before the {arm}: {count} requests {what}"
