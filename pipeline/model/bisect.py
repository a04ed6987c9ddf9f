"""A search for the commit that changed a metric, and the evidence of each commit."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from pipeline.model.metric import Metric
from pipeline.model.results import Machine, Tool

_ID = re.compile(r"[0-9a-f]{40}")
_MAX_DIFFERENCE = 1e100
_PULL = re.compile(r"Merge pull request #(\d{1,9})\b|.*\(#(\d{1,9})\)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of the history that is searched.

    Attributes:
        id: Full id.
        tree: Id of its tree; equal trees share a build of the cache.
        inputs: Digest of the files that a build may read; equal inputs are an equal build.
        authored_at: Time at which it was written.
        subject: First line of its message.
    """

    id: str
    tree: str
    inputs: str
    authored_at: datetime
    subject: str

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError("commits: an id must have 40 hexadecimal digits")
        if self.authored_at.tzinfo is None:
            raise ValueError("commits: authored_at needs a time zone")

    @property
    def pull(self) -> int | None:
        """Number of the pull request that its subject names; None without one."""
        match = _PULL.match(self.subject)
        return int(match[1] or match[2]) if match else None


class CommitOutcome(StrEnum):
    """The result of trying one commit."""

    MEASURED = "measured"
    """It was measured against the good end."""

    SAME_BUILD = "same build"
    """Its build inputs, or its build byte for byte, are those of a commit measured before."""

    NOT_BUILT = "not built"
    """The build command failed, so the commit is skipped."""

    FAILED = "failed"
    """The build did not start, died or gave no numbers, so the commit is skipped."""

    @property
    def is_skipped(self) -> bool:
        """True if nothing is known of the commit."""
        return self in (CommitOutcome.NOT_BUILT, CommitOutcome.FAILED)


@dataclass(frozen=True, slots=True)
class CommitEvidence:
    """What is known of one commit.

    Attributes:
        commit: Index of the commit in the history.
        outcome: Result of trying it.
        differences: Worsening against the good end on the test scale, one for each pair.
        same_as: Index of the commit whose build it has; None for a build of its own.
        folder: Folder of its results, relative to that of the search; empty without one.
        reason: Reason why it is skipped; otherwise empty.
        exit_code: Exit code of what failed; otherwise 0.
        build_s: Seconds of its build; 0 if it was in the cache.
        spent_s: Seconds of its pairs.
    """

    commit: int
    outcome: CommitOutcome
    differences: tuple[float, ...] = ()
    same_as: int | None = None
    folder: str = ""
    reason: str = ""
    exit_code: int = 0
    build_s: float = 0.0
    spent_s: float = 0.0

    def __post_init__(self) -> None:
        if not all(abs(one) < _MAX_DIFFERENCE for one in self.differences):
            raise ValueError("evidence: differences must be numbers whose squares are finite")
        if (self.outcome is CommitOutcome.SAME_BUILD) != (self.same_as is not None):
            raise ValueError("evidence: `same_as` belongs to the outcome `same build`")


@dataclass(frozen=True, slots=True)
class FoundCommit:
    """A commit that changed the metric.

    Attributes:
        commit: Index of the commit in the history.
        files: Files that it changed against its first parent, at most `MAX_FILES`.
        more_files: Number of further files.
    """

    commit: int
    files: tuple[str, ...] = ()
    more_files: int = 0


MAX_FILES = 50
"""Largest number of changed files of a commit that are kept."""

MAX_MEASURED = 48
"""Largest number of commits that are measured: a search of 1,000 commits gives up after 33."""


