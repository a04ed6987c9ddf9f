"""Disturbances by the machine: stolen CPU time, load, CPU throttling and a slow disk."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pipeline.model.ports import Span, Target
from pipeline.model.results import Reading
from pipeline.system.errors import StorageError

_CGROUPS = Path("/sys/fs/cgroup")
_BLOCK = b"\0" * 4096
_WRITES = 5


@dataclass(frozen=True, slots=True)
class MachineProbe:
    """Reads counters before and after the load; both arms of a duet see the same machine.

    It yields `machine.steal_share` (1), the share of CPU time that the hypervisor gave to others;
    `machine.load` (1), the load average of the last minute; `machine.throttled` (1), the number of
    times that our control group was throttled, if it has a CPU limit; and `machine.fsync` (s), the
    median of five writes of 4 kB with fsync on the disk of `out`, after the load.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_MachineWatch"]:
        """See `Probe.watch`."""
        yield _MachineWatch(out, _times_s(), throttle_count())


@dataclass(frozen=True, slots=True)
class _MachineWatch:
    out: Path
    before_s: Mapping[str, float]
    throttled: int | None

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`."""
        readings = [
            Reading("machine.steal_share", steal_share(self.before_s, _times_s()), "1"),
            Reading("machine.load", os.getloadavg()[0], "1"),
        ]
        now = throttle_count()
        if now is not None and self.throttled is not None:
            readings.append(Reading("machine.throttled", max(0, now - self.throttled), "1"))
        return (*readings, Reading("machine.fsync", fsync_s(self.out), "s"))


def steal_share(before_s: Mapping[str, float], after_s: Mapping[str, float]) -> float:
    """Return the share of stolen CPU time, from CPU seconds since boot by state, of two times."""
    passed = {name: max(0.0, after_s[name] - before_s[name]) for name in before_s}
    # The time of guests is a part of `user`.
    total = sum(value for name, value in passed.items() if not name.startswith("guest"))
    return passed.get("steal", 0.0) / total if total else 0.0


def throttle_count(root: Path = _CGROUPS, ours: Path = Path("/proc/self/cgroup")) -> int | None:
    """Return the number of times that our control group was throttled; None without a CPU limit."""
    try:
        lines = ours.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        stat = root / controllers / path.strip("/") / "cpu.stat"
        with suppress(OSError):
            counts = dict(line.split() for line in stat.read_text().splitlines())
            if "nr_throttled" in counts:
                return int(counts["nr_throttled"])
    return None


def fsync_s(folder: Path) -> float:
    """Return the median seconds of a write of 4 kB with fsync in a folder."""
    path = folder / "fsync"
    times_s = []
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(_WRITES):
                began = time.perf_counter()
                file.write(_BLOCK)
                os.fsync(file.fileno())
                times_s.append(time.perf_counter() - began)
        path.unlink()
    except OSError as error:
        raise StorageError.unwritable(path, error, prefix="machine probe: ") from error
    return median(times_s)


def _times_s() -> dict[str, float]:
    import psutil

    return dict(psutil.cpu_times()._asdict())
