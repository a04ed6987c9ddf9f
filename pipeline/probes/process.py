"""CPU, memory, threads, open files and disk I/O of a target's processes, from the kernel."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.model.ports import Span, Target
from pipeline.model.replicas import by_component
from pipeline.model.results import Reading
from pipeline.probes.sampling import (
    ProcessObservation,
    counter_rise,
    require_complete,
    samples_within,
    try_write_csv,
    usage_readings,
)
from pipeline.system.clock import SteadyClock, run_periodically

if TYPE_CHECKING:
    import psutil

PERIOD_S = 0.5
_COLUMNS = ("time_s", "cpu_s", "memory", "threads", "files", "read", "written")
_CPUCLOCK_SCHED = 2


@dataclass(frozen=True, slots=True)
class ProcessProbe:
    """Samples every process twice a second, and adds up the replicas of a component.

    For each component it yields, over the span: `COMPONENT.cpu` (s), `COMPONENT.memory_mean` and
    `COMPONENT.memory_max` (B, resident), `COMPONENT.threads` and `COMPONENT.files` (1, maximum),
    `COMPONENT.read` and `COMPONENT.written` (B, disk I/O, if the kernel tells).

    And `COMPONENT.memory_added` (B) and `COMPONENT.files_added` (1): the last sample less the first
    one, and 0 if it is negative: then the build gave back what an earlier load had taken.

    A process without samples for three periods has no readings.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_ProcessWatch"]:
        """See `Probe.watch`; writes `process.csv` into `out`."""
        components = by_component(target.processes)
        watch = _ProcessWatch(target.processes, {name: [] for name in components})
        watch.sample()
        try:
            with run_periodically(watch.sample, PERIOD_S, "process probe"):
                yield watch
        finally:
            rows = (
                (component, *(getattr(one, name) for name in _COLUMNS))
                for component, samples in watch.samples.items()
                for one in samples
            )
            try_write_csv(out / "process.csv", ("component", *_COLUMNS), rows)


@dataclass(frozen=True, slots=True)
class _ProcessWatch:
    processes: Mapping[str, int]
    samples: dict[str, list[ProcessObservation]]
    clock: SteadyClock = field(default_factory=SteadyClock)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def sample(self) -> None:
        """Add a sample of each component whose processes all live."""
        with self.lock:  # so that times rise in any thread
            for component, one in observe_components(self.processes, self.clock).items():
                self.samples[component].append(one)

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`."""
        self.sample()  # the last one may be from before the end of the span
        with self.lock:
            samples = {component: tuple(ones) for component, ones in self.samples.items()}
        return tuple(r for item in samples.items() for r in summarize_process(*item, span))


def observe_components(
    processes: Mapping[str, int], clock: SteadyClock | None = None
) -> dict[str, ProcessObservation]:
    """Return a sample of each component: the sum of its replicas.

    A component is left out if a replica has ended.  `processes` has the process ids by replica.
    """
    observed = {}
    for component, pids in by_component(processes).items():
        samples = [observe_process(pid, clock) for pid in pids.values()]
        if (total := _sum_of(samples)) is not None:
            observed[component] = total
    return observed


def _sum_of(samples: Sequence[ProcessObservation | None]) -> ProcessObservation | None:
    """Return the sum of samples that were taken together; None if one is missing."""
    present = [one for one in samples if one is not None]
    if len(present) < len(samples):
        return None

    def total(values: Sequence[int | None]) -> int | None:
        return None if None in values else sum(filter(None, values))

    return ProcessObservation(
        time_s=present[-1].time_s,
        cpu_s=sum(one.cpu_s for one in present),
        memory=sum(one.memory for one in present),
        threads=sum(one.threads for one in present),
        files=total([one.files for one in present]),
        read=total([one.read for one in present]),
        written=total([one.written for one in present]),
    )


def observe_process(pid: int, clock: SteadyClock | None = None) -> ProcessObservation | None:
    """Return a sample of a process, or None if the process has ended."""
    import psutil

    clock = clock or SteadyClock()
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return ProcessObservation(
                time_s=clock.now_s(),
                # The process's own clock, in nanoseconds: /proc counts in ticks of 10 ms.
                cpu_s=time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED),
                memory=process.memory_info().rss,
                threads=process.num_threads(),
                files=_open_files(process),
                **_disk_io(process),
            )
    except (psutil.Error, OSError):
        return None


def _open_files(process: "psutil.Process") -> int | None:
    import psutil

    try:
        return process.num_fds()
    except psutil.AccessDenied:
        return None


def _disk_io(process: "psutil.Process") -> dict[str, int]:
    import psutil

    try:
        counters = process.io_counters()
    except (psutil.Error, OSError):
        return {}
    return {"read": counters.read_bytes, "written": counters.write_bytes}


def summarize_process(
    component: str, samples: Sequence[ProcessObservation], span: Span
) -> tuple[Reading, ...]:
    """Return the readings of one process over a span; see `require_complete`."""
    times_s = [one.time_s for one in samples]
    require_complete(times_s, span, PERIOD_S, f"process probe: {component}")
    within = samples_within(samples, span)
    readings = [
        *usage_readings(component, samples, span),
        Reading(f"{component}.threads", max(one.threads for one in within), "1"),
    ]
    first, last = samples[0].files, samples[-1].files
    files = [one.files for one in within if one.files is not None]
    if files and first is not None and last is not None:
        readings += [
            Reading(f"{component}.files", max(files), "1"),
            Reading(f"{component}.files_added", max(0, last - first), "1"),
        ]
    for name in ("read", "written"):
        counts = [getattr(one, name) for one in samples]
        if None not in counts:
            rise = counter_rise(times_s, counts, span)
            readings.append(Reading(f"{component}.{name}", rise, "B"))
    return tuple(readings)
