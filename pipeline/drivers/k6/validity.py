"""Decide whether k6 applied the load as asked, and build the `Load` from its points."""

import dataclasses
from collections.abc import Iterator, Sequence

from pipeline.drivers.k6.settings import K6
from pipeline.drivers.k6.summarize import ArmSummary, PointsSummary
from pipeline.model.ports import Load
from pipeline.model.results import Reading
from pipeline.model.subject import Arm

_BUSY_GENERATOR = 0.5
"""CPU share above which we warn that k6 competes with the servers; both arms are affected."""

_MAX_UNSENT = 0.02
"""Share of an arm's requests that k6 may fail to send (DNS, TLS, no local port left)."""


def judge(settings: K6, points: PointsSummary, cpu: float, log_errors: Sequence[str]) -> Load:
    """Return the load with its readings, and reasons if the load is invalid.

    Failures of the load generator make the load invalid: dropped iterations, requests that could
    not be sent, a wrong rate, too little CPU.  Failures of the build are measured: errors and
    timeouts as `errors_share`, times that a deadline cut off as lower bounds, and missing work as
    `unfinished_share`.  The scripts have a VU for each iteration that can be in progress, so a slow
    build never uses up the VUs.  `cpu` is the share of the processors that k6 used.
    """
    invalid = [text for item in points.arms.items() for text in _arm_problems(settings, *item)]
    if points.dropped:
        invalid.append(f"k6 dropped {points.dropped} iterations: it had no free VU in time")
    if cpu > settings.max_generator_cpu:
        limit = settings.max_generator_cpu
        invalid.append(f"k6 used {cpu:.0%} of the processors, and {limit:.0%} is the limit")
    if settings.rate is not None:
        lasted_s = max(one.span.end_s - one.span.start_s for one in points.arms.values())
        least_s = (1 - settings.max_rate_error) * settings.duration_s - 1 / settings.rate
        if lasted_s < least_s:
            invalid.append(f"the load lasted {lasted_s:.1f} s, not {settings.duration_s:g} s")
    warnings = []
    if log_errors:
        warnings.append(f"errors in k6's log: {len(log_errors)}, the first: {log_errors[0]}")
    if cpu > _BUSY_GENERATOR:
        warnings.append(f"k6 used {cpu:.0%} of the processors that it shares with the builds")
    readings = {arm: tuple(_readings(settings, one, cpu)) for arm, one in points.arms.items()}
    spans = {arm: one.span for arm, one in points.arms.items()}
    failing = {
        arm: (
            f"{one.failed_share:.1%} of the {arm}'s requests failed, most with"
            f" {one.failed_with}; {settings.max_failed_share:.1%} is the limit"
        )
        for arm, one in points.arms.items()
        if one.failed_share > settings.max_failed_share
    }
    overloaded = frozenset(
        arm for arm in failing if points.arms[arm].timed_out_share > settings.max_failed_share
    )
    return Load(readings, spans, tuple(invalid), tuple(warnings), failing, overloaded)


def _readings(settings: K6, summary: ArmSummary, cpu: float) -> Iterator[Reading]:
    """Yield the readings of an arm; for fixed work also the share that was not done."""
    unfinished = 0
    if settings.iterations is not None:
        unfinished = max(0, settings.iterations - summary.iterations)
        share = unfinished / settings.iterations
        yield Reading("unfinished_share", share, "1", denominator=float(settings.iterations))
    for reading in summary.readings:
        match reading.name:
            case "span" if unfinished:  # it ends with the work, which did not end
                yield dataclasses.replace(reading, at_least=True)
            case "cut_off":  # work that was not begun, or was interrupted, has no time at all
                yield dataclasses.replace(reading, value=reading.value + unfinished)
            case _:
                yield reading
    yield Reading("generator_cpu_share", cpu, "1")


def _arm_problems(settings: K6, arm: Arm, summary: ArmSummary) -> Iterator[str]:
    if summary.unsent_share > _MAX_UNSENT:
        yield (
            f"k6 could not send {summary.unsent_share:.1%} of the {arm}'s requests, most with"
            f" {summary.failed_with}; {_MAX_UNSENT:.1%} is the limit"
        )
    if settings.rate is not None:
        wanted = settings.rate * settings.duration_s
        if abs(summary.iterations - wanted) > settings.max_rate_error * wanted + 1:
            rate = summary.iterations / settings.duration_s
            yield (
                f"the {arm} got {rate:.3g} iterations per second, but {settings.rate:g} were"
                " requested"
            )
    elif settings.iterations is not None and summary.iterations > settings.iterations:
        yield (
            f"the {arm} ended {summary.iterations} iterations, but {settings.iterations} were"
            " requested"
        )
