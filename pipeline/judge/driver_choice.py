"""Decide which load driver owns each workload of an evaluation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, median

from pipeline.model.evaluation import Evaluation, FaultDetection, WorkloadAttempt

DRIVERS = ("k6", "clusterloader2")
"""Kinds of the compared drivers, in the order shown."""

MIN_VALID_SHARE = 0.8
"""A driver with a smaller share of valid attempts cannot own a workload."""


class ChoiceReason(StrEnum):
    """The reason why a driver owns a workload."""

    NONE_VALID = "none valid"
    """No driver reached `MIN_VALID_SHARE`, so the workload has no owner."""

    ONLY_VALID = "only valid"
    """One driver alone reached `MIN_VALID_SHARE`."""

    FAULTS = "faults"
    """The owner's metrics turned red for more known faults."""

    COST = "cost"
    """The drivers detect equally many faults, and the owner needs less CPU for a request."""

    TIE = "tie"
    """No number differs, so the first driver owns the workload."""


@dataclass(frozen=True, slots=True)
class DriverScore:
    """The results of one driver for one workload.

    Attributes:
        faults: Number of known faults for which its metrics turned red; None if none was tried.
        cost_s: CPU seconds of the tool for a thousand requests, the median; None if unknown.
    """

    driver: str
    valid: float
    faults: int | None
    cost_s: float | None

    @property
    def is_able(self) -> bool:
        """True if the driver can own the workload."""
        return self.valid >= MIN_VALID_SHARE


@dataclass(frozen=True, slots=True)
class DriverChoice:
    """The owner of a workload.

    Attributes:
        owner: Kind of the driver; None if no driver can own it.
    """

    workload: str
    owner: str | None
    reason: ChoiceReason
    scores: tuple[DriverScore, ...]


def choose_drivers(evaluation: Evaluation) -> tuple[DriverChoice, ...]:
    """Return the owner of each workload.

    A driver with fewer valid attempts than `MIN_VALID_SHARE` owns nothing.  Of the others, the one
    that detects more known faults owns the workload; at a tie, the one with the lower CPU cost.
    """
    return tuple(
        _choose(workload, _scores(evaluation, workload)) for workload in workloads(evaluation)
    )


def workloads(evaluation: Evaluation) -> tuple[str, ...]:
    """Return the names of the workloads, sorted."""
    return tuple(sorted({attempt.workload for attempt in evaluation.attempts}))


def attempts_of(evaluation: Evaluation, workload: str, driver: str) -> list[WorkloadAttempt]:
    """Return the attempts of one driver at one workload."""
    return [a for a in evaluation.attempts if (a.workload, a.driver) == (workload, driver)]


def valid_share(attempts: Sequence[WorkloadAttempt]) -> float:
    """Return the share of attempts that are valid."""
    return fmean(not attempt.invalid for attempt in attempts)


def cpu_cost(attempts: Iterable[WorkloadAttempt]) -> float | None:
    """Return the median CPU seconds for a thousand requests; None without a valid attempt."""
    costs = [1000 * a.cpu_s / a.requests for a in attempts if a.requests and not a.invalid]
    return median(costs) if costs else None


def _scores(evaluation: Evaluation, workload: str) -> tuple[DriverScore, ...]:
    return tuple(
        DriverScore(
            driver=driver,
            valid=valid_share(attempts),
            faults=_faults_detected(evaluation.seen, workload, driver),
            cost_s=cpu_cost(attempts),
        )
        for driver in DRIVERS
        if (attempts := attempts_of(evaluation, workload, driver))
    )


def _choose(workload: str, scores: tuple[DriverScore, ...]) -> DriverChoice:
    able = [score for score in scores if score.is_able]
    costs = [score for score in able if score.cost_s is not None]
    owner: DriverScore | None
    if not able:
        owner, reason = None, ChoiceReason.NONE_VALID
    elif len(able) == 1:
        owner, reason = able[0], ChoiceReason.ONLY_VALID
    elif len({score.faults or 0 for score in able}) > 1:
        owner, reason = max(able, key=lambda score: score.faults or 0), ChoiceReason.FAULTS
    elif costs:
        owner, reason = min(costs, key=lambda score: score.cost_s or 0.0), ChoiceReason.COST
    else:
        owner, reason = able[0], ChoiceReason.TIE
    return DriverChoice(workload, owner.driver if owner else None, reason, scores)


def _faults_detected(seen: Sequence[FaultDetection], workload: str, driver: str) -> int | None:
    """Return the number of faults with a red `WORKLOAD-DRIVER/METRIC`; None if none was tried."""
    red = [
        {key.partition("/")[0].rpartition("-")[0] for key in fault.red.get(driver, ())}
        for fault in seen
    ]
    return sum(workload in names for names in red) if seen else None
