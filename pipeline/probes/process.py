"""CPU seconds, memory, threads and open files of each process of a target, read from the kernel."""

import csv
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import LoadError
from pipeline.model.results import Reading
from pipeline.ports import Span, Target

PERIOD_S = 0.5
_CPUCLOCK_SCHED = 2


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at one process: Unix time and CPU in s, memory in B."""

    time_s: float
    cpu_s: float
    memory: int
    threads: int
    files: int


@dataclass(frozen=True, slots=True)
class Process:
    """Looks at every process twice a second.

    It yields, for each component: `COMPONENT.cpu` (s, over the span), `COMPONENT.memory_mean` and
    `COMPONENT.memory_max` (B, resident), `COMPONENT.threads` and `COMPONENT.files` (largest seen),
    `COMPONENT.memory_added` (B) and `COMPONENT.files_added` (1), from the look before the load to
    the one after it, when the generator has gone; what fell is 0, because no reading is below it.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_Watch"]:
        """See `Probe.watch`; writes `process.csv` into `out`."""
        watch = _Watch(target.processes, {component: [] for component in target.processes})
        stop = threading.Event()

        def observe() -> None:
            while not stop.wait(PERIOD_S):
                watch.look()

        watch.look()
        thread = threading.Thread(target=observe, name="process probe", daemon=True)
        thread.start()
        try:
            yield watch
        finally:
            stop.set()
            thread.join()
            _write(out / "process.csv", watch.seen)


@dataclass(frozen=True, slots=True)
class _Watch:
    processes: Mapping[str, int]
    seen: dict[str, list[Observation]]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> None:
        """Add one observation of each process that still lives."""
        for component, pid in self.processes.items():
            if (found := observation(pid)) is not None:
                with self.lock:
                    self.seen[component].append(found)

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`."""
        self.look()  # the last one may be from before the end of the span
        with self.lock:
            seen = {component: tuple(found) for component, found in self.seen.items()}
        return tuple(
            reading
            for component, found in seen.items()
            for reading in summary(component, found, span)
        )


def observation(pid: int) -> Observation | None:
    """Return one look at a process, or None when it is gone."""
    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return Observation(
                time_s=time.time(),
                # The process's own clock, in nanoseconds: /proc counts in ticks of 10 ms.
                cpu_s=time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED),
                memory=process.memory_info().rss,
                threads=process.num_threads(),
                files=process.num_fds(),
            )
    except (psutil.Error, OSError):
        return None


def summary(component: str, seen: Sequence[Observation], span: Span) -> tuple[Reading, ...]:
    """Return the readings of one process over a span; CPU is interpolated at both of its ends.

    Raises:
        LoadError: The process was not seen over the whole span.
    """
    within = [o for o in seen if span.start_s <= o.time_s <= span.end_s]
    if not within or seen[0].time_s > span.start_s or seen[-1].time_s < span.end_s:
        raise LoadError(f"process probe: {component} was not seen over the whole load")
    cpu_s = _cpu_at(seen, span.end_s) - _cpu_at(seen, span.start_s)
    memory = [o.memory for o in within]
    return (
        Reading(f"{component}.cpu", cpu_s, "s"),
        Reading(f"{component}.memory_mean", sum(memory) / len(memory), "B"),
        Reading(f"{component}.memory_max", max(memory), "B"),
        Reading(f"{component}.threads", max(o.threads for o in within), "1"),
        Reading(f"{component}.files", max(o.files for o in within), "1"),
        Reading(f"{component}.memory_added", max(0, seen[-1].memory - seen[0].memory), "B"),
        Reading(f"{component}.files_added", max(0, seen[-1].files - seen[0].files), "1"),
    )


def _cpu_at(seen: Sequence[Observation], time_s: float) -> float:
    after = next(i for i, o in enumerate(seen) if o.time_s >= time_s)
    right = seen[after]
    left = seen[max(after - 1, 0)]
    if right.time_s == left.time_s:
        return right.cpu_s
    share = (time_s - left.time_s) / (right.time_s - left.time_s)
    return left.cpu_s + share * (right.cpu_s - left.cpu_s)


def _write(path: Path, seen: Mapping[str, Sequence[Observation]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["component", "time_s", "cpu_s", "memory_B", "threads", "files"])
        for component, found in seen.items():
            for o in found:
                rows.writerow([component, o.time_s, o.cpu_s, o.memory, o.threads, o.files])
