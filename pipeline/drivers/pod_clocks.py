"""Compare the clocks of load pods, whose nodes may have different times."""

from collections.abc import Iterator, Mapping

from pipeline.model.ports import PodResult

MAX_DELAY_S = 1.0
"""Seconds that a pod may begin after the first: pods are started one after the other."""


def late_starts(starts_s: Mapping[str, float], allowed_s: float = MAX_DELAY_S) -> Iterator[str]:
    """Yield a sentence for each pod that began its load too long after the first.

    `starts_s` has the Unix time of each start, by the display name of the pod.
    """
    first_s = min(starts_s.values(), default=0.0)
    for name, start_s in starts_s.items():
        if start_s - first_s > allowed_s:
            late_s = start_s - first_s
            yield f"{name} began {late_s:.1f} s after the first, or its node's clock is off"


def clock_jumps(pod: PodResult, times_s: tuple[float, float] | None) -> Iterator[str]:
    """Yield a sentence if a pod has times from outside the run time of its program.

    The run time comes from a monotonic clock, so a difference means that Unix time was set.
    `times_s` are the first and the last Unix time of a measurement; None if there was none.
    """
    if times_s is None or not pod.ended_s:
        return
    first_s, last_s = times_s
    off_s = max(pod.began_s - first_s, last_s - pod.ended_s)
    if off_s > MAX_DELAY_S:
        yield f"{pod.name}: the clock of its node was set by about {off_s:.1f} s under load"