@dataclass(frozen=True)
class Bisection:
    """The results of a search.

    Attributes:
        repository: Repository, as it was given.
        url: https address of its origin; empty without one.
        good: Revision of the good end, as it was given.
        bad: Revision of the bad end, as it was given.
        commits: Commits by first parent, from the good end to the bad end.
        suite: Name of the suite.
        suite_digest: `sha256:…` of the suite's meaning.
        environment: Kind of the environment.
        workload: Workload of the metric.
        metric: Metric that is searched.
        prior_variance: Variance of a difference in earlier runs, on the test scale.
        prior_freedom: Degrees of freedom of that variance.
        seed: Random seed; each commit has one derived from it.
        machine: Machine of the search.
        tools: Programs by name.
        taken_at: Start time, UTC.
        build: Command that builds a commit.
        suite_path: Path of the suite's file; empty for a built-in suite.
        place: Environment that was asked for; empty for the suite's own.
        spent_s: Duration in seconds, builds included.
        wanted: Number of causes to find.
        evidence: Evidence of the commits that were tried, in the order tried; the first is that
            of the bad end.
        found: Causes, in the order found.
        is_finished: True if the search ended by itself, and not by its budget.
    """

    repository: str
    url: str
    good: str
    bad: str
    commits: tuple[Commit, ...]
    suite: str
    suite_digest: str
    environment: str
    workload: str
    metric: Metric
    prior_variance: float
    prior_freedom: float
    seed: int
    machine: Machine
    tools: dict[str, Tool]
    taken_at: datetime
    build: str = ""
    suite_path: str = ""
    place: str = ""
    spent_s: float = 0.0
    wanted: int = 1
    evidence: tuple[CommitEvidence, ...] = ()
    found: tuple[FoundCommit, ...] = ()
    is_finished: bool = False

    def __post_init__(self) -> None:
        if self.taken_at.tzinfo is None:
            raise ValueError("taken_at: a time zone is needed")
        if len(self.commits) < 2 or not self.positions[1:]:
            raise ValueError("commits: at least two with different build inputs are needed")
        if self.url and not self.url.startswith("https://"):
            raise ValueError("url: an https address is needed")
        if not (self.prior_variance > 0 and self.prior_freedom >= 1):
            raise ValueError("prior_variance, prior_freedom: above 0, and at least 1")
        indexes = [one.commit for one in self.evidence]
        known = set(self.positions[1:])
        if len(set(indexes)) != len(indexes) or not set(indexes) <= known:
            raise ValueError("evidence: each commit is there once, and changes a build input")
        if indexes and indexes[0] != self.positions[-1]:
            raise ValueError("evidence: the first must be that of the bad end")
        if len(self.measured) > MAX_MEASURED:
            raise ValueError(f"evidence: at most {MAX_MEASURED} commits are measured")
        positions = [self.position_of(one.commit) for one in self.found if one.commit in known]
        if len(positions) < len(self.found) or not all(map(self._has_size, positions)):
            raise ValueError("found: it must be a commit with evidence, as the one before it")
        measured = {one.commit for one in self.evidence if one.same_as is None}
        if any(one.same_as not in (None, 0, *measured) for one in self.evidence):
            raise ValueError("evidence: `same_as` must be a commit with evidence of its own")

    def _has_size(self, position: int) -> bool:
        """Return whether the change at a position is known: the commit and the one before it."""
        evidence = [self.evidence_at(at) for at in (position - 1, position) if at]
        by_commit = {one.commit: one for one in self.evidence}
        return all(
            one and (one.same_as == 0 or by_commit.get(one.same_as or 0, one).differences)
            for one in evidence
        )

    @property
    def key(self) -> str:
        """`workload/metric`."""
        return f"{self.workload}/{self.metric.name}"

    @cached_property
    def positions(self) -> tuple[int, ...]:
        """Indexes of the commits that differ from the one before in a build input.

        The first is 0, the good end.  A commit between two of them has the build of the first.
        """
        changed = (
            at
            for at in range(1, len(self.commits))
            if self.commits[at].inputs != self.commits[at - 1].inputs
        )
        return (0, *changed)

    @property
    def last_position(self) -> int:
        """Position of the bad end's build."""
        return len(self.positions) - 1

    def position_of(self, commit: int) -> int:
        """Return the position of a commit that changes a build input, by its index."""
        return self.positions.index(commit)

    def commit_at(self, position: int) -> Commit:
        """Return the commit at a position."""
        return self.commits[self.positions[position]]

    def evidence_at(self, position: int) -> CommitEvidence | None:
        """Return the evidence of the commit at a position, if it was tried."""
        index = self.positions[position]
        return next((one for one in self.evidence if one.commit == index), None)

    @property
    def skipped(self) -> tuple[int, ...]:
        """Positions of the commits that are skipped, rising."""
        tried = (one.commit for one in self.evidence if one.outcome.is_skipped)
        return tuple(sorted(self.position_of(commit) for commit in tried))

    @property
    def measured(self) -> tuple[CommitEvidence, ...]:
        """Evidence with pairs of its own."""
        return tuple(one for one in self.evidence if one.outcome is CommitOutcome.MEASURED)

    @property
    def pairs(self) -> int:
        """Number of pairs with numbers."""
        return sum(len(one.differences) for one in self.measured)

    def with_evidence(self, evidence: CommitEvidence) -> "Bisection":
        """Return the search with the newest evidence of one commit."""
        others: Iterable[CommitEvidence] = self.evidence
        if any(one.commit == evidence.commit for one in others):
            kept = (evidence if one.commit == evidence.commit else one for one in others)
            return replace(self, evidence=tuple(kept))
        return replace(self, evidence=(*others, evidence))
