"""Interpret how the processes of ClusterLoader2 ended: which failed, how, and how fast each was.

ClusterLoader2 exits with 1 for every error, and reports success if it measured nothing.  So its
files decide whether the start-up, a step, a measurement or a summary failed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.drivers.clusterloader2.phases import KINDS, ProcessJob
from pipeline.drivers.clusterloader2.readings import readings
from pipeline.drivers.clusterloader2.report import JUNIT, make_portable, read_report
from pipeline.drivers.clusterloader2.wire import ClusterLoader2Report, ExpectedSummary, ReportedStep
from pipeline.model.ports import Span
from pipeline.model.results import Reading
from pipeline.model.subject import Arm
from pipeline.system import processes
from pipeline.system.errors import LoadError
from pipeline.system.processes import CommandResult

NOT_READY = "projects_never_ready"
WAIT = "wait for projects"

ANSWER_S = 0.25
"""Delay of a step's last answer that does not count as a wrong rate, in seconds."""

_CLOCK_S = 1e-9  # resolution of a duration in junit.xml, which may be 0

_CREATE = re.compile(r"(cycle \d+ )?create objects")

# The head of a line of klog: month, day and time, in UTC as we configure it.
_FIRST_STEP = re.compile(
    r"^I(\d\d)(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{6}) .*\] Running ", re.MULTILINE
)
_SUCCESSFUL = re.compile(r"\bsuccessful=(\d+)\b")


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """One process that ended, and when its steps began; the report of a stopped one is empty."""

    job: ProcessJob
    ended: CommandResult
    report: ClusterLoader2Report
    start_s: float

    @property
    def end_s(self) -> float:
        """Unix time at which the steps were over; the namespaces are deleted after that."""
        return self.start_s + sum(self._durations_s.values())

    @property
    def marks(self) -> tuple[float, ...]:
        """Ends of its cycles, rising; empty for a load without cycles."""
        cycles = {s.number for s in self.report.steps if s.name.startswith("end cycle ")}
        return tuple(
            self.start_s + sum(d for n, d in self._durations_s.items() if n <= number)
            for number in sorted(cycles)
        )

    @property
    def _durations_s(self) -> dict[int, float]:
        """Duration of each step by its number; the measurements of a step run concurrently."""
        longest: dict[int, float] = {}
        for step in self.report.steps:
            longest[step.number] = max(longest.get(step.number, 0.0), step.duration_s)
        return longest


@dataclass(frozen=True, slots=True)
class ProcessLoad:
    """The load that one process has to apply.

    Attributes:
        rate: Objects per second.
        objects: Number of objects to create, both kinds together.
        burst: Number of actions that begin at once.
        max_rate_error: Allowed deviation of the rate, as a share.
    """

    rate: float
    objects: int
    burst: int
    max_rate_error: float

    @property
    def intervals(self) -> float:
        """Number of intervals between actions; those of the first burst begin at once."""
        return self.objects / KINDS - self.burst


def read_result(
    job: ProcessJob, ended: CommandResult, expected: Sequence[ExpectedSummary]
) -> ProcessResult:
    """Return the result of a process that ended, or raise LoadError if it left no report."""
    if ended.timed_out:
        return ProcessResult(job, ended, ClusterLoader2Report(), ended.start_s)
    if not (job.report / JUNIT).is_file():
        raise LoadError(
            f"{job.name} {ended.status} before its first step", hint=processes.log_tail(job.log)
        )
    report = read_report(job.report, expected)
    make_portable(job.report)
    log = job.log.read_text(encoding="utf-8", errors="replace")
    return ProcessResult(job, ended, report, steps_start_s(log, ended))


def steps_start_s(log: str, ended: CommandResult) -> float:
    """Return the Unix time at which the steps of a process began, from its log or its own start.

    The times of the log are in UTC and without a year.
    """
    if (match := _FIRST_STEP.search(log)) is None:
        return ended.start_s
    year = datetime.fromtimestamp(ended.start_s, UTC).year
    month, day, hour, minute, second, micro = map(int, match.groups())
    start_s = datetime(year, month, day, hour, minute, second, micro, tzinfo=UTC).timestamp()
    return start_s if abs(start_s - ended.start_s) < 86_400 else ended.start_s


def build_failures(result: ProcessResult) -> Iterator[str]:
    """Yield how the build failed a process, as sentences without the name of the process.

    ClusterLoader2 retries a request several times before a step fails, so a failed step means that
    the build refused it or did not answer in time.  Projects that were not Ready in time are
    counted instead; see `never_ready`.
    """
    if result.ended.timed_out:
        yield f"it had not ended after {result.ended.end_s - result.ended.start_s:.0f} s"
    for step in result.report.steps:
        if step.failure and not step.measurement:
            yield f"the step of `{step.name}` failed: {_shorten(step.failure)}"


