"""Time while something is measured: from the monotonic clock, which nobody can set.

The clock of the machine (Unix time) may be set at any moment, by NTP, by a person or when a virtual
machine wakes up.  What a load generator writes is in Unix time, so ours is read once and then
counted on, and a trial during which the clock was set does not count.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.system.periodic import run_periodically

STEP_S = 0.1
"""The clock was set if it is so far from where it would be by itself, in seconds."""

_LOOK_S = 0.5
_TRIES = 5
_CLOSE_S = 1e-4  # a look that took no longer was not interrupted


def _offset_s() -> float:
    """Return the Unix time at which the monotonic clock was 0, as exactly as it can be read."""
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
    """Unix time, read once and then counted on by the monotonic clock.

    Attributes:
        offset_s: Unix time at which the monotonic clock was 0.
    """

    offset_s: float = field(default_factory=_offset_s)

    def now_s(self) -> float:
        """Return the Unix time, in seconds."""
        return self.offset_s + time.monotonic()

    def step_s(self) -> float:
        """Return how far the clock of the machine was set since, in seconds; forward is above 0."""
        return _offset_s() - self.offset_s


@dataclass(slots=True)
class ClockWatch:
    """Notices when the clock of the machine is set.

    Attributes:
        clock: As it was when the watch began.
        farthest_s: The largest step that was seen, in seconds; forward is above 0.
    """

    clock: SteadyClock = field(default_factory=SteadyClock)
    farthest_s: float = 0.0

    def look(self) -> None:
        """Note how far the clock was set."""
        step_s = self.clock.step_s()
        if abs(step_s) > abs(self.farthest_s):
            self.farthest_s = step_s

    def steps(self) -> list[str]:
        """Return a sentence if the clock was set, or else nothing."""
        self.look()
        if abs(self.farthest_s) < STEP_S:
            return []
        way = "forward" if self.farthest_s > 0 else "back"
        return [f"the clock of this machine was set {way} by {abs(self.farthest_s):.1f} s"]


@contextmanager
def watch_clock() -> Iterator[ClockWatch]:
    """Look at the clock of the machine twice a second while the block runs."""
    watch = ClockWatch()
    with run_periodically(watch.look, _LOOK_S, "clock"):
        yield watch
