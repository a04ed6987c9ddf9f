"""Helpers of sampling probes: gaps between samples, counters over a span, files of samples.

A probe samples at an interval.  If it took no sample for more than `MAX_GAP_PERIODS` of its
periods, because this program or the whole machine stood still, nobody knows what happened
meanwhile: nothing is interpolated over such a gap.
"""

import csv
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from pipeline.model.ports import ResourceUsage, Span
from pipeline.model.results import Reading
from pipeline.system.clock import SteadyClock, run_periodically
from pipeline.system.errors import ProbeError, StorageError
from pipeline.system.log import log

MAX_GAP_PERIODS = 3.0
"""A longer time between two samples, in periods of the probe, is a gap."""


@dataclass(frozen=True, slots=True)
class ProcessObservation:
    """One sample of a process; a value that another user's process hides is None."""

    time_s: float  # Unix time
    cpu_s: float  # since the process started
    memory: int  # resident, in bytes
    threads: int
    files: int | None  # open ones
    read: int | None = None  # bytes, from disks
    written: int | None = None  # bytes, to disks


_Sample = TypeVar("_Sample", ResourceUsage, ProcessObservation)


def longest_gap_s(times_s: Sequence[float], span: Span, period_s: float) -> float:
    """Return the longest gap between two samples that overlaps a span, in seconds; 0 for none.

    `times_s` are Unix times in the order taken.
    """
    gaps = [
        abs(after - before)  # a sample earlier than the one before it: the clock was set
        for before, after in pairwise(times_s)
        if (after > span.start_s and before < span.end_s) or after < before
    ]
    return max((gap for gap in gaps if gap > MAX_GAP_PERIODS * period_s), default=0.0)


def require_complete(times_s: Sequence[float], span: Span, period_s: float, what: str) -> None:
    """Require samples over a whole span, without a gap.

    Raises:
        ProbeError: A part of the span has no samples.
    """
    if not times_s or times_s[0] > span.start_s or times_s[-1] < span.end_s:
        raise ProbeError(f"{what} has samples for a part of the load only")
    if gap := longest_gap_s(times_s, span, period_s):
        raise ProbeError(f"{what} has no samples for {gap:.1f} s of the load")


def usage_readings(component: str, samples: Sequence[_Sample], span: Span) -> tuple[Reading, ...]:
    """Return the readings of CPU and memory over a span; CPU is interpolated at both ends.

    If the span lies between two samples, the memory is that of the later one.
    """
    memory = [one.memory for one in samples_within(samples, span)]
    times_s = [one.time_s for one in samples]
    added = max(0, samples[-1].memory - samples[0].memory)
    cpu_s = counter_rise(times_s, [one.cpu_s for one in samples], span)
    return (
        Reading(f"{component}.cpu", cpu_s, "s"),
        Reading(f"{component}.memory_mean", sum(memory) / len(memory), "B"),
        Reading(f"{component}.memory_max", max(memory), "B"),
        Reading(f"{component}.memory_added", added, "B"),
    )


def samples_within(samples: Sequence[_Sample], span: Span) -> Sequence[_Sample]:
    """Return the samples in a span, or the first one after it if there is none."""
    within = [one for one in samples if span.start_s <= one.time_s <= span.end_s]
    return within or [next(one for one in samples if one.time_s >= span.end_s)]


def counter_rise(times_s: Sequence[float], counts: Sequence[float], span: Span) -> float:
    """Return the increase of a counter over a span, interpolated at both ends.

    `times_s` rise; the first is before the span, and the last after it.
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


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file, or raise StorageError."""
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([columns, *rows])
    except OSError as error:
        raise StorageError.unwritable(path, error) from error


def try_write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file; log a failure, because a full disk must not lose the readings."""
    try:
        write_csv(path, columns, rows)
    except StorageError as error:
        log.warning("%s", error)


@dataclass(slots=True)
class Heartbeat:
    """Detects times at which this program stood still, for a probe that waits for events."""

    period_s: float
    clock: SteadyClock = field(default_factory=SteadyClock)
    gaps: list[tuple[float, float]] = field(default_factory=list)  # Unix times, without a beat
    last_s: float = field(default_factory=time.monotonic)  # of the last beat, monotonic

    def beat(self) -> None:
        """Note that this program runs."""
        now_s = time.monotonic()
        if now_s - self.last_s > MAX_GAP_PERIODS * self.period_s:
            self.gaps.append((self.clock.offset_s + self.last_s, self.clock.offset_s + now_s))
        self.last_s = now_s

    def require_steady(self, span: Span, probe: str) -> None:
        """Raise ProbeError unless this program ran during a whole span."""
        stood = [
            end - start for start, end in self.gaps if start < span.end_s and end > span.start_s
        ]
        if stood:
            raise ProbeError(
                f"{probe}: milo-perf itself did not run for {max(stood):.1f} s of the load"
            )


@contextmanager
def heartbeat(period_s: float, name: str) -> Iterator[Heartbeat]:
    """Beat while the block runs."""
    heart = Heartbeat(period_s)
    with run_periodically(heart.beat, period_s, name):
        yield heart
