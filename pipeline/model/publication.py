"""A publication on GitHub: the report of a run, or the reason why there is none, and its origin."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from pipeline.model.explanation import Explanation
from pipeline.model.report import Report


class Outcome(StrEnum):
    """The outcome of a publication in one word."""

    PASSED = "passed"
    REGRESSED = "regressed"
    ACCEPTED = "accepted"
    """Every gating regression has been accepted."""

    INCONCLUSIVE = "inconclusive"
    INCOMPLETE = "incomplete"
    """Nothing regressed, but gating metrics have no numbers."""

    BROKEN = "broken"
    """There are no numbers to judge."""

    SKIPPED = "skipped"
    """Nothing was measured, because no change affects a measurement."""

    WAITING = "waiting"
    """Nothing was measured yet, because a person has to approve it."""

    STOPPED = "stopped"
    """The workflow run was cancelled or skipped before it had an answer."""

    @property
    def is_result(self) -> bool:
        """True if a build was measured, or broke while it was."""
        return self not in (Outcome.SKIPPED, Outcome.WAITING, Outcome.STOPPED)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A known regression that does not turn a run red.

    Attributes:
        metric: Pattern of `workload/metric`; `*` matches any characters, `?` matches one.
        until: Last day on which it counts, UTC.
        most: Largest worsening that it covers: a ratio or, on the difference scale, an amount in
            the metric's unit; None for any.
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
    """An unacknowledged regression in a history.

    Attributes:
        sentence: Size, date and commits of the change.
    """

    series: str
    sentence: str


@dataclass(frozen=True, slots=True)
class SearchedCommit:
    """The result of a search for the commit of a change; its texts are untrusted.

    Attributes:
        sentence: What was found, or why nothing was.
        commit: Full id of the commit; empty if none was found.
        subject: First line of its message.
        url: https address of its repository; empty if unknown.
        pull: Number of its pull request; None without one.
    """

    sentence: str
    commit: str = ""
    subject: str = ""
    url: str = ""
    pull: int | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a run, from GitHub's API; nothing in it comes from the artifact.

    What is unknown is empty or 0.

    Attributes:
        artifact_url: URL of the artifact with all measurements.
        is_fork: True if the commit is from a repository without write access to ours.
        base_sha: Commit at the tip of the base branch of the pull request.
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
    """The content of a comment, a check or an issue.

    Attributes:
        key: Key of the benchmark, usually the name of the suite; it identifies the comment.
        report: Report of the run; None if there is nothing to judge.
        reason: Reason why there is no report; untrusted text.
        accepted: Acceptances of regressions by `workload/metric`.
        expired: Expired acceptances that would have covered a regression.
        notes: Notes of the publisher, each a sentence.
        alarms: Alarms of the history that the run is part of.
        searched: Results of a search for the commit, one for each cause.
        lacking: `workload/metric` of each gating metric with too few values.
        command: Command that measures the same commits again, made without data from the artifact;
            empty if there is none to recommend.
        explanation: What the run says of its own builds, unverified; None if nothing.
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
    searched: tuple[SearchedCommit, ...] = ()
    lacking: frozenset[str] = frozenset()
    command: str = ""
    explanation: Explanation | None = None
