"""Fill a build with Projects or objects by k6, and define the load that probes it afterwards."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.drivers.k6.command import POINTS
from pipeline.drivers.k6.csv_points import PointSeries, read_series
from pipeline.drivers.k6.settings import K6
from pipeline.drivers.k6.single import run_script
from pipeline.model.capacity import CapacityQuestion, CountedResource
from pipeline.model.limit import Limit
from pipeline.model.ports import Program, Target

SCRIPT = "capacity.js"
OPERATIONS_PER_ITERATION = 5

READY_TIMEOUT_S = 120.0
"""A Project that is not Ready by then counts as missing; a limit of `ready` can raise it."""

MAX_TIMEOUT_S = 30.0
"""Longest timeout of a request."""

FILL_S = 3600.0
"""Nominal seconds of a fill; the budget of the search ends one that is too long."""

_READY = "project_ready"
_WARMUP_S = 3.0
_TIMEOUT_PER_LIMIT = 2.0  # request timeout as a multiple of the longest limit of a time
_MIN_TIMEOUT_S = 2.5


@dataclass(frozen=True, slots=True)
class FillResult:
    """The result of a fill.

    Attributes:
        asked: Number of Projects, or of objects in total, that were requested.
        missing: Number of them that do not exist, or were not Ready in time.
        most_common_error: Most common error, such as `status 500`; None without errors.
        ready_s: 95th percentile of the seconds from creation to Ready; None without Projects.
    """

    asked: int
    missing: int
    most_common_error: str | None
    ready_s: float | None


def fill(
    question: CapacityQuestion,
    things: CountedResource,
    span: range,
    target: Target,
    *,
    program: Program,
    out: Path,
    check: Callable[[], None],
) -> FillResult:
    """Create Projects, or objects in every Project, by number, and return once they exist.

    `check` is called often; an exception from it ends the fill.

    Raises:
        CommandError: k6 failed, and not only some of what it sent.
        LoadError: What `check` raises.
    """
    settings = fill_settings(question, things, span)
    asked = settings.iterations or 0
    reason = run_script(settings, target, program, out, seed=question.seed, check=check)
    if reason:
        return FillResult(asked=asked, missing=asked, most_common_error=reason, ready_s=None)
    result = _read_result(out / POINTS, asked)
    (out / POINTS).unlink()  # hundreds of bytes for each object, and read only once
    return result


def fill_settings(question: CapacityQuestion, things: CountedResource, span: range) -> K6:
    """Return the load that makes Projects, or objects in every Project, by number."""
    return K6(
        kind="k6",
        script=SCRIPT,
        iterations=len(span) * (question.projects if things is CountedResource.OBJECTS else 1),
        duration_s=FILL_S,
        projects=question.projects,
        object_bytes=question.object_bytes,
        deadline_s=ready_timeout_s(question.limits),
        parameters={"MODE": things.value, "FROM": span.start},
    )


def probe_settings(question: CapacityQuestion, n: int) -> K6:
    """Return the load that probes a build with N Projects or objects."""
    times_s = [x.below for x in question.limits if x.unit == "s" and x.quantity != "ready"]
    longest_s = _TIMEOUT_PER_LIMIT * max(times_s, default=0.0)
    return K6(
        kind="k6",
        script=SCRIPT,
        rate=question.rate,
        duration_s=question.hold_s,
        warmup_s=_WARMUP_S,
        projects=n if question.things is CountedResource.PROJECTS else question.projects,
        object_bytes=question.object_bytes,
        requests_per_iteration=OPERATIONS_PER_ITERATION,
        request_timeout_s=min(max(longest_s, _MIN_TIMEOUT_S), MAX_TIMEOUT_S),
        max_failed_share=0.999,  # errors are a result here, and may have their own limit
    )


def ready_timeout_s(limits: Sequence[Limit]) -> float:
    """Return the timeout of a Project to become Ready: at least twice its limit."""
    limits_s = [limit.below for limit in limits if limit.quantity == "ready"]
    return max([READY_TIMEOUT_S, *(2 * limit_s for limit_s in limits_s)])


def most_common_error(series: Iterable[PointSeries]) -> str | None:
    """Return the most common error of requests, such as `status 500`; None without errors."""
    errors = Counter[str]()
    for one in series:
        if one.metric == "http_req_duration" and one.failed:
            answered = one.status not in ("", "0")
            errors[f"status {one.status}" if answered else "no answer"] += len(one.measured)
    return errors.most_common(1)[0][0] if errors else None


def _read_result(path: Path, asked: int) -> FillResult:
    import numpy as np

    series = list(read_series(path))
    ready_ms = [one.measured for one in series if one.metric == _READY and not one.cut_off]
    made = round(sum(float(one.measured.sum()) for one in series if one.metric == "filled"))
    return FillResult(
        asked=asked,
        missing=max(0, asked - made),
        most_common_error=most_common_error(series),
        ready_s=float(np.quantile(np.concatenate(ready_ms), 0.95)) / 1e3 if ready_ms else None,
    )
