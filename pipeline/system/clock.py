"""Time during a measurement: Unix time that is read once, then continued by the monotonic clock.

The machine's clock (Unix time) may be set at any moment: by NTP, by a person, or when a virtual
machine wakes up.  Load generators write Unix time, so a trial during which it was set is invalid.
So is one during which the whole machine stood still, as a virtual machine does while it is moved.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

STEP_S = 0.1
"""Smallest difference to the monotonic clock, in seconds, that means that the clock was set."""

STALL_S = 5.0
"""Longest time between two looks at the clock, in seconds, on a machine that is only busy."""

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
    """Detects that the machine's clock was set, or that the machine stood still.

    Attributes:
        farthest_s: Largest step of the clock; forward is positive.
        longest_s: Longest time between two looks.
        looked_s: Time of the last look, by the monotonic clock.
    """

    clock: SteadyClock = field(default_factory=SteadyClock)
    farthest_s: float = 0.0
    longest_s: float = 0.0
    looked_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.looked_s = time.monotonic()

    def sample(self) -> None:
        """Look at the clock; it is to be called every half a second."""
        step_s = self.clock.step_s()
        if abs(step_s) > abs(self.farthest_s):
            self.farthest_s = step_s
        now_s = time.monotonic()
        self.longest_s = max(self.longest_s, now_s - self.looked_s)
        self.looked_s = now_s

    def disturbances(self) -> list[str]:
        """Return a sentence for each thing that makes a trial invalid."""
        self.sample()
        found = []
        if abs(self.farthest_s) >= STEP_S:
            way = "forward" if self.farthest_s > 0 else "back"
            found.append(f"the clock of this machine was set {way} by {abs(self.farthest_s):.1f} s")
        if self.longest_s >= STALL_S:
            found.append(f"this machine stood still for {self.longest_s:.0f} s")
        return found


@contextmanager
def watch_clock() -> Iterator[ClockWatch]:
    """Look at the clock twice a second while the block runs."""
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
