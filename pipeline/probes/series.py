"""What rises from cycle to cycle: a leak, as a slope with its interval."""

import csv
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.judge.stats.student import MIN_SLOPE_POINTS, slope_interval
from pipeline.model.ports import Span, Target
from pipeline.model.results import Reading
from pipeline.probes.etcd import PREFIX, keys
from pipeline.probes.gaps import PERIODS, gap_s
from pipeline.probes.process import observation
from pipeline.probes.scrape import access, plain
from pipeline.system import http_client
from pipeline.system.clock import SteadyClock
from pipeline.system.errors import NetworkError, ProbeError, StorageError
from pipeline.system.log import log

PERIOD_S = 1.0
CONFIDENCE = 0.9
_FAMILIES = {"goroutines": "go_goroutines", "heap": "go_memstats_heap_inuse_bytes"}
_UNITS = {"heap": "B", "memory": "B"}

Point = tuple[float, float]
"""Unix time in s, and a value."""


@dataclass(frozen=True, slots=True)
class Series:
    """Looks every second; each look scrapes, so a workload must ask for it.

    For a load with marks it yields, per cycle, the slope of the least-squares line through the
    values at the ends of the cycles, and the ends of its 90 % t interval:
    `COMPONENT.goroutines_slope`, `…_slope_low` and `…_slope_high` (1), the same of `heap` (B, Go
    heap with its garbage), `memory` (B, resident), `files` (1), and `etcd.keys` (1, below
    `/projects/`).  They may be below zero.  A series that was not seen for three periods has none.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_Watch"]:
        """See `Probe.watch`; writes `series.csv` into `out` when it is asked for readings.

        Raises:
            ProbeError: A component cannot be asked, such as when its token cannot be read.
        """
        watch = _Watch(target, out, _connections(target))
        thread = threading.Thread(target=watch.follow, name="series probe", daemon=True)
        thread.start()
        try:
            yield watch
        finally:
            watch.end()
            thread.join()
            watch.close()


@dataclass(frozen=True, slots=True)
class _Scraped:
    """Where a component is scraped: a connection of its own, and the path."""

    connection: http_client.ServerConnection
    path: str


def _connections(target: Target) -> dict[str, _Scraped]:
    found = {}
    for component, url in target.metrics.items():
        ca_file, token = access(target, url)
        connection = http_client.ServerConnection(url, ca_file=ca_file, token=token)
        found[component] = _Scraped(connection, urlsplit(url).path)
    return found


@dataclass(slots=True)
class _Watch:
    target: Target
    out: Path
    scraped: Mapping[str, _Scraped]
    seen: dict[str, list[Point]] = field(default_factory=dict)
    clock: SteadyClock = field(default_factory=SteadyClock)
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event = field(default_factory=threading.Event)

    def follow(self) -> None:
        """Look every second until the end; a look that takes longer delays the next."""
        while not self.ended.is_set():
            began = time.monotonic()
            self.look()
            self.ended.wait(max(0.0, began + PERIOD_S - time.monotonic()))

    def look(self) -> None:
        """Add a point to each series that can be read."""
        with self.lock:
            # Before it is read, so that a point after a mark was read after it.
            at = self.clock.now_s()
            for name, value in self._values():
                self.seen.setdefault(name, []).append((at, value))

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`.

        Raises:
            ProbeError: The load has too few cycles, or every series has a gap.
        """
        self.ended.set()
        self.look()  # the last one may be from before the end of the last cycle
        with self.lock:
            seen = {name: tuple(points) for name, points in self.seen.items()}
        _write(self.out / "series.csv", seen)
        if len(span.marks) < MIN_SLOPE_POINTS:
            raise ProbeError(
                f"series probe: a slope needs {MIN_SLOPE_POINTS} cycles, and the load had"
                f" {len(span.marks)}"
            )
        whole = {name: points for name, points in seen.items() if _is_whole(name, points, span)}
        if seen and not whole:
            raise ProbeError(
                f"series probe: nothing was seen for more than {PERIODS * PERIOD_S:g} s of the load"
            )
        return tuple(
            reading
            for name, points in whole.items()
            for reading in slopes(name, points, span.marks)
        )

    def end(self) -> None:
        """Stop looking, also where a component is being waited for."""
        self.ended.set()
        for one in self.scraped.values():
            one.connection.stop()

    def close(self) -> None:
        """Close the connections, once nobody looks any more."""
        for one in self.scraped.values():
            one.connection.close()

    def _values(self) -> Iterator[tuple[str, float]]:
        for component, one in self.scraped.items():
            try:
                _, text = one.connection.ask("GET", one.path)
            except (NetworkError, ProbeError, StorageError) as error:
                log.debug("series probe: %s", error)
                continue
            for name, family in _FAMILIES.items():
                if (value := plain(text, family)) is not None:
                    yield f"{component}.{name}", value
        for component, pid in self.target.processes.items():
            if seen := observation(pid, self.clock):
                yield f"{component}.memory", seen.memory
                if seen.files is not None:
                    yield f"{component}.files", seen.files
        if self.target.etcd_url:
            try:
                yield "etcd.keys", keys(self.target.etcd_url, PREFIX)
            except (NetworkError, ProbeError, StorageError) as error:
                log.debug("series probe: %s", error)


def slopes(name: str, points: Sequence[Point], marks: Sequence[float]) -> Iterator[Reading]:
    """Yield the slope of a series per cycle, and its interval.

    The value of a cycle is the first one seen after it, of the last cycle if need be the last one
    before its end; a series that ended earlier has no slope.

    Args:
        name: Such as `server.heap`.
        points: Times rising.
        marks: Ends of the cycles in s of Unix time, rising, at least `FEWEST`.
    """
    after = [next((value for time_s, value in points if time_s >= mark), None) for mark in marks]
    values = [value for value in after if value is not None]
    if len(values) == len(marks) - 1 and points:
        values.append(points[-1][1])
    if len(values) < len(marks):
        return
    cycles = [float(number) for number in range(1, len(marks) + 1)]
    low, slope, high = slope_interval(cycles, values, CONFIDENCE)
    unit = _UNITS.get(name.partition(".")[2], "1")
    for suffix, value in (("", slope), ("_low", low), ("_high", high)):
        yield Reading(f"{name}_slope{suffix}", value, unit)


def _is_whole(name: str, points: Sequence[Point], span: Span) -> bool:
    """Return whether a series has no gap in the span; a warning names one that has."""
    if gap := gap_s([time_s for time_s, _ in points], span, PERIOD_S):
        log.warning("series probe: %s was not seen for %.1f s of the load", name, gap)
    return not gap


def _write(path: Path, seen: Mapping[str, Sequence[Point]]) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["series", "time_s", "value"])
            rows.writerows((name, *point) for name, points in seen.items() for point in points)
    except OSError as error:
        raise StorageError.unwritable(path, error) from error
