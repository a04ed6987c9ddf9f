"""A gap in what a probe saw is a gap: nothing is interpolated over it.

A probe looks every so often.  Where it did not for more than `PERIODS` of its periods, because this
program, or the whole machine, stood still, nobody knows what happened meanwhile.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from pipeline.model.ports import Span
from pipeline.system.clock import SteadyClock
from pipeline.system.errors import ProbeError
from pipeline.system.periodic import run_periodically

PERIODS = 3.0
"""A longer time between two looks, in periods of the probe, is a gap."""


def gap_s(times_s: Sequence[float], span: Span, period_s: float) -> float:
    """Return the longest gap between two looks that reaches into a span, in s; 0 where none does.

    Args:
        times_s: Of each look, in s of Unix time and in the order made.
        span: The part that counts.
        period_s: From one look to the next, as it should be.
    """
    gaps = [
        abs(after - before)  # a look that is before the one before it is a clock that was set
        for before, after in pairwise(times_s)
        if (after > span.start_s and before < span.end_s) or after < before
    ]
    return max((gap for gap in gaps if gap > PERIODS * period_s), default=0.0)


def require_looks(times_s: Sequence[float], span: Span, period_s: float, what: str) -> None:
    """Return if something was looked at over a whole span, without a gap.

    Args:
        times_s: See `gap_s`.
        span: See `gap_s`.
        period_s: See `gap_s`.
        what: Such as `process probe: server`, for the message.

    Raises:
        ProbeError: It was not.
    """
    if not times_s or times_s[0] > span.start_s or times_s[-1] < span.end_s:
        raise ProbeError(f"{what} was not seen over the whole load")
    if gap := gap_s(times_s, span, period_s):
        raise ProbeError(f"{what} was not seen for {gap:.1f} s of the load")


@dataclass(slots=True)
class Pulse:
    """Notices when this program stood still, for a probe that waits for others.

    Attributes:
        period_s: From one beat to the next, in s.
        clock: By which the gaps are.
        gaps: Beginning and end of each time without a beat, in s of Unix time.
    """

    period_s: float
    clock: SteadyClock = field(default_factory=SteadyClock)
    gaps: list[tuple[float, float]] = field(default_factory=list)
    last_s: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        """Note that this program runs."""
        now_s = time.monotonic()
        if now_s - self.last_s > PERIODS * self.period_s:
            self.gaps.append((self.clock.offset_s + self.last_s, self.clock.offset_s + now_s))
        self.last_s = now_s

    def require_steady(self, span: Span, probe: str) -> None:
        """Return if this program ran during all of a span.

        Raises:
            ProbeError: It stood still.
        """
        stood = [
            end - start for start, end in self.gaps if start < span.end_s and end > span.start_s
        ]
        if stood:
            raise ProbeError(f"{probe}: it stood still for {max(stood):.1f} s of the load")


@contextmanager
def pulse(period_s: float, name: str) -> Iterator[Pulse]:
    """Beat while the block runs.

    Args:
        period_s: From one beat to the next, in s.
        name: Of the thread.
    """
    found = Pulse(period_s)
    with run_periodically(found.beat, period_s, name):
        yield found
