"""What came of ClusterLoader2's processes: which failed, how, and how fast each of them was.  Pure.

ClusterLoader2 exits with 1 for everything, and says "Success" where it measured nothing.  So a
start-up that failed, a step that failed, a measurement that failed and a report that is missing
are told apart by what it left.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.drivers.clusterloader2.phases import KINDS, Job
from pipeline.drivers.clusterloader2.report import readings
from pipeline.drivers.clusterloader2.reported import Report, Step
from pipeline.model.ports import Span
from pipeline.model.results import Reading
from pipeline.model.subject import Arm
from pipeline.system.processes import CommandResult

NOT_READY = "projects_never_ready"
WAIT = "wait for projects"

ANSWER_S = 0.25
"""A step ends with its last answer, which may come so much later, and is no fault of the rate."""

_CREATE = re.compile(r"(cycle \d+ )?create objects")

# The head of a line of klog: month, day and time, in UTC as we ask for.
_RUNNING = re.compile(r"^I(\d\d)(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{6}) .*\] Running ", re.MULTILINE)
_SUCCESSFUL = re.compile(r"\bsuccessful=(\d+)\b")


@dataclass(frozen=True, slots=True)
class Result:
    """One process that came to its end with a report.

    Attributes:
        job: What it was run for.
        ended: How.
        report: What it left.
        start_s: When its steps began, in seconds of Unix time.
    """

    job: Job
    ended: CommandResult
    report: Report
    start_s: float

    @property
    def end_s(self) -> float:
        """When its steps were over; the namespaces are deleted after that."""
        return self.start_s + sum(self._durations_s.values())

    @property
    def marks(self) -> tuple[float, ...]:
        """Ends of its cycles, rising; none of a load without cycles."""
        cycles = {s.number for s in self.report.steps if s.name.startswith("end cycle ")}
        return tuple(
            self.start_s + sum(d for n, d in self._durations_s.items() if n <= number)
            for number in sorted(cycles)
        )

    @property
    def _durations_s(self) -> dict[int, float]:
        """Return how long each step took, by its number; its measurements run side by side."""
        longest: dict[int, float] = {}
        for step in self.report.steps:
            longest[step.number] = max(longest.get(step.number, 0.0), step.duration_s)
        return longest


@dataclass(frozen=True, slots=True)
class Asked:
    """What one process was asked for.

    Attributes:
        rate: Objects per second.
        objects: It was to create, both kinds together.
        burst: Actions that begin at once.
        max_rate_error: How far the rate may be off, as a share.
    """

    rate: float
    objects: int
    burst: int
    max_rate_error: float

    @property
    def intervals(self) -> float:
        """Intervals between the first action and the last: those of a burst begin at once."""
        return self.objects / KINDS - self.burst


def began(log: str, ended: CommandResult) -> float:
    """Return when the steps of a process began, from its log; else when it was started.

    Args:
        log: In which times are UTC, without a year.
        ended: For the year, and where the log does not say.
    """
    if (found := _RUNNING.search(log)) is None:
        return ended.start_s
    year = datetime.fromtimestamp(ended.start_s, UTC).year
    month, day, hour, minute, second, micro = map(int, found.groups())
    said = datetime(year, month, day, hour, minute, second, micro, tzinfo=UTC).timestamp()
    return said if abs(said - ended.start_s) < 86_400 else ended.start_s


def refusals(result: Result) -> Iterator[str]:
    """Yield what the build did not do for a process, as sentences without its name.

    ClusterLoader2 tries a request several times before a step fails, so a step that failed says
    that the build refused, or did not answer in time.  A Project that is not Ready in time is
    counted instead, see `never_ready`.

    Args:
        result: Of the process.
    """
    if result.ended.timed_out:
        yield f"it had not ended after {result.ended.end_s - result.ended.start_s:.0f} s"
    for step in result.report.steps:
        if step.failure and not step.measurement:
            yield f"the step of `{step.name}` failed: {_short(step.failure)}"


def is_slow(result: Result, asked: Asked) -> str:
    """Return how much slower than asked a process was; empty where it was not.

    It waits for answers, so a slow build can be the reason; where all builds are slow, so can be
    the process.
    """
    achieved, off_s = rate(result, asked), _off_s(result, asked)
    if achieved is None or off_s >= 0:
        return ""
    return _rate_said(achieved, asked)


def problems(result: Result, asked: Asked | None) -> Iterator[str]:
    """Yield what ClusterLoader2 did not do, as sentences without its name: it does not count then.

    What the build did not do is told by `refusals` and `is_slow`.

    Args:
        result: Of the process.
        asked: Its load; None where its rate does not matter.
    """
    if result.ended.timed_out:
        return
    for step in result.report.steps:
        if step.failure and step.measurement and not _is_wait(step):
            what = f"the measurement {step.measurement} of `{step.name}`"
            yield f"{what} failed: {_short(step.failure)}"
    for missing in result.report.missing:
        yield f"there is no report of {missing}, which the config asked for"
    for empty in result.report.empty:
        yield f"the report of {empty} has no number"
    steps = any(step.failure for step in result.report.steps)
    if not steps:
        failures = [one.failure for one in result.report.overall if one.failure]
        yield from (f"it failed before its first step: {_short(said)}" for said in failures)
    failed = steps or any(one.failure for one in result.report.overall)
    if not (result.ended.status.is_success or failed):
        yield f"it {result.ended.status}, and nothing in its report failed"
    if asked is not None and _off_s(result, asked) > 0:
        yield _rate_said(rate(result, asked) or 0.0, asked)


def rate(result: Result, asked: Asked) -> float | None:
    """Return the objects per second that were begun, or None where nothing was created."""
    durations = [s.duration_s for s in result.report.steps if _CREATE.fullmatch(s.name)]
    if not durations or asked.intervals < 1:
        return None
    return KINDS * len(durations) * asked.intervals / sum(durations)


def never_ready(results: Iterable[Result], projects: int) -> int:
    """Return how many Projects were not Ready in time, as the steps that waited for them say."""
    missing = 0
    for step in (step for result in results for step in result.report.steps if _is_wait(step)):
        if step.failure:
            found = _SUCCESSFUL.search(step.failure)
            missing += projects - int(found[1]) if found else projects
    return missing


def combined(results: Sequence[Result], asked: Asked) -> Iterator[Reading]:
    """Yield the readings of one arm from those of all its processes.

    A duration or a latency is the mean over the processes, an availability the worst, a count or
    a rate the sum.

    Args:
        results: Of one arm; at least one.
        asked: The load of each.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for result in results:
        for reading in readings(result.report):
            found.setdefault((reading.name, reading.unit), []).append(reading.value)
    for (name, unit), values in found.items():
        yield Reading(name, _one(name, values), unit)
    rates = [value for result in results if (value := rate(result, asked)) is not None]
    if rates:
        yield Reading("cl2.rate", sum(rates), "1/s")


