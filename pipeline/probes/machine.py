"""What the machine itself did to a measurement: time stolen, load, throttling and a slow disk."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
class Machine:
    """Looks before the load and after it; both arms of a duet see the same machine.

    It yields `machine.steal_share` (1), the share of the processors' time that the hypervisor gave
    to others; `machine.load` (1), the mean number of programs that ran or waited in the last
    minute; `machine.throttled` (1), how often the processors were taken from our control group,
    where it can be; and `machine.fsync` (s), the median of five times that 4 kB need to be safe on
    the disk of `out`, after the load, so that it is in nobody's way.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_Watch"]:
        """See `Probe.watch`."""
        yield _Watch(out, _times_s(), throttled())


@dataclass(frozen=True, slots=True)
class _Watch:
    out: Path
    before_s: Mapping[str, float]
    throttled: int | None

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`.

        Raises:
            StorageError: `out` cannot be written.
        """
        found = [
            Reading("machine.steal_share", steal_share(self.before_s, _times_s()), "1"),
            Reading("machine.load", os.getloadavg()[0], "1"),
        ]
        now = throttled()
        if now is not None and self.throttled is not None:
            found.append(Reading("machine.throttled", max(0, now - self.throttled), "1"))
        return (*found, Reading("machine.fsync", fsync_s(self.out), "s"))


def steal_share(before_s: Mapping[str, float], after_s: Mapping[str, float]) -> float:
    """Return the share of stolen time, from the seconds in each state; time of guests is in user's.

    Args:
        before_s: Seconds since the machine began, by state.
        after_s: The same, later.
    """
    passed = {name: max(0.0, after_s[name] - before_s[name]) for name in before_s}
    total = sum(value for name, value in passed.items() if not name.startswith("guest"))
    return passed.get("steal", 0.0) / total if total else 0.0


def throttled(root: Path = _CGROUPS, ours: Path = Path("/proc/self/cgroup")) -> int | None:
    """Return how often our control group was throttled; None where none has a limit to reach.

    Args:
        root: Where control groups are mounted.
        ours: The file that names ours.
    """
    try:
        lines = ours.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        stat = root / controllers / path.strip("/") / "cpu.stat"
        if (count := _count(stat, "nr_throttled")) is not None:
            return count
    return None


def fsync_s(folder: Path) -> float:
    """Return the median time, in seconds, that 4 kB need to be safe on the disk of a folder.

    Raises:
        StorageError: The folder cannot be written.
    """
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


def _count(path: Path, name: str) -> int | None:
    try:
        counts = dict(line.split() for line in path.read_text().splitlines())
    except OSError:
        return None
    return int(counts[name]) if name in counts else None


def _times_s() -> dict[str, float]:
    import psutil

    return dict(psutil.cpu_times()._asdict())
