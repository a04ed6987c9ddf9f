"""Apply every workload by every driver to one build, and measure the cost of each."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import psutil

from pipeline.drivers.clusterloader2.settings import ClusterLoader2
from pipeline.drivers.k6.settings import K6
from pipeline.drivers.registry import driver_of
from pipeline.model.evaluation import LoadLevel, WorkloadAttempt
from pipeline.model.ports import Artifact, DriverSettings, Environment, Load, Program, Target
from pipeline.model.results import Reading
from pipeline.model.subject import Arm
from pipeline.probes.registry import default_probes, opt_in_probes
from pipeline.runs.measure import apply_load, new_folder
from pipeline.runs.plan import derive_seed
from pipeline.runs.samples import trial_values
from pipeline.runs.suite_file import Suite, Workload
from pipeline.system import processes
from pipeline.system.clock import SteadyClock, run_periodically, watch_clock
from pipeline.system.errors import LoadError, NetworkError
from pipeline.system.log import log
from pipeline.system.processes import CommandError
from pipeline.system.progress import Progress

_POLL_S = 0.2

RATES = (25.0, 50.0, 100.0, 200.0, 400.0, 800.0)
"""Approximate requests per second that are tried in turn until a driver cannot keep up."""

AMOUNTS = (500, 2000, 8000)
"""Numbers of objects that are created in turn at `FILL_RATE` until a driver cannot keep up."""

FILL_RATE = 200.0
_LEVEL_S = 8.0
_CRUD, _FILL = "object-crud", "object-fill"

_REQUESTS_PER_OBJECT = 4.5  # of k6's object_crud.js
_ARM = Arm.CANDIDATE


@dataclass(frozen=True, slots=True)
class EvaluationLauncher:
    """Starts a build and applies the workloads of an evaluation.

    The suite has each workload once for each driver; names end in `-` and the driver.  Each launch
    gets a folder in `out`.
    """

    suite: Suite
    environment: Environment
    artifact: Artifact
    programs: Mapping[str, Program]
    out: Path
    progress: Progress

    def attempts(self, repetitions: range, total: int, seed: int) -> Iterator[WorkloadAttempt]:
        """Yield each workload by each driver, in a random order for each launch."""
        for repetition in repetitions:
            order = list(self.suite.workloads)
            Random(derive_seed(seed, repetition)).shuffle(order)  # noqa: S311 (an order, not a secret)
            with ExitStack() as stack:
                target, folder = self._launch(stack, f"{repetition:02}")
                for number, workload in enumerate(order):
                    rest_s = sum(w.driver.load_s + 8.0 for w in order[number:])
                    repetition_s = sum(w.driver.load_s + 8.0 for w in order) + 20.0
                    left_s = rest_s + repetition_s * (total - 1 - repetition)
                    title = f"repetition {repetition + 1} of {total}: {workload.name}"
                    self.progress.stage(title, left_s)
                    attempt = self._attempt(
                        workload,
                        target,
                        new_folder(folder / workload.name),
                        derive_seed(seed, repetition, workload.name),
                    )
                    yield replace(attempt, repetition=repetition)

    def load_levels(self, seed: int) -> Iterator[LoadLevel]:
        """Yield increasing loads of each driver, up to the first that it cannot keep up with."""
        for what, workload, sizes in (("rate", _CRUD, RATES), ("objects", _FILL, AMOUNTS)):
            for one in (w for w in self.suite.workloads if workload_name(w) == workload):
                for size in sizes:
                    kind = one.driver.kind
                    self.progress.stage(f"load of {kind}: {size:g} ({what})", _LEVEL_S * 3)
                    with ExitStack() as stack:
                        name = f"{what}-{kind}-{size:g}"
                        target, folder = self._launch(stack, name)
                        driver = scaled_load(one.driver, what, size)
                        level = self._load_level(driver, target, folder, seed, what=what, size=size)
                    yield level
                    if level.invalid:
                        break

    def _launch(self, stack: ExitStack, name: str) -> tuple[Target, Path]:
        folder = new_folder(self.out / "launches" / name)
        targets = stack.enter_context(self.environment.launch({_ARM: self.artifact}, folder))
        return targets[_ARM], folder

    def _attempt(self, workload: Workload, target: Target, out: Path, seed: int) -> WorkloadAttempt:
        clock = SteadyClock()
        start_s = clock.now_s()
        with watch_generators(self._paths(workload.driver)) as usage:
            load, readings, invalid = self._apply(workload, target, out, seed)
        wall_s = clock.now_s() - start_s
        trial = trial_values(workload, readings)
        for reason in trial.missing:
            log.info("%s: %s", workload.name, reason)
        requests = _value(readings, "server.requests")
        span = load.spans[_ARM] if load else None
        files = [path for path in out.rglob("*") if path.is_file()]
        return WorkloadAttempt(
            workload=workload_name(workload),
            driver=workload.driver.kind,
            repetition=0,
            wall_s=wall_s,
            start_s=span.start_s - start_s if span else wall_s,
            span_s=span.end_s - span.start_s if span else 0.0,
            requests=requests,
            cpu_s=usage.cpu_s,
            memory=usage.memory,
            artifact=sum(path.stat().st_size for path in files),
            files=len(files),
            readings=len(load.readings[_ARM]) if load else 0,
            values={key.partition("/")[2]: value for key, value in trial.values.items()},
            invalid=invalid,
        )

    def _load_level(
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
        start_s = time.monotonic()
        with watch_generators(self._paths(driver)) as usage:
            load, readings, invalid = self._apply(workload, target, new_folder(out / "load"), seed)
        wall_s = time.monotonic() - start_s
        span_s = load.spans[_ARM].end_s - load.spans[_ARM].start_s if load else 0.0
        share = _value(readings, "generator_cpu_share")
        cut_off = _value(readings, "cut_off")
        if cut_off and not invalid:  # the build cannot keep up, whatever sends the load
            invalid = (f"{cut_off:.0f} answers did not come in time",)
        return LoadLevel(
            driver=driver.kind,
            asked=size,
            what=what,
            requests_rate=_value(readings, "server.requests") / span_s if span_s else 0.0,
            span_s=span_s or wall_s,
            cpu_share=share,
            memory=usage.memory,
            invalid=invalid,
        )

    def _apply(
        self, workload: Workload, target: Target, out: Path, seed: int
    ) -> tuple[Load | None, tuple[Reading, ...], tuple[str, ...]]:
        """Apply a load while every probe watches; a load that failed has only the reason."""
        driver = driver_of(workload.driver, self.programs)
        opt_in = opt_in_probes()
        probes = (*default_probes(), *(opt_in[name] for name in workload.probes))
        own = new_folder(out / "own")
        try:
            with watch_clock() as clock:
                load, probed = apply_load(
                    driver,
                    probes,
                    {_ARM: target},
                    seed,
                    out=own,
                    probe_out=new_folder(out.with_name(f"{out.name}-probes")),
                )
        except (CommandError, LoadError, NetworkError) as error:
            target.check()  # raises if the build is dead, which is not the driver's fault
            return None, (), (str(error),)
        slow = (*load.failing.values(), *load.failed.values())
        readings = (*load.readings[_ARM], *probed[_ARM].readings)
        return load, readings, (*load.invalid, *clock.disturbances(), *slow)

    def _paths(self, driver: DriverSettings) -> set[Path]:
        return {self.programs[name].path for name in driver.needs}


def workload_name(workload: Workload) -> str:
    """Return the name of a workload without its driver."""
    return workload.name.rpartition("-")[0]


def scaled_load(driver: DriverSettings, what: str, size: float) -> DriverSettings:
    """Return a load of another size.

    Args:
        driver: Settings of `object-crud` for a rate, of `object-fill` for a number of objects.
        what: `rate`, in requests per second, or `objects`.
        size: Requests per second, or number of objects.
    """
    match driver, what:
        case K6(), "rate":
            rate = size / _REQUESTS_PER_OBJECT
            return driver.model_copy(update={"rate": rate, "duration_s": _LEVEL_S})
        case ClusterLoader2(), "rate":
            objects = max(2, round(size * _LEVEL_S / 2 / max(1, driver.projects)))
            change = {"rate": size, "objects": objects, "duration_s": 3 * _LEVEL_S}
            return driver.model_copy(update={**change, "prometheus": False})
        case K6(), _:
            objects = round(size / 2 / driver.projects)
            change = {"iterations": 2 * objects * driver.projects, "objects": objects}
            return driver.model_copy(update={**change, "duration_s": size / FILL_RATE + 5})
        case ClusterLoader2(), _:
            change = {"objects": round(size / 2 / max(1, driver.projects)), "rate": FILL_RATE}
            return driver.model_copy(update={**change, "duration_s": size / FILL_RATE + 5})
        case _:
            raise AssertionError(f"the load of {driver.kind} cannot be scaled")


@dataclass(slots=True)
class GeneratorUsage:
    """The resources of the programs; complete when the block has been left.

    Attributes:
        cpu_s: CPU seconds of all programs that ended meanwhile.
        memory: Peak memory of all programs together, in bytes.
    """

    cpu_s: float = 0.0
    memory: float = 0.0


@contextmanager
def watch_generators(programs: set[Path]) -> Iterator[GeneratorUsage]:
    """Measure the child processes that run some binaries, while the block runs."""
    use, before_s = GeneratorUsage(), processes.cpu_of_children_s()
    names = {str(path.resolve()) for path in programs}
    ours = psutil.Process()

    def look() -> None:
        total = 0.0
        for child in ours.children(recursive=True):
            with suppress(psutil.Error):
                if child.exe() in names:
                    total += child.memory_info().rss
        use.memory = max(use.memory, total)

    try:
        with run_periodically(look, _POLL_S, "generators"):
            yield use
    finally:
        use.cpu_s = processes.cpu_of_children_s() - before_s


def _value(readings: Sequence[Reading], name: str) -> float:
    return next((reading.value for reading in readings if reading.name == name), 0.0)