def is_slow(result: ProcessResult, load: ProcessLoad) -> bool:
    """Return whether a process was slower than its load.

    ClusterLoader2 waits for answers, so a slow build can be the reason.  If all builds are slow,
    the process can be.
    """
    return _excess_s(result, load) < 0


def describe_rate(result: ProcessResult, load: ProcessLoad) -> str:
    """Return the achieved and the asked rate as a sentence without the name of the process."""
    return (
        f"it created {object_rate(result, load) or 0.0:.4g} objects per second, but"
        f" {load.rate:.4g} were requested, within {load.max_rate_error:.0%}"
    )


def problems(result: ProcessResult, load: ProcessLoad | None) -> Iterator[str]:
    """Yield what ClusterLoader2 itself did wrong, so that its numbers do not count.

    The sentences do not have the name of the process.  `build_failures` and `is_slow` tell what
    the build did wrong.  Without a load, the rate does not matter.
    """
    if result.ended.timed_out:
        return
    for step in result.report.steps:
        if step.failure and step.measurement and not _is_wait(step):
            what = f"the measurement {step.measurement} of `{step.name}`"
            yield f"{what} failed: {_shorten(step.failure)}"
    for missing in result.report.missing:
        yield f"there is no report of {missing}, which the config asked for"
    for empty in result.report.empty:
        yield f"the report of {empty} has no number"
    has_failed_step = any(step.failure for step in result.report.steps)
    failures = [one.failure for one in result.report.configs if one.failure]
    if not has_failed_step:
        yield from (f"it failed before its first step: {_shorten(one)}" for one in failures)
    if not (result.ended.status.is_success or has_failed_step or failures):
        yield f"it {result.ended.status}, and nothing in its report failed"
    if load is not None and _excess_s(result, load) > 0:
        yield describe_rate(result, load)


def object_rate(result: ProcessResult, load: ProcessLoad) -> float | None:
    """Return the objects per second that were begun, or None if nothing was created."""
    created_s = _creation_s(result, load)
    return None if created_s is None else KINDS * load.intervals / max(created_s, _CLOCK_S)


def never_ready(results: Iterable[ProcessResult], projects: int) -> int:
    """Return the number of Projects that were not Ready in time, by the steps that waited."""
    missing = 0
    for step in (step for result in results for step in result.report.steps if _is_wait(step)):
        if step.failure:
            match = _SUCCESSFUL.search(step.failure)
            missing += projects - int(match[1]) if match else projects
    return missing


def combine_readings(results: Sequence[ProcessResult], load: ProcessLoad) -> Iterator[Reading]:
    """Yield the readings of one arm, combined over its processes, of which there is at least one.

    A duration or a latency is the mean over the processes, an availability the worst, a count or
    a rate the sum.
    """
    values_of: dict[tuple[str, str], list[float]] = {}
    for result in results:
        for reading in readings(result.report):
            values_of.setdefault((reading.name, reading.unit), []).append(reading.value)
    for (name, unit), values in values_of.items():
        yield Reading(name, _combine(name, values), unit)
    rates = [value for result in results if (value := object_rate(result, load)) is not None]
    if rates:
        yield Reading("cl2.rate", sum(rates), "1/s")


def spans(
    results: Mapping[Arm, Sequence[ProcessResult]], ends: Mapping[Arm, float]
) -> dict[Arm, Span]:
    """Return the span of each arm's load.

    `ends` has the Unix time at which deleted Projects were gone, if that is a part of the load.
    """
    return {
        arm: Span(
            min(result.start_s for result in of_arm),
            max([*(result.end_s for result in of_arm), *([ends[arm]] if arm in ends else [])]),
            of_arm[0].marks,
        )
        for arm, of_arm in results.items()
    }


def _combine(name: str, values: Sequence[float]) -> float:
    if name == "cl2.availability_share":
        return min(values)
    if name == "cl2.longest_gap":
        return max(values)
    if name.endswith(("/count", "/slow_count")):
        return sum(values)
    return sum(values) / len(values)


def _excess_s(result: ProcessResult, load: ProcessLoad) -> float:
    """Return the seconds by which the creation was too short, or 0 within the allowed deviation."""
    created_s = _creation_s(result, load)
    if created_s is None:
        return 0.0
    wanted_s = load.intervals / (load.rate / KINDS)
    excess_s = wanted_s - created_s
    return excess_s if abs(excess_s) > load.max_rate_error * wanted_s + ANSWER_S else 0.0


def _creation_s(result: ProcessResult, load: ProcessLoad) -> float | None:
    """Return the mean duration of the steps that create objects, or None without such a step."""
    durations = [s.duration_s for s in result.report.steps if _CREATE.fullmatch(s.name)]
    return sum(durations) / len(durations) if durations and load.intervals >= 1 else None


def _is_wait(step: ReportedStep) -> bool:
    return step.name == WAIT and bool(step.measurement)


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:297]}..."
