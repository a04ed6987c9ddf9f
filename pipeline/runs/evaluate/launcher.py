"""Apply the workloads of a suite to one build, each by each driver, and note what it took."""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from pipeline.drivers.clusterloader2.settings import ClusterLoader2
from pipeline.drivers.k6.settings import K6
from pipeline.drivers.registry import driver_of
from pipeline.model.evaluation import LoadLevel, WorkloadAttempt
from pipeline.model.ports import Artifact, DriverSettings, Environment, Load, Program, Target
from pipeline.model.results import Reading
from pipeline.model.subject import Arm
from pipeline.probes.registry import DEFAULT_PROBES, OPT_IN_PROBES
from pipeline.runs.evaluate.generators import watch_generators
from pipeline.runs.measure import apply_load
from pipeline.runs.plan import derive_seed
from pipeline.runs.samples import trial_values
from pipeline.runs.suite_file import Suite, Workload
from pipeline.system.clock import SteadyClock, watch_clock
from pipeline.system.errors import LoadError, NetworkError
from pipeline.system.log import log
from pipeline.system.processes import CommandError
from pipeline.system.progress import Progress

RATES = (25.0, 50.0, 100.0, 200.0, 400.0, 800.0)
"""Requests per second, about, that are tried in turn until one is not held."""

AMOUNTS = (500, 2000, 8000)
"""Objects that are created in turn, at `FILL_RATE`, until a driver does not hold it."""

FILL_RATE = 200.0
_RUNG_S = 8.0
_CRUD, _FILL = "object-crud", "object-fill"
_REQUESTS_PER_OBJECT = 4.5  # of k6's object_crud.js
_ARM = Arm.CANDIDATE


