"""What a process of ClusterLoader2 left when it ended."""

from collections.abc import Sequence

from pipeline.drivers.clusterloader2.outcome import Result, began
from pipeline.drivers.clusterloader2.phases import Job
from pipeline.drivers.clusterloader2.report import make_portable, read_report
from pipeline.drivers.clusterloader2.reported import Expected
from pipeline.system import processes
from pipeline.system.errors import LoadError
from pipeline.system.processes import CommandResult


def require_report(job: Job, ended: CommandResult) -> None:
    """Return if a process came as far as a report.

    Raises:
        LoadError: It did not.
    """
    if not (job.report / "junit.xml").is_file():
        raise LoadError(
            f"{job.name} {ended.status} before its first step", hint=processes.log_tail(job.log)
        )


def result_of(job: Job, ended: CommandResult, expected: Sequence[Expected]) -> Result:
    """Return what a process left.

    Raises:
        LoadError: The report cannot be read.
    """
    report = read_report(job.report, expected)
    make_portable(job.report)
    log = job.log.read_text(encoding="utf-8", errors="replace")
    return Result(job, ended, report, began(log, ended))
