"""Time during a measurement: Unix time that is read once, then continued by the monotonic clock.

The machine's clock (Unix time) may be set at any moment: by NTP, by a person, or when a virtual
machine wakes up.  Load generators write Unix time, so a trial during which it was set is invalid.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

STEP_S = 0.1
"""Smallest difference to the monotonic clock, in seconds, that means that the clock was set."""

_PERIOD_S = 0.5
_TRIES = 5
_CLOSE_S = 1e-4  # a reading that took no longer was not interrupted


def _offset_s() -> float:
    """Return the Unix time at which the monotonic clock was 0."""
    best_s, best = float("inf"), 0.0
    for _ in range(_TRIES):
        before_s = time.monotonic()
        unix_s = time.time()
        took_s = time.monotonic() - before_s
        if took_s < best_s:
            best_s, best = took_s, unix_s - before_s - took_s / 2
        if took_s < _CLOSE_S:
            break
    return best


@dataclass(frozen=True, slots=True)
class SteadyClock:
    """Unix time that is read once, then continued by the monotonic clock (0 at `offset_s`)."""

    offset_s: float = field(default_factory=_offset_s)

    def now_s(self) -> float:
        """Return the Unix time, in seconds."""
        return self.offset_s + time.monotonic()

    def step_s(self) -> float:
        """Return by how many seconds the machine's clock was set since; forward is positive."""
        return _offset_s() - self.offset_s


@dataclass(slots=True)
class ClockWatch:
    """Detects that the machine's clock was set, and the largest step; forward is positive."""

    clock: SteadyClock = field(default_factory=SteadyClock)
    farthest_s: float = 0.0

    def sample(self) -> None:
        """Record how far the clock was set."""
        step_s = self.clock.step_s()
        if abs(step_s) > abs(self.farthest_s):
            self.farthest_s = step_s

    def steps(self) -> list[str]:
        """Return one sentence if the clock was set, otherwise none."""
        self.sample()
        if abs(self.farthest_s) < STEP_S:
            return []
        way = "forward" if self.farthest_s > 0 else "back"
        return [f"the clock of this machine was set {way} by {abs(self.farthest_s):.1f} s"]


@contextmanager
def watch_clock() -> Iterator[ClockWatch]:
    """Check twice a second whether the machine's clock was set, while the block runs."""
    watch = ClockWatch()
    with run_periodically(watch.sample, _PERIOD_S, "clock"):
        yield watch


@contextmanager
def run_periodically(act: Callable[[], None], period_s: float, name: str) -> Iterator[None]:
    """Call a function periodically while the block runs; the end waits for a running call.

    The first call is after one period.  An exception from a call ends the thread.
    """
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(period_s):
            act()

    thread = threading.Thread(target=loop, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