@dataclass(frozen=True, slots=True)
class EvaluationLauncher:
    """What an evaluation is made with.

    Attributes:
        suite: Each workload once for each driver, its name ending in `-` and a word for it.
        environment: Starts the build.
        artifact: The build.
        programs: By name, those that the drivers need.
        out: Existing folder; each launch gets a folder in it.
        progress: Told of every stage.
    """

    suite: Suite
    environment: Environment
    artifact: Artifact
    programs: Mapping[str, Program]
    out: Path
    progress: Progress

    def attempts(self, repetitions: range, of: int, seed: int) -> Iterator[WorkloadAttempt]:
        """Yield each workload by each driver, in an order drawn anew for each launch.

        Args:
            repetitions: Which are to be made.
            of: How many there are in all, for progress.
            seed: Of the orders and the loads.

        Raises:
            LaunchError: The build did not start.
        """
        for repetition in repetitions:
            order = list(self.suite.workloads)
            Random(derive_seed(seed, repetition)).shuffle(order)  # noqa: S311 (an order, not a secret)
            with ExitStack() as stack:
                target, folder = self._launched(stack, f"{repetition:02}")
                for number, workload in enumerate(order):
                    rest = sum(w.driver.load_s + 8.0 for w in order[number:])
                    whole = sum(w.driver.load_s + 8.0 for w in order) + 20.0
                    left_s = rest + whole * (of - 1 - repetition)
                    title = f"repetition {repetition + 1} of {of}: {workload.name}"
                    self.progress.stage(title, left_s)
                    place = _new(folder / workload.name)
                    attempt = self._attempt(
                        workload, target, place, derive_seed(seed, repetition, workload.name)
                    )
                    yield replace(attempt, repetition=repetition)

    def rungs(self, seed: int) -> Iterator[LoadLevel]:
        """Yield ever larger loads of each driver, up to the first that it does not hold.

        Raises:
            LaunchError: The build did not start.
        """
        for what, workload, sizes in (("rate", _CRUD, RATES), ("objects", _FILL, AMOUNTS)):
            for one in self._of(workload):
                for size in sizes:
                    kind = one.driver.kind
                    self.progress.stage(f"how much {kind} holds: {size:g} ({what})", _RUNG_S * 3)
                    with ExitStack() as stack:
                        name = f"{what}-{kind}-{size:g}"
                        target, folder = self._launched(stack, name)
                        driver = scaled_load(one.driver, what, size)
                        rung = self._rung(driver, target, folder, seed, what=what, size=size)
                    yield rung
                    if rung.invalid:
                        break

    def _launched(self, stack: ExitStack, name: str) -> tuple[Target, Path]:
        folder = _new(self.out / "launches" / name)
        targets = stack.enter_context(self.environment.launch({_ARM: self.artifact}, folder))
        return targets[_ARM], folder

    def _of(self, name: str) -> Sequence[Workload]:
        return [w for w in self.suite.workloads if workload_name(w) == name]

    def _attempt(self, workload: Workload, target: Target, out: Path, seed: int) -> WorkloadAttempt:
        clock = SteadyClock()
        began = clock.now_s()
        with watch_generators(self._paths(workload.driver)) as use:
            load, readings, invalid = self._loaded(workload, target, out, seed)
        wall_s = clock.now_s() - began
        found = trial_values(workload, readings)
        for said in found.missing:
            log.info("%s: %s", workload.name, said)
        requests = _value(readings, "server.requests")
        span = load.spans[_ARM] if load else None
        kept = [path for path in out.rglob("*") if path.is_file()]
        return WorkloadAttempt(
            workload=workload_name(workload),
            driver=workload.driver.kind,
            repetition=0,
            wall_s=wall_s,
            start_s=span.start_s - began if span else wall_s,
            span_s=span.end_s - span.start_s if span else 0.0,
            requests=requests,
            cpu_s=use.cpu_s,
            memory=use.memory,
            artifact=sum(path.stat().st_size for path in kept),
            files=len(kept),
            readings=len(load.readings[_ARM]) if load else 0,
            values={key.partition("/")[2]: value for key, value in found.values.items()},
            invalid=invalid,
        )

    def _rung(
        self,
        driver: DriverSettings,
        target: Target,
        out: Path,
        seed: int,
        *,
        what: str,
        size: float,
    ) -> LoadLevel:
        workload = self.suite.workloads[0].model_copy(update={"driver": driver, "probes": ()})
        began = time.monotonic()
        with watch_generators(self._paths(driver)) as use:
            load, readings, invalid = self._loaded(workload, target, _new(out / "load"), seed)
        wall_s = time.monotonic() - began
        span_s = load.spans[_ARM].end_s - load.spans[_ARM].start_s if load else 0.0
        share = _value(readings, "generator_cpu_share")
        cut_off = _value(readings, "cut_off")
        if cut_off and not invalid:  # the build does not hold this load, whoever sends it
            invalid = (f"{cut_off:.0f} answers did not come in time",)
        return LoadLevel(
            driver=driver.kind,
            asked=size,
            what=what,
            requests_rate=_value(readings, "server.requests") / span_s if span_s else 0.0,
            span_s=span_s or wall_s,
            cpu_share=share,
            memory=use.memory,
            invalid=invalid,
        )

    def _loaded(
        self, workload: Workload, target: Target, out: Path, seed: int
    ) -> tuple[Load | None, tuple[Reading, ...], tuple[str, ...]]:
        """Apply a load while every probe watches; a load that fails says why, and no more."""
        driver = driver_of(workload.driver, self.programs)
        probes = (*DEFAULT_PROBES, *(OPT_IN_PROBES[name] for name in workload.probes))
        own = _new(out / "own")
        try:
            with watch_clock() as clock:
                load, probed = apply_load(
                    driver,
                    probes,
                    {_ARM: target},
                    seed,
                    out=own,
                    probe_out=_new(out.with_name(f"{out.name}-probes")),
                )
        except (CommandError, LoadError, NetworkError) as error:
            target.check()  # a dead build is no fault of the driver's
            return None, (), (str(error),)
        slow = (*load.failing.values(), *load.failed.values())
        readings = (*load.readings[_ARM], *probed[_ARM].readings)
        return load, readings, (*load.invalid, *clock.steps(), *slow)

    def _paths(self, driver: DriverSettings) -> set[Path]:
        return {self.programs[name].path for name in driver.needs}


def workload_name(workload: Workload) -> str:
    """Return the name that a workload has for every driver."""
    return workload.name.rpartition("-")[0]


def scaled_load(driver: DriverSettings, what: str, size: float) -> DriverSettings:
    """Return a load of another size.

    Args:
        driver: Of `object-crud` for a rate, of `object-fill` for a number of objects.
        what: `rate`, in requests per second, or `objects`.
        size: How many.
    """
    match driver, what:
        case K6(), "rate":
            rate = size / _REQUESTS_PER_OBJECT
            return driver.model_copy(update={"rate": rate, "duration_s": _RUNG_S})
        case ClusterLoader2(), "rate":
            objects = max(2, round(size * _RUNG_S / 2 / max(1, driver.projects)))
            change = {"rate": size, "objects": objects, "duration_s": 3 * _RUNG_S}
            return driver.model_copy(update={**change, "prometheus": False})
        case K6(), _:
            objects = round(size / 2 / driver.projects)
            change = {"iterations": 2 * objects * driver.projects, "objects": objects}
            return driver.model_copy(update={**change, "duration_s": size / FILL_RATE + 5})
        case ClusterLoader2(), _:
            change = {"objects": round(size / 2 / max(1, driver.projects)), "rate": FILL_RATE}
            return driver.model_copy(update={**change, "duration_s": size / FILL_RATE + 5})
        case _:
            raise AssertionError(f"nobody has said how a load of {driver.kind} becomes larger")


def _value(readings: Sequence[Reading], name: str) -> float:
    return next((reading.value for reading in readings if reading.name == name), 0.0)


def _new(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
