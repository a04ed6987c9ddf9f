"""Launches that are filled and probed with k6, and watched from outside."""

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.drivers.k6.driver import K6Driver
from pipeline.model import headroom as rooms
from pipeline.model.capacity import CapacityQuestion, CountedResource
from pipeline.model.headroom import Headroom
from pipeline.model.ports import Artifact, Environment, Load, Program, Span, Target
from pipeline.model.results import Reading
from pipeline.model.subject import Arm
from pipeline.probes.process import ProcessProbe
from pipeline.probes.scrape import current_sizes
from pipeline.runs.capacity import fill
from pipeline.runs.capacity.quantities import has_settled, is_steady, values_of
from pipeline.runs.capacity.search_loop import Measured, OutOfRoomError, OutOfTimeError
from pipeline.runs.plan import derive_seed
from pipeline.system.clock import watch_clock
from pipeline.system.errors import (
    ConfigError,
    LoadError,
    NetworkError,
    ProbeError,
    StorageError,
    SubjectDiedError,
)
from pipeline.system.log import log
from pipeline.system.processes import CommandError

MOST_HOLDS = 3
"""So many holds a step has at most until one is steady."""

SETTLE_S = 5.0
"""Seconds between two looks at the goroutines of a build that is left alone after a filling."""

SETTLE_MOST_S = 60.0
SETTLE_PROJECT_S = 3.0
"""So long a build has to settle at most, and so much longer for each Project that was added."""

_GUARD_S = 1.0
_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class K6Bench:
    """Implements `Bench`.

    Attributes:
        question: What is asked.
        environment: Starts the build.
        artifact: The build.
        k6: Fills and probes it.
        out: Existing folder; each launch gets a folder in it.
        ends_s: When the budget is over, by `time.monotonic`.
        room: Tells what the machine has left, given the processes by component.
    """

    question: CapacityQuestion
    environment: Environment
    artifact: Artifact
    k6: Program
    out: Path
    ends_s: float
    room: Callable[[Target], Headroom]

    @contextmanager
    def launch(self, number: int) -> Iterator["_Launch"]:
        """See `Bench.launch`."""
        folder = self.out / "launches" / f"{number:03}"
        shutil.rmtree(folder, ignore_errors=True)  # of a launch that was interrupted
        folder.mkdir(parents=True)
        with self.environment.launch({Arm.CANDIDATE: self.artifact}, folder) as targets:
            target = targets[Arm.CANDIDATE]
            for limit in self.question.limits:
                if limit.component and limit.component not in target.processes:
                    raise ConfigError(
                        f"`{limit.text}`: the subject has no {limit.component}",
                        hint=f"it has: {', '.join(target.processes)}",
                    )
            yield _Launch(self, target, folder, number)


