"""What is published of a run: its report, or why there is none, and what it belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from pipeline.model.report import Report


class Outcome(StrEnum):
    """What a publication says in one word."""

    PASSED = "passed"
    REGRESSED = "regressed"
    ACCEPTED = "accepted"
    """Every regression that gates is one that somebody has accepted."""

    INCONCLUSIVE = "inconclusive"
    INCOMPLETE = "incomplete"
    """Nothing regressed, but metrics that gate have no numbers."""

    BROKEN = "broken"
    """There are no numbers to judge."""

    SKIPPED = "skipped"
    """Nothing was measured, because nothing was changed that could be."""

    WAITING = "waiting"
    """Nothing was measured, because a person has to look first."""

    STOPPED = "stopped"
    """The workflow run was cancelled or skipped before it had an answer."""

    @property
    def is_result(self) -> bool:
        """Whether a build was measured, or broke while it was."""
        return self not in (
            Outcome.SKIPPED,
            Outcome.WAITING,
            Outcome.STOPPED,
        )


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A regression that is known and is not to turn a run red.

    Attributes:
        metric: Of `workload/metric`; `*` and `?` stand for any characters and for one.
        reason: Why it is accepted.
        by: Who has accepted it.
        until: The last day on which it counts, UTC.
        most: The largest worsening that it covers: a ratio or, on the difference scale, an amount
            in the metric's unit; None for any.
    """

    metric: str
    reason: str
    by: str
    until: date
    most: float | None = None

    def __post_init__(self) -> None:
        for name in ("metric", "reason", "by"):
            if not getattr(self, name).strip():
                raise ValueError(f"{name}: must not be empty")
        if self.most is not None and not self.most > 0:
            raise ValueError("most: must be above zero")


@dataclass(frozen=True, slots=True)
class Alarm:
    """A step for the worse in a history, that nobody has explained.

    Attributes:
        series: Its name.
        sentence: How large, since when, between which commits.
    """

    series: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a run comes from, as GitHub itself says it; nothing of it is from the artifact.

    Attributes:
        head_sha: The commit that was measured.
        run_url: Page of the workflow run; empty when unknown.
        run_number: As its page shows it; 0 when unknown.
        attempt: From 1.
        artifact_url: Page from which everything that was measured can be had; empty when unknown.
        report_url: Where a browser opens the report; empty when unknown.
        is_fork: Whether the commit is of a repository whose authors may not write to ours.
        pull: Number of the pull request; 0 when there is none, or when nobody can tell which.
        base: Name of the branch that the pull request is for; empty when unknown.
        base_sha: Commit at the tip of that branch; empty when unknown.
    """

    head_sha: str = ""
    run_url: str = ""
    run_number: int = 0
    attempt: int = 1
    artifact_url: str = ""
    report_url: str = ""
    is_fork: bool = False
    pull: int = 0
    base: str = ""
    base_sha: str = ""


@dataclass(frozen=True, slots=True)
class Publication:
    """Everything that a comment, a check or an issue says.

    Attributes:
        key: Name of the suite, by which a comment is found again.
        outcome: What it says in one word.
        origin: Of the run.
        report: None where there is nothing to judge.
        reason: Why there is no report; foreign text.
        accepted: By `workload/metric`: of a regression, who accepted it and why.
        expired: Acceptances that would have covered a regression, had their day not passed.
        notes: What the publisher adds, each a sentence.
        alarms: Of the history that the run is kept in.
        lacking: `workload/metric` of each gating metric that too few pairs have numbers of.
        command: That measures the same commits again, built from nothing that an artifact says;
            empty where there is none to recommend.
    """

    key: str
    outcome: Outcome
    origin: Origin
    report: Report | None = None
    reason: str = ""
    accepted: Mapping[str, Acceptance] = field(default_factory=dict)
    expired: tuple[Acceptance, ...] = ()
    notes: tuple[str, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    lacking: frozenset[str] = frozenset()
    command: str = ""
