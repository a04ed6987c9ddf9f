"""Leaks: what rises from cycle to cycle, as a slope with its interval."""

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
from pipeline.probes.etcd import PREFIX, count_keys
from pipeline.probes.process import observe_process
from pipeline.probes.sampling import MAX_GAP_PERIODS, longest_gap_s, write_csv
from pipeline.probes.scrape import credentials_for, read_plain_value
from pipeline.system import http_client
from pipeline.system.clock import SteadyClock
from pipeline.system.errors import NetworkError, ProbeError, StorageError
from pipeline.system.log import log

PERIOD_S = 1.0
CONFIDENCE = 0.9
_FAMILIES = {"goroutines": "go_goroutines", "heap": "go_memstats_heap_inuse_bytes"}
_UNITS = {"heap": "B", "memory": "B"}

SeriesPoint = tuple[float, float]
"""Unix time in seconds, and a value."""


@dataclass(frozen=True, slots=True)
class SeriesProbe:
    """Scrapes every second, so it is opt-in.

    For a load with marks it yields, per cycle, the slope of the least-squares line through the
    values at the ends of the cycles, and the ends of its 90 % t interval:
    `COMPONENT.goroutines_slope`, `…_slope_low` and `…_slope_high` (1), the same of `heap` (B, Go
    heap with its garbage), `memory` (B, resident), `files` (1), and `etcd.keys` (1, below
    `/projects/`).  They may be below zero.  A series without samples for three periods has none.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_SeriesWatch"]:
        """See `Probe.watch`; writes `series.csv` into `out` when it is asked for readings.

        Raises:
            ProbeError: A component cannot be asked, such as when its token cannot be read.
        """
        watch = _SeriesWatch(target, out, _connections(target))
        thread = threading.Thread(target=watch.follow, name="series probe", daemon=True)
        thread.start()
        try:
            yield watch
        finally:
            watch.stop()
            thread.join()
            watch.close()


@dataclass(frozen=True, slots=True)
class _ScrapeConnection:
    """The connection by which a component is scraped, and the path of its text."""

    connection: http_client.ServerConnection
    path: str


def _connections(target: Target) -> dict[str, _ScrapeConnection]:
    connections = {}
    for component, url in target.metrics.items():
        ca_file, token = credentials_for(target, url)
        connection = http_client.ServerConnection(url, ca_file=ca_file, token=token)
        connections[component] = _ScrapeConnection(connection, urlsplit(url).path)
    return connections


@dataclass(slots=True)
class _SeriesWatch:
    target: Target
    out: Path
    scrapes: Mapping[str, _ScrapeConnection]
    points: dict[str, list[SeriesPoint]] = field(default_factory=dict)
    clock: SteadyClock = field(default_factory=SteadyClock)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: threading.Event = field(default_factory=threading.Event)

    def follow(self) -> None:
        """Sample every second until stopped; a sample that takes longer delays the next one."""
        while not self.stopped.is_set():
            began = time.monotonic()
            self.sample()
            self.stopped.wait(max(0.0, began + PERIOD_S - time.monotonic()))

    def sample(self) -> None:
        """Add a point to each series that can be read."""
        with self.lock:
            # The time is taken before the value: a point after a mark was read after it.
            at = self.clock.now_s()
            for name, value in self._values():
                self.points.setdefault(name, []).append((at, value))

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`."""
        self.stopped.set()
        self.sample()  # the last one may be from before the end of the last cycle
        with self.lock:
            series = {name: tuple(points) for name, points in self.points.items()}
        rows = ((name, *point) for name, points in series.items() for point in points)
        write_csv(self.out / "series.csv", ("series", "time_s", "value"), rows)
        if len(span.marks) < MIN_SLOPE_POINTS:
            raise ProbeError(
                f"series probe: a slope needs {MIN_SLOPE_POINTS} cycles, and the load had"
                f" {len(span.marks)}"
            )
        whole = {name: points for name, points in series.items() if _is_whole(name, points, span)}
        if series and not whole:
            raise ProbeError(
                "series probe: there are no samples for more than"
                f" {MAX_GAP_PERIODS * PERIOD_S:g} s of the load"
            )
        return tuple(
            reading
            for name, points in whole.items()
            for reading in slopes(name, points, span.marks)
        )

    def stop(self) -> None:
        """Stop sampling, even while a component is being waited for."""
        self.stopped.set()
        for one in self.scrapes.values():
            one.connection.stop()

    def close(self) -> None:
        """Close the connections, once no thread uses them."""
        for one in self.scrapes.values():
            one.connection.close()

    def _values(self) -> Iterator[tuple[str, float]]:
        for component, one in self.scrapes.items():
            try:
                _, text = one.connection.ask("GET", one.path)
            except (NetworkError, ProbeError, StorageError) as error:
                log.debug("series probe: %s", error)
                continue
            for name, family in _FAMILIES.items():
                if (value := read_plain_value(text, family)) is not None:
                    yield f"{component}.{name}", value
        for component, pid in self.target.processes.items():
            if process := observe_process(pid, self.clock):
                yield f"{component}.memory", process.memory
                if process.files is not None:
                    yield f"{component}.files", process.files
        if self.target.etcd_url:
            try:
                yield "etcd.keys", count_keys(self.target.etcd_url, PREFIX)
            except (NetworkError, ProbeError, StorageError) as error:
                log.debug("series probe: %s", error)


def slopes(name: str, points: Sequence[SeriesPoint], marks: Sequence[float]) -> Iterator[Reading]:
    """Yield the slope of a series per cycle, and its interval.

    The value of a cycle is the first one after its end; the last cycle may have the last one before
    its end.  A series that ended earlier has no slope.

    Args:
        name: Name of the series, such as `server.heap`.
        points: Points with rising times.
        marks: Ends of the cycles in Unix time, rising, at least `MIN_SLOPE_POINTS`.
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


def _is_whole(name: str, points: Sequence[SeriesPoint], span: Span) -> bool:
    """Return whether a series has no gap in the span; a warning names one that has."""
    if gap := longest_gap_s([time_s for time_s, _ in points], span, PERIOD_S):
        log.warning("series probe: %s has no samples for %.1f s of the load", name, gap)
    return not gap