@dataclass(slots=True)
class _Launch:
    """Implements `Launch`."""

    bench: K6Bench
    target: Target
    out: Path
    number: int
    n: int = 0
    projects: int = 0
    guarded_s: float = 0.0
    tell: Callable[[str], None] = log.debug

    def left(self) -> dict[str, float]:
        """See `Launch.left`."""
        return rooms.remaining(self.bench.room(self.target))

    def measure(self, n: int, tell: Callable[[str], None]) -> Measured:
        """See `Launch.measure`."""
        self.tell = tell
        try:
            before = self.projects
            ready_s, failed = self._filled(n)
            values = {} if ready_s is None else {"ready": ready_s}
            if failed:
                return Measured(values, failed)
            settled = self._settled(self.projects - before)
            measured = self._held(values)
            return dataclasses.replace(measured, is_steady=measured.is_steady and settled)
        except (CommandError, LoadError, NetworkError, StorageError) as error:
            try:
                self.target.check()
            except SubjectDiedError as died:
                return Measured({}, str(died))
            kind = StorageError if isinstance(error, StorageError) else LoadError
            raise kind(f"launch {self.number}, N = {n}: {error}", hint=error.hint) from error

    def _filled(self, n: int) -> tuple[float | None, str]:
        """Fill up to N; return the time to Ready of what was added last, and what failed.

        The first half of N comes quickly and is not timed, so that a launch which begins with N
        says the same of it as one that has doubled up to it.
        """
        question = self.bench.question
        if question.things is CountedResource.OBJECTS:
            if not self.projects:
                made = self._fill(CountedResource.PROJECTS, range(question.projects))
                if failed := self._missing(CountedResource.PROJECTS, made):
                    return None, failed
        elif self.n < n // 2:
            made = self._fill(question.things, range(self.n, n // 2))
            if failed := self._missing(question.things, made):
                return None, failed
        made = self._fill(question.things, range(self.n, n))
        return made.ready_s, self._missing(question.things, made)

    def _fill(self, things: CountedResource, span: range) -> fill.Filled:
        self.tell(f"make {things} {span.start + 1} to {span.stop}")
        folder = self.out / f"{span.stop:07}-{things}"
        folder.mkdir()
        made = fill.fill(
            self.bench.question,
            things,
            span,
            self.target,
            program=self.bench.k6,
            out=folder,
            check=self._check,
        )
        if things is CountedResource.PROJECTS:
            self.projects = span.stop
        if things is self.bench.question.things:
            self.n = span.stop
        return made

    def _missing(self, things: CountedResource, made: fill.Filled) -> str:
        if not made.missing:
            return ""
        question = self.bench.question
        mostly = f"; most bad answers were {made.mostly}" if made.mostly else ""
        what = f"{made.missing} of {made.asked} {things} that were added"
        if things is CountedResource.OBJECTS:
            return f"{what} could not be made{mostly}"
        return f"{what} were not Ready within {fill.ready_timeout_s(question):g} s{mostly}"

    def _settled(self, added: int) -> bool:
        """Leave the build alone until its goroutines have settled; tell whether they did."""
        self.tell("wait until it has settled")
        ends_s = time.monotonic() + SETTLE_MOST_S + SETTLE_PROJECT_S * added
        seen = current_sizes(self.target)
        while time.monotonic() < ends_s:
            looks_s = time.monotonic() + SETTLE_S
            while time.monotonic() < looks_s:
                self._check()
                time.sleep(_POLL_S)
            before, seen = seen, current_sizes(self.target)
            if has_settled(before, seen, self.projects):
                return True
        return False

    def _held(self, values: dict[str, float]) -> Measured:
        """Probe until a hold is steady, and return what the last one says."""
        hold = 0
        while True:
            hold += 1
            self.tell(f"hold {hold}" if hold > 1 else "hold")
            folder = self.out / f"{self.n:07}-hold-{hold}"
            folder.mkdir()
            load, readings, steady = self._probed(folder, hold)
            if steady or hold == MOST_HOLDS:
                break
        if failed := load.failed or load.failing:
            return Measured(values, failed[Arm.CANDIDATE], (), hold, steady)
        seen = (*load.readings[Arm.CANDIDATE], *readings)
        found = values | values_of(seen, load.spans[Arm.CANDIDATE])
        return Measured(found, "", load.invalid, hold, steady)

    def _probed(self, folder: Path, hold: int) -> tuple[Load, list[Reading], bool]:
        """Apply the probing load once; return also what was seen, and whether it was steady."""
        target = dataclasses.replace(self.target, check=self._check)
        settings = fill.probing(self.bench.question, self.n)
        seed = derive_seed(self.bench.question.seed, self.number, self.n, hold)
        with watch_clock() as clock, ProcessProbe().watch(target, folder) as process:
            load = K6Driver(settings, self.bench.k6).measure({Arm.CANDIDATE: target}, folder, seed)
            span = load.spans[Arm.CANDIDATE]
            middle_s = (span.start_s + span.end_s) / 2
            halves = (Span(span.start_s, middle_s), Span(middle_s, span.end_s))
            try:
                seen = process.readings(span)
                steady = is_steady(*(process.readings(half) for half in halves))
                gaps = []
            except ProbeError as error:  # a gap, unless the build has died
                self.target.check()
                seen, steady, gaps = (), False, [str(error)]
            readings = [*seen, *current_sizes(target)]
        invalid = (*load.invalid, *gaps, *clock.steps())
        return dataclasses.replace(load, invalid=invalid), readings, steady

    def _check(self) -> None:
        """Raise what ends a step: a dead server, the deadline, or a machine that gives out."""
        self.target.check()
        now_s = time.monotonic()
        if now_s > self.bench.ends_s:
            raise OutOfTimeError
        if now_s - self.guarded_s >= _GUARD_S:
            self.guarded_s = now_s
            if said := rooms.exhausted_reserve(self.bench.room(self.target)):
                raise OutOfRoomError(said)
