"""CPU, memory, threads, open files and disk of each process of a target, read from the kernel."""

import csv
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.model.ports import Span, Target
from pipeline.model.results import Reading
from pipeline.probes.gaps import require_looks
from pipeline.system.clock import SteadyClock
from pipeline.system.log import log
from pipeline.system.periodic import run_periodically

if TYPE_CHECKING:
    import psutil

PERIOD_S = 0.5
_COLUMNS = ("time_s", "cpu_s", "memory", "threads", "files", "read", "written")
_CPUCLOCK_SCHED = 2


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at one process: Unix time and CPU in s, memory and what went to disks in B.

    What we may not know, because the process is another user's, is None.
    """

    time_s: float
    cpu_s: float
    memory: int
    threads: int
    files: int | None
    read: int | None = None
    written: int | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """Looks at every process twice a second.

    It yields, for each component, over the span: `COMPONENT.cpu` (s), `COMPONENT.memory_mean` and
    `COMPONENT.memory_max` (B, resident), `COMPONENT.threads` and `COMPONENT.files` (1, the largest
    seen), `COMPONENT.read` and `COMPONENT.written` (B, from and to disks, where the kernel tells).

    And `COMPONENT.memory_added` (B) and `COMPONENT.files_added` (1): the look after the load less
    the one before it, and 0 where there is less than before: then the build gave back what an
    earlier load had taken, and added nothing.

    A process that was not seen for three periods has no readings: nobody knows what it did then.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_Watch"]:
        """See `Probe.watch`; writes `process.csv` into `out`."""
        watch = _Watch(target.processes, {component: [] for component in target.processes})
        watch.look()
        try:
            with run_periodically(watch.look, PERIOD_S, "process probe"):
                yield watch
        finally:
            keep(out / "process.csv", watch.seen, _COLUMNS)


@dataclass(frozen=True, slots=True)
class _Watch:
    processes: Mapping[str, int]
    seen: dict[str, list[Observation]]
    clock: SteadyClock = field(default_factory=SteadyClock)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> None:
        """Add one observation of each process that still lives."""
        with self.lock:  # so that times rise, whoever looks
            for component, pid in self.processes.items():
                if (found := observation(pid, self.clock)) is not None:
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


def observation(pid: int, clock: SteadyClock | None = None) -> Observation | None:
    """Return one look at a process, or None when it is gone.

    Args:
        pid: Of the process.
        clock: By which the look is dated; None for one that is read now.
    """
    import psutil

    clock = clock or SteadyClock()
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return Observation(
                time_s=clock.now_s(),
                # The process's own clock, in nanoseconds: /proc counts in ticks of 10 ms.
                cpu_s=time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED),
                memory=process.memory_info().rss,
                threads=process.num_threads(),
                files=_files(process),
                **_disk(process),
            )
    except (psutil.Error, OSError):
        return None


def _files(process: "psutil.Process") -> int | None:
    """Return how many files are open, or None where we may not know."""
    import psutil

    try:
        return process.num_fds()
    except psutil.AccessDenied:
        return None


def _disk(process: "psutil.Process") -> dict[str, int]:
    """Return what went from and to disks; nothing where we may not know."""
    import psutil

    try:
        counters = process.io_counters()
    except (psutil.Error, OSError):
        return {}
    return {"read": counters.read_bytes, "written": counters.write_bytes}


def summary(component: str, seen: Sequence[Observation], span: Span) -> tuple[Reading, ...]:
    """Return the readings of one process over a span; CPU is interpolated at both of its ends.

    Of a span between two looks, memory, threads and files are those of the look after it.

    Raises:
        ProbeError: The process was not seen over the whole span, or not for a part of it.
    """
    times_s = [o.time_s for o in seen]
    require_looks(times_s, span, PERIOD_S, f"process probe: {component}")
    within = [o for o in seen if span.start_s <= o.time_s <= span.end_s]
    within = within or [next(o for o in seen if o.time_s >= span.end_s)]
    memory = [o.memory for o in within]
    first, last = seen[0], seen[-1]
    found = [
        Reading(f"{component}.cpu", rise(times_s, [o.cpu_s for o in seen], span), "s"),
        Reading(f"{component}.memory_mean", sum(memory) / len(memory), "B"),
        Reading(f"{component}.memory_max", max(memory), "B"),
        Reading(f"{component}.memory_added", max(0, last.memory - first.memory), "B"),
        Reading(f"{component}.threads", max(o.threads for o in within), "1"),
    ]
    files = [o.files for o in within if o.files is not None]
    if files and first.files is not None and last.files is not None:
        found += [
            Reading(f"{component}.files", max(files), "1"),
            Reading(f"{component}.files_added", max(0, last.files - first.files), "1"),
        ]
    for name, counts in (("read", [o.read for o in seen]), ("written", [o.written for o in seen])):
        known = [count for count in counts if count is not None]
        if len(known) == len(counts):
            found.append(Reading(f"{component}.{name}", rise(times_s, known, span), "B"))
    return tuple(found)


def rise(times_s: Sequence[float], counts: Sequence[float], span: Span) -> float:
    """Return how far a counter rose over a span, interpolated at both of its ends.

    Args:
        times_s: Of each look, rising; the first before the span, the last after it.
        counts: What was seen at each.
        span: The part that counts.
    """
    return _count_at(times_s, counts, span.end_s) - _count_at(times_s, counts, span.start_s)


def _count_at(times_s: Sequence[float], counts: Sequence[float], time_s: float) -> float:
    after = next(i for i, at in enumerate(times_s) if at >= time_s)
    before = max(after - 1, 0)
    lasted_s = times_s[after] - times_s[before]
    if lasted_s == 0:
        return counts[after]
    share = (time_s - times_s[before]) / lasted_s
    return counts[before] + share * (counts[after] - counts[before])


def keep(path: Path, seen: Mapping[str, Sequence[object]], names: Sequence[str]) -> None:
    """Write what was seen; a full disk is no reason to lose what is measured.

    Args:
        path: CSV.
        seen: Looks by component.
        names: Fields of a look, which are the columns after the component.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["component", *names])
            for component, found in seen.items():
                rows.writerows([component, *(getattr(o, name) for name in names)] for o in found)
    except OSError as error:
        log.warning("%s: cannot be written: %s", path, error.strerror)
