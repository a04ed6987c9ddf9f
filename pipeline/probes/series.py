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
from pipeline.model.replicas import by_component
from pipeline.model.results import Reading
from pipeline.probes.etcd import count_keys
from pipeline.probes.process import observe_components
from pipeline.probes.sampling import MAX_GAP_PERIODS, longest_gap_s, write_csv
from pipeline.probes.scrape import DATABASE, credentials_for, read_plain_value
from pipeline.system import http_client
from pipeline.system.clock import SteadyClock
from pipeline.system.errors import NetworkError, ProbeError, StorageError
from pipeline.system.log import log

PERIOD_S = 1.0
CONFIDENCE = 0.9
_FAMILIES = {"goroutines": "go_goroutines", "heap": "go_memstats_heap_inuse_bytes"}
_UNITS = {"heap": "B", "memory": "B", "db": "B"}

SeriesPoint = tuple[float, float]
"""Unix time in seconds, and a value."""


@dataclass(frozen=True, slots=True)
class SeriesProbe:
    """Scrapes every second, so it is opt-in.

    For a load with marks it yields, per cycle, the slope of the least-squares line through the
    values at the ends of the cycles, and the ends of its 90 % t interval:
    `COMPONENT.goroutines_slope`, `…_slope_low` and `…_slope_high` (1), the same of `heap` (B, Go
    heap with its garbage), `memory` (B, resident), `files` (1), `etcd.keys` (1, below
    `/projects/`) and `etcd.db` (B, of the first member).  They may be below zero.  A series without
    samples for three periods has none.  Of a load without marks it only keeps the samples.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_SeriesWatch"]:
        """See `Probe.watch`; writes `series.csv` into `out` when it is asked for readings."""
        connections = {}
        for replica, url in target.metrics.items():
            ca_file, token = credentials_for(target, url)
            connections[replica] = http_client.ServerConnection(url, ca_file=ca_file, token=token)
        watch = _SeriesWatch(target, out, connections)
        thread = threading.Thread(target=watch.follow, name="series probe", daemon=True)
        thread.start()
        try:
            yield watch
        finally:
            watch.stopped.set()
            for connection in connections.values():
                connection.stop()  # even while a component is being waited for
            thread.join()
            for connection in connections.values():
                connection.close()


@dataclass(slots=True)
class _SeriesWatch:
    target: Target
    out: Path
    connections: Mapping[str, http_client.ServerConnection]
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
        if not span.marks:
            return ()
        if len(span.marks) < MIN_SLOPE_POINTS:
            raise ProbeError(
                f"series probe: a slope needs {MIN_SLOPE_POINTS} cycles, and the load had"
                f" {len(span.marks)}"
            )
        whole = {}
        for name, points in series.items():
            if gap := longest_gap_s([time_s for time_s, _ in points], span, PERIOD_S):
                log.warning("series probe: %s has no samples for %.1f s of the load", name, gap)
            else:
                whole[name] = points
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

    def _values(self) -> Iterator[tuple[str, float]]:
        for component, connections in by_component(self.connections).items():
            try:
                texts = [
                    connection.ask("GET", urlsplit(self.target.metrics[replica]).path)[1]
                    for replica, connection in connections.items()
                ]
            except (NetworkError, ProbeError, StorageError) as error:
                log.debug("series probe: %s", error)
                continue
            if component == "etcd" and (size := read_plain_value(texts[0], DATABASE)) is not None:
                yield "etcd.db", size
            for name, family in _FAMILIES.items():
                values = [read_plain_value(text, family) for text in texts]
                if known := [value for value in values if value is not None]:
                    yield f"{component}.{name}", sum(known)
        for component, process in observe_components(self.target.processes, self.clock).items():
            yield f"{component}.memory", process.memory
            if process.files is not None:
                yield f"{component}.files", process.files
        if self.target.etcd_url:
            try:
                yield "etcd.keys", count_keys(self.target.etcd_url)
            except (NetworkError, ProbeError, StorageError) as error:
                log.debug("series probe: %s", error)


def slopes(name: str, points: Sequence[SeriesPoint], marks: Sequence[float]) -> Iterator[Reading]:
    """Yield the slope of a series per cycle, and its interval.

    The value of a cycle is the first one after its end; the last cycle may have the last one before
    its end.  A series that ended earlier has no slope.  The marks are the rising ends of the cycles
    in Unix time, at least `MIN_SLOPE_POINTS`.
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
