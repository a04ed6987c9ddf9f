"""Was the load applied as asked?  Pure: what was asked and what was done in, a `Load` out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.drivers.points import ArmPoints, Points
from pipeline.model.results import Reading
from pipeline.model.subject import Arm
from pipeline.ports import Load

# Share of the machine's processors from which on a reader is told that k6 takes them from the
# builds.  It makes no load invalid: it weighs on both arms alike.
_BUSY_GENERATOR = 0.5


@dataclass(frozen=True, slots=True)
class Asked:
    """What a load must have been to count; the attributes are those of `K6`."""

    rate: float | None
    iterations: int | None
    duration_s: float
    max_failed_share: float
    max_rate_error: float
    max_generator_cpu: float


def judge(asked: Asked, points: Points, cpu: float, complaints: Sequence[str]) -> Load:
    """Return what was measured, and why it does not count where the load was not as asked.

    A Project that is not Ready or not gone in time is no fault of the load: it is counted, and a
    suite may gate on the count.

    Args:
        asked: What was asked.
        points: What k6 did.
        cpu: Share of the machine's processors that k6 used, between 0 and 1.
        complaints: Errors in k6's log.
    """
    invalid = [said for arm, found in points.arms.items() for said in _arm(asked, arm, found)]
    if points.dropped:
        invalid.append(f"k6 dropped {points.dropped} iterations, as all its VUs were busy")
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
    busy = Reading("generator_cpu_share", cpu, "1")
    readings = {arm: (*found.readings, busy) for arm, found in points.arms.items()}
    spans = {arm: found.span for arm, found in points.arms.items()}
    return Load(readings, spans, tuple(invalid), tuple(warnings))


def _too_short(asked: Asked, rate: float, points: Points) -> Iterator[str]:
    lasted_s = max(found.span.end_s - found.span.start_s for found in points.arms.values())
    shortest_s = (1 - asked.max_rate_error) * asked.duration_s - 1 / rate
    if lasted_s < shortest_s:
        yield f"the load lasted {lasted_s:.1f} s, not {asked.duration_s:g} s"


def _arm(asked: Asked, arm: Arm, found: ArmPoints) -> Iterator[str]:
    if found.failed_share > asked.max_failed_share:
        yield (
            f"{found.failed_share:.1%} of the {arm}'s requests failed, most with"
            f" {found.failed_with}; {asked.max_failed_share:.1%} is the limit"
        )
    if asked.rate is not None:
        wanted = asked.rate * asked.duration_s
        if abs(found.iterations - wanted) > asked.max_rate_error * wanted + 1:  # 1: of rounding
            rate = found.iterations / asked.duration_s
            yield f"the {arm} got {rate:.3g} iterations per second, and {asked.rate:g} were asked"
    elif found.iterations != asked.iterations:
        yield f"the {arm} ended {found.iterations} of {asked.iterations} iterations in time"
