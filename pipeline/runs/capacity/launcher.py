"""Start a build, fill it and probe it with k6, and watch it from outside."""

import dataclasses
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.drivers.k6.driver import K6Driver
from pipeline.model import headroom
from pipeline.model.capacity import CapacityQuestion, CountedResource
from pipeline.model.headroom import Headroom
from pipeline.model.limit import COMPONENTS, OPERATIONS, STATISTICS
from pipeline.model.metric import convert
from pipeline.model.ports import (
    Artifact,
    Environment,
    Load,
    Probe,
    Program,
    ResourceUsage,
    Span,
    Target,
)
from pipeline.model.replicas import by_component
from pipeline.model.results import Reading
from pipeline.model.subject import Arm
from pipeline.probes.containers import ContainersProbe
from pipeline.probes.process import ProcessProbe, observe_components
from pipeline.probes.scrape import current_sizes
from pipeline.runs.capacity import fill
from pipeline.runs.capacity.search_loop import BudgetExhaustedError, StepMeasurement
from pipeline.runs.measure import new_folder
from pipeline.runs.one_build import require_measurable
from pipeline.runs.plan import derive_seed
from pipeline.system.clock import watch_clock
from pipeline.system.errors import (
    LoadError,
    NetworkError,
    ProbeError,
    StorageError,
    SubjectDiedError,
)
from pipeline.system.log import log
from pipeline.system.processes import CommandError

STEADY = 0.05
"""A hold is steady when the mean memory of its two halves differs by no more than this share."""

SETTLED_SHARE = 0.5
"""After a fill, goroutines have settled when they change by less than this share of the goroutines
of one Project: then a controller that takes one Project after the other is done."""

MAX_HOLDS = 3
"""Maximum number of hold periods tried per step until one is steady."""

SETTLE_POLL_S = 5.0
"""Seconds between two polls of the goroutines of a build that is idle after a fill."""

SETTLE_TIMEOUT_S, SETTLE_PROJECT_S = 60.0, 3.0
"""Maximum seconds to settle, and additional seconds for each new Project."""

_GUARD_S = 1.0

SIZES_S = 5.0
"""Seconds between two readings of what grows during a fill."""
_POLL_S = 0.25


class _IncompleteFillError(Exception):
    """Some Projects or objects were not created, or not Ready in time."""

    def __init__(self, message: str, ready_s: float | None) -> None:
        super().__init__(message)
        self.ready_s = ready_s


class _BrokenLimitError(Exception):
    """A limit broke during a fill."""

    def __init__(self, values: dict[str, float]) -> None:
        super().__init__(", ".join(values))
        self.values = values


@dataclass(frozen=True, slots=True)
class K6Launcher:
    """Starts the servers of a search.

    Each launch gets a folder in `out`.  `deadline_s` is the end of the budget, by `time.monotonic`.
    `sizes_s` are the seconds between two readings of what grows during a fill.
    """

    question: CapacityQuestion
    environment: Environment
    artifact: Artifact
    k6: Program
    out: Path
    deadline_s: float
    headroom: Callable[[Target], Headroom]
    sizes_s: float = SIZES_S

    @contextmanager
    def launch(self, number: int) -> Iterator["_K6Launch"]:
        """See `search_loop.Launch`."""
        folder = new_folder(self.out / "launches" / f"{number:03}")
        with self.environment.launch({Arm.CANDIDATE: self.artifact}, folder) as targets:
            target = targets[Arm.CANDIDATE]
            require_measurable(self.question.limits, target)
            yield _K6Launch(self, target, folder, number)


