"""Was the load applied as asked?  Pure: what was asked and what was done in, a `Load` out."""

import dataclasses
from collections.abc import Iterator, Sequence

from pipeline.drivers.k6.settings import K6
from pipeline.drivers.k6.summarize import ArmPoints, Points
from pipeline.model.ports import Load
from pipeline.model.results import Reading
from pipeline.model.subject import Arm

# Share of the machine's processors from which on a reader is told that k6 takes them from the
# builds.  It makes no load invalid: it weighs on both arms alike.
_BUSY_GENERATOR = 0.5

_MOST_UNSENT = 0.02
"""Share of an arm's requests that k6 may fail to send (DNS, TLS, no port of this machine left)."""


def judge(asked: K6, points: Points, cpu: float, complaints: Sequence[str]) -> Load:
    """Return what was measured, and why it does not count where the generator failed.

    Two things are told apart.  What the generator did not do makes the load invalid: iterations
    that it dropped, requests that it could not send, a rate that it did not keep, a machine without
    CPU for it.  What the build did not do is measured: errors and timeouts as `errors_share`, times
    that a deadline cut off as lower bounds, and work that was not done as `unfinished_share`.  The
    scripts have a VU for each iteration that can be under way, however slow a build is, so a build
    never uses them up.

    Args:
        asked: What was asked.
        points: What k6 did.
        cpu: Share of the machine's processors that k6 used, between 0 and 1.
        complaints: Errors in k6's log.
    """
    invalid = [said for arm, found in points.arms.items() for said in _arm(asked, arm, found)]
    if points.dropped:
        invalid.append(f"k6 dropped {points.dropped} iterations: it had no free VU in time")
    if cpu > asked.max_generator_cpu:
        limit = asked.max_generator_cpu
        invalid.append(f"k6 used {cpu:.0%} of the processors, and {limit:.0%} is the limit")
    if asked.rate is not None:
        invalid += _too_short(asked, asked.rate, points)
    warnings = []
    if complaints:
        warnings.append(f"errors in k6's log: {len(complaints)}, the first: {complaints[0]}")
    if cpu > _BUSY_GENERATOR:
        warnings.append(f"k6 used {cpu:.0%} of the processors that it shares with the builds")
    readings = {arm: tuple(_readings(asked, found, cpu)) for arm, found in points.arms.items()}
    spans = {arm: found.span for arm, found in points.arms.items()}
    failing = {
        arm: (
            f"{found.failed_share:.1%} of the {arm}'s requests failed, most with"
            f" {found.failed_with}; {asked.max_failed_share:.1%} is the limit"
        )
        for arm, found in points.arms.items()
        if found.failed_share > asked.max_failed_share
    }
    return Load(readings, spans, tuple(invalid), tuple(warnings), failing)


def _readings(asked: K6, found: ArmPoints, cpu: float) -> Iterator[Reading]:
    """Yield the readings of an arm; of fixed work also how much of it was not done."""
    unfinished = 0
    if asked.iterations is not None:
        unfinished = max(0, asked.iterations - found.iterations)
        share = unfinished / asked.iterations
        yield Reading("unfinished_share", share, "1", of=float(asked.iterations))
    for reading in found.readings:
        match reading.name:
            case "span" if unfinished:  # it ends with the work, which did not end
                yield dataclasses.replace(reading, at_least=True)
            case "cut_off":  # what was not begun, or interrupted, has no time at all
                yield dataclasses.replace(reading, value=reading.value + unfinished)
            case _:
                yield reading
    yield Reading("generator_cpu_share", cpu, "1")


def _too_short(asked: K6, rate: float, points: Points) -> Iterator[str]:
    lasted_s = max(found.span.end_s - found.span.start_s for found in points.arms.values())
    shortest_s = (1 - asked.max_rate_error) * asked.duration_s - 1 / rate
    if lasted_s < shortest_s:
        yield f"the load lasted {lasted_s:.1f} s, not {asked.duration_s:g} s"


def _arm(asked: K6, arm: Arm, found: ArmPoints) -> Iterator[str]:
    if found.unsent_share > _MOST_UNSENT:
        yield (
            f"k6 could not send {found.unsent_share:.1%} of the {arm}'s requests, most with"
            f" {found.failed_with}; {_MOST_UNSENT:.1%} is the limit"
        )
    if asked.rate is not None:
        wanted = asked.rate * asked.duration_s
        if abs(found.iterations - wanted) > asked.max_rate_error * wanted + 1:  # 1: of rounding
            rate = found.iterations / asked.duration_s
            yield f"the {arm} got {rate:.3g} iterations per second, and {asked.rate:g} were asked"
    elif asked.iterations is not None and found.iterations > asked.iterations:
        yield f"the {arm} ended {found.iterations} iterations, and {asked.iterations} were asked"