def spans(results: Mapping[Arm, Sequence[Result]], ends: Mapping[Arm, float]) -> dict[Arm, Span]:
    """Return when the load of each arm began and ended.

    Args:
        results: Of the stage that is measured.
        ends: When what was deleted was gone, where that is part of the load; in Unix time.
    """
    return {
        arm: Span(
            min(result.start_s for result in of_arm),
            max([*(result.end_s for result in of_arm), *_present(ends.get(arm))]),
            of_arm[0].marks,
        )
        for arm, of_arm in results.items()
    }


def _present(value: float | None) -> list[float]:
    return [] if value is None else [value]


def _one(name: str, values: Sequence[float]) -> float:
    if name == "cl2.availability_share":
        return min(values)
    if name == "cl2.longest_gap":
        return max(values)
    if name.endswith(("/count", "/slow_count")) and not name.startswith("cl2.etcd"):
        return sum(values)
    return sum(values) / len(values)


def _off_s(result: Result, asked: Asked) -> float:
    """Return how many seconds too short the creation took, below 0 too long; 0 within the limit."""
    achieved = rate(result, asked)
    if achieved is None:
        return 0.0
    wanted_s = asked.intervals / (asked.rate / KINDS)
    off_s = wanted_s - wanted_s * asked.rate / achieved
    return off_s if abs(off_s) > asked.max_rate_error * wanted_s + ANSWER_S else 0.0


def _rate_said(achieved: float, asked: Asked) -> str:
    return (
        f"it created {achieved:.4g} objects per second, and {asked.rate:.4g} were asked,"
        f" within {asked.max_rate_error:.0%}"
    )


def _is_wait(step: Step) -> bool:
    return step.name == WAIT and bool(step.measurement)


def _short(text: str) -> str:
    first = " ".join(text.split())
    return first if len(first) <= 300 else f"{first[:297]}..."