@dataclass(slots=True)
class _K6Launch:
    """Implements `CapacityLaunch`."""

    launcher: K6Launcher
    target: Target
    out: Path
    number: int
    n: int = 0
    projects: int = 0
    checked_headroom_s: float = 0.0
    checked_sizes_s: float = math.inf
    report_progress: Callable[[str], None] = log.debug

    def remaining(self) -> dict[str, float]:
        """See `CapacityLaunch.remaining`."""
        return headroom.remaining(self.launcher.headroom(self.target))

    def measure(self, n: int, report_progress: Callable[[str], None]) -> StepMeasurement:
        """See `CapacityLaunch.measure`."""
        self.report_progress = report_progress
        projects_before = self.projects
        try:
            try:
                ready_s = self._fill_up_to(n)
            except _IncompleteFillError as error:
                return StepMeasurement(_ready(error.ready_s), str(error))
            except _BrokenLimitError as error:
                return StepMeasurement(error.values, is_steady=False)
            finally:
                self.checked_sizes_s = math.inf
            is_settled = self._wait_until_settled(self.projects - projects_before)
            idle = self._rest() if self.launcher.question.forecast else {}
            measurement = self._hold(_ready(ready_s) | idle)
            is_steady = measurement.is_steady and is_settled
            return dataclasses.replace(measurement, is_steady=is_steady)
        except (CommandError, LoadError, NetworkError, StorageError) as error:
            try:
                self.target.check()
            except SubjectDiedError as died:
                return StepMeasurement({}, str(died))
            kind = StorageError if isinstance(error, StorageError) else LoadError
            raise kind(f"launch {self.number}, N = {n}: {error}", hint=error.hint) from error

    def _fill_up_to(self, n: int) -> float | None:
        """Fill up to N; return the time to Ready of the last fill.

        The first half of N is filled quickly and not timed, so that a launch that begins with N
        gives the same time as one that has doubled up to it.
        """
        question = self.launcher.question
        if question.things is CountedResource.OBJECTS:
            if not self.projects:
                self._fill(CountedResource.PROJECTS, range(question.projects), is_timed=False)
        elif self.n < n // 2:
            self._fill(question.things, range(self.n, n // 2), is_timed=False)
        return self._fill(question.things, range(self.n, n), is_timed=True)

    def _fill(self, things: CountedResource, span: range, *, is_timed: bool) -> float | None:
        self.report_progress(f"make {things} {span.start + 1} to {span.stop}")
        self.checked_sizes_s = time.monotonic()
        folder = self.out / f"{span.stop:07}-{things}"
        folder.mkdir()
        question = self.launcher.question
        result = fill.fill(
            question,
            things,
            span,
            self.target,
            program=self.launcher.k6,
            out=folder,
            check=self._check,
        )
        if things is CountedResource.PROJECTS:
            self.projects = span.stop
        if things is question.things:
            self.n = span.stop
        ready_s = result.ready_s if is_timed else None
        if result.missing:
            what = f"{result.missing} of {result.asked} {things} that were added"
            reason = (
                "could not be created"
                if things is CountedResource.OBJECTS
                else f"were not Ready within {fill.ready_timeout_s(question.limits):g} s"
            )
            error = result.most_common_error
            most = f"; the most common error was {error}" if error else ""
            raise _IncompleteFillError(f"{what} {reason}{most}", ready_s)
        return ready_s

    def _wait_until_settled(self, new_projects: int) -> bool:
        """Leave the build idle until its goroutines have settled; return whether they did."""
        self.report_progress("wait until it has settled")
        deadline_s = time.monotonic() + SETTLE_TIMEOUT_S + SETTLE_PROJECT_S * new_projects
        after = current_sizes(self.target)
        while time.monotonic() < deadline_s:
            poll_s = time.monotonic() + SETTLE_POLL_S
            while time.monotonic() < poll_s:
                self._check()
                time.sleep(_POLL_S)
            before, after = after, current_sizes(self.target)
            if has_settled(before, after, self.projects):
                return True
        return False

    def _rest(self) -> dict[str, float]:
        """Leave the build idle for as long as a hold; return the cores that it uses meanwhile."""
        self.report_progress("measure the idle CPU")
        before = _cpu_samples(self.target)
        end_s = time.monotonic() + self.launcher.question.hold_s
        while time.monotonic() < end_s:
            self._check()
            time.sleep(_POLL_S)
        return idle_cpu(before, _cpu_samples(self.target))

    def _hold(self, values: dict[str, float]) -> StepMeasurement:
        """Probe until a hold is steady, and return the measurement of the last one."""
        hold = 0
        while True:
            hold += 1
            self.report_progress(f"hold {hold}" if hold > 1 else "hold")
            folder = self.out / f"{self.n:07}-hold-{hold}"
            folder.mkdir()
            load, readings, steady = self._probe(folder, hold)
            if steady or hold == MAX_HOLDS:
                break
        if failed := load.failed or load.failing:
            return StepMeasurement(values, failed[Arm.CANDIDATE], (), hold, steady)
        readings = [*load.readings[Arm.CANDIDATE], *readings]
        measured = quantity_values(readings, load.spans[Arm.CANDIDATE])
        return StepMeasurement(values | measured, "", load.invalid, hold, steady)

    def _probe(self, folder: Path, hold: int) -> tuple[Load, list[Reading], bool]:
        """Apply the probing load once; return also the probes' readings, and if it was steady."""
        target = dataclasses.replace(self.target, check=self._check)
        settings = fill.probe_settings(self.launcher.question, self.n)
        seed = derive_seed(self.launcher.question.seed, self.number, self.n, hold)
        probe: Probe = ProcessProbe() if target.processes else ContainersProbe()
        with watch_clock() as clock, probe.watch(target, folder) as process:
            driver = K6Driver(settings, self.launcher.k6)
            load = driver.measure({Arm.CANDIDATE: target}, folder, seed)
            span = load.spans[Arm.CANDIDATE]
            middle_s = (span.start_s + span.end_s) / 2
            halves = (Span(span.start_s, middle_s), Span(middle_s, span.end_s))
            try:
                readings = [*process.readings(span)]
                steady = is_steady(*(process.readings(half) for half in halves))
                gaps = []
            except ProbeError as error:  # a gap, unless the build has died
                self.target.check()
                readings, steady, gaps = [], False, [str(error)]
            readings += current_sizes(target)
        invalid = (*load.invalid, *gaps, *clock.disturbances())
        return dataclasses.replace(load, invalid=invalid), readings, steady

    def _check(self) -> None:
        """Raise what ends a step: a dead server, the end of the budget, an exhausted reserve.

        During a fill also a broken limit of what only grows; the hold after it measures the rest.
        """
        self.target.check()
        now_s = time.monotonic()
        if now_s > self.launcher.deadline_s:
            raise BudgetExhaustedError
        if now_s - self.checked_headroom_s >= _GUARD_S:
            self.checked_headroom_s = now_s
            headroom.require_reserves(self.launcher.headroom(self.target))
        if now_s - self.checked_sizes_s >= self.launcher.sizes_s:
            limits = {limit.quantity: limit.below for limit in self.launcher.question.limits}
            values = growing_sizes(self.target, limits)
            if broken := {name: v for name, v in values.items() if v >= limits[name]}:
                raise _BrokenLimitError(broken)
            self.checked_sizes_s = time.monotonic()


def growing_sizes(target: Target, wanted: Collection[str]) -> dict[str, float]:
    """Return the current size of each wanted quantity that grows with N, in its base unit.

    These are memory, open files, goroutines and the database of etcd.
    """
    values: dict[str, float] = {}
    if any(name.startswith(("memory", "files(")) for name in wanted):
        values |= process_sizes(target)
    if any(name == "db" or name.startswith("goroutines(") for name in wanted):
        for reading in current_sizes(target):
            component, _, kind = reading.name.partition(".")
            values["db" if kind == "db_bytes" else f"{kind}({component})"] = reading.value
    return {name: values[name] for name in wanted if name in values}


def process_sizes(target: Target) -> dict[str, float]:
    """Return memory and open files of each component, and all memory together."""
    memory: dict[str, float] = {}
    values: dict[str, float] = {}
    for component, one in observe_components(target.processes).items():
        memory[component] = one.memory
        if one.files is not None:
            values[f"files({component})"] = one.files
    if target.usage:
        with suppress(NetworkError, LoadError):  # a gap; the next look is soon
            memory = {
                component: sum(one.memory for one in replicas.values())
                for component, replicas in by_component(target.usage()).items()
            }
    values |= {f"memory({component})": size for component, size in memory.items()}
    return {**values, "memory": sum(memory.values())} if memory else values


def _cpu_samples(target: Target) -> dict[str, ResourceUsage]:
    """Return the CPU time of each replica and when it was read; none after a network error.

    Processes of one component are read together, and added up.
    """
    if target.usage:
        with suppress(NetworkError, LoadError):  # a gap
            return dict(target.usage())
        return {}
    return {
        component: ResourceUsage(one.time_s, one.cpu_s, int(one.memory))
        for component, one in observe_components(target.processes).items()
    }


def idle_cpu(
    before: Mapping[str, ResourceUsage], after: Mapping[str, ResourceUsage]
) -> dict[str, float]:
    """Return the mean cores between two samples, by component and of all together.

    A component with a sample that is the same as before is left out, and with it the total.  The
    samples are those of replicas.
    """
    cores = {
        name: (after[name].cpu_s - one.cpu_s) / (after[name].time_s - one.time_s)
        for name, one in before.items()
        if name in after and after[name].time_s > one.time_s
    }
    values = {
        f"idle_cpu({component})": sum(max(0.0, cores[name]) for name in replicas)
        for component, replicas in by_component(before).items()
        if cores.keys() >= replicas.keys()
    }
    return values | (
        {"idle_cpu": sum(values.values())} if cores and len(cores) == len(before) else {}
    )


def quantity_values(readings: Sequence[Reading], span: Span) -> dict[str, float]:
    """Return the value of each quantity that was measured, in its base unit.

    Memory and files are maxima over the span, goroutines the value after it, CPU is in cores.
    """
    by_name = {reading.name: reading for reading in readings}
    units = {"memory_max": "B", "files": "1", "goroutines": "1", "cpu": "s", "errors_share": "1"}
    names = {
        **{
            f"{statistic}({operation})": (f"http_req_duration{{op={operation}}}/{statistic}", "s")
            for statistic in STATISTICS
            for operation in OPERATIONS
        },
        **{
            f"{quantity}({component})": (f"{component}.{reading}", units[reading])
            for component in COMPONENTS
            for quantity, reading in (
                ("memory", "memory_max"),
                ("files", "files"),
                ("goroutines", "goroutines"),
                ("cpu", "cpu"),
            )
        },
        "errors": ("errors_share", "1"),
        "db": ("etcd.db_bytes", "B"),
    }
    values = {
        quantity: convert(by_name[name].value, by_name[name].unit, unit)
        for quantity, (name, unit) in names.items()
        if name in by_name
    }
    length_s = span.end_s - span.start_s
    for quantity in [name for name in values if name.startswith("cpu(")]:
        values[quantity] /= length_s
    parts = [value for name, value in values.items() if name.startswith("memory(")]
    return {**values, "memory": sum(parts)} if parts else values


def is_steady(first: Sequence[Reading], second: Sequence[Reading]) -> bool:
    """Return whether the total memory is the same in both halves of a hold."""
    before, after = (_total(half, ".memory_mean") for half in (first, second))
    return abs(after - before) <= STEADY * before


def has_settled(before: Sequence[Reading], after: Sequence[Reading], projects: int) -> bool:
    """Return whether the total number of goroutines has stopped changing.

    The readings are some seconds apart.  Without any, the build counts as settled.
    """
    first, second = (_total(readings, ".goroutines") for readings in (before, after))
    return abs(second - first) <= SETTLED_SHARE * first / projects


def _total(readings: Sequence[Reading], suffix: str) -> float:
    return sum(reading.value for reading in readings if reading.name.endswith(suffix))


def _ready(ready_s: float | None) -> dict[str, float]:
    return {} if ready_s is None else {"ready": ready_s}
