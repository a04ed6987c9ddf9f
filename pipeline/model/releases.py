"""Releases of a product, each measured against the one before."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from pipeline.model.metric import Metric
from pipeline.model.report import Change, Verdict
from pipeline.model.results import Machine, Tool

_MAX_AMOUNT = 1e100


@dataclass(frozen=True, slots=True)
class Release:
    """One release to measure.

    Attributes:
        name: Name of the git tag, or a name that the user gave.
        spec: Spec of the build.
        commit: Id of the tag's commit; empty for a build that is no tag.
    """

    name: str
    spec: str
    commit: str = ""

    def __str__(self) -> str:
        commit = f" ({self.commit[:12]})" if self.commit else ""
        return f"{self.name}={self.spec}{commit}"


class ReleaseOutcome(StrEnum):
    """The result of one release."""

    FIRST = "first"
    """It was built, and there is no release before it to compare with."""

    MEASURED = "measured"
    """It was measured against a release before it."""

    SAME_COMMIT = "same commit"
    """Its commit is that of the release before, so it was not measured again."""

    SAME_BUILD = "same build"
    """Its build is, byte for byte, the one it would be compared with, so it was not measured."""

    NOT_BUILT = "not built"
    """It could not be built; the next release is compared with one before it."""

    FAILED = "failed"
    """It was built, and the run did not give numbers."""


@dataclass(frozen=True, slots=True)
class StepChange:
    """The change of one metric from one release to the next.

    Attributes:
        key: `workload/metric`.
        verdict: Verdict of the run.
        baseline: Mean of the release before, in the metric's unit; None if nothing was reported.
        candidate: Mean of the release, likewise.
        change: Change with its interval; None with fewer than two pairs.
        standard_error: Standard error of the change, on the test scale; None without one.
        degrees_of_freedom: Degrees of freedom of the standard error; None if it is known exactly.
        pairs: Number of pairs with numbers of both builds.
    """

    key: str
    verdict: Verdict
    baseline: float | None
    candidate: float | None
    change: Change | None
    standard_error: float | None
    degrees_of_freedom: float | None
    pairs: int

    def __post_init__(self) -> None:
        error, freedom = self.standard_error or 0.0, self.degrees_of_freedom
        amounts = (error, self.change.estimate) if self.change else (error,)
        if not all(abs(one) < _MAX_AMOUNT for one in amounts):
            raise ValueError(f"{self.key}: an amount whose square is not finite")
        if error < 0 or not (freedom is None or freedom > 0):
            raise ValueError(f"{self.key}: a standard error, or its degrees of freedom, below 0")


@dataclass(frozen=True, slots=True)
class ReleaseStep:
    """One release, measured against an earlier one, or the reason why it was not.

    Attributes:
        release: Name of the release.
        outcome: What became of it.
        against: Name of the release that it was compared with, or whose commit or build it has;
            empty if there is none.
        folder: Folder of the run, relative to that of all releases; empty without a run.
        reason: Reason why it was not built or measured; otherwise empty.
        exit_code: Exit code of a build or run that failed; otherwise 0.
        spent_s: Duration in seconds, without the build.
        verdict: Verdict of the run; None without one.
        answer: Answer of the run in one line; empty without one.
        pairs: Number of valid pairs.
        changes: Change of each metric, in the suite's order.
    """

    release: str
    outcome: ReleaseOutcome
    against: str = ""
    folder: str = ""
    reason: str = ""
    exit_code: int = 0
    spent_s: float = 0.0
    verdict: Verdict | None = None
    answer: str = ""
    pairs: int = 0
    changes: tuple[StepChange, ...] = ()


@dataclass(frozen=True, slots=True)
class ReleaseMetric:
    """A metric of a workload that at least one step measured."""

    workload: str
    metric: Metric

    @property
    def key(self) -> str:
        """`workload/metric`, the key of its changes."""
        return f"{self.workload}/{self.metric.name}"


@dataclass(frozen=True, slots=True)
class ReleaseSeries:
    """The results of all releases.

    Attributes:
        suite: Name of the suite.
        suite_digest: `sha256:…` of the suite's meaning.
        environment: Kind of the environment.
        releases: Releases in their order.
        seed: Random seed; each step has one derived from it.
        confidence: Two-sided confidence level of every interval.
        machine: Machine of the measurement.
        tools: Programs by name.
        taken_at: Start time, UTC.
        spent_s: Duration in seconds, builds included.
        metrics: Metrics in the suite's order.
        steps: Results of the first releases; a release without one was not reached.
    """

    suite: str
    suite_digest: str
    environment: str
    releases: tuple[Release, ...]
    seed: int
    confidence: float
    machine: Machine
    tools: dict[str, Tool]
    taken_at: datetime
    spent_s: float = 0.0
    metrics: tuple[ReleaseMetric, ...] = ()
    steps: tuple[ReleaseStep, ...] = ()

    def __post_init__(self) -> None:
        names = [release.name for release in self.releases]
        if len(set(names)) != len(names):
            raise ValueError("releases: a name is there twice")
        if [step.release for step in self.steps] != names[: len(self.steps)]:
            raise ValueError("steps: they must be those of the first releases, in order")
        if self.taken_at.tzinfo is None:
            raise ValueError("taken_at: a time zone is needed")
        for at, step in enumerate(self.measured):
            is_next = at == 0 or step.against == self.measured[at - 1].release
            if not is_next or step.against not in names[: names.index(step.release)]:
                raise ValueError(f"steps: {step.release} is not against the release before it")
        known = {metric.key for metric in self.metrics}
        for step in self.steps:
            if not {change.key for change in step.changes} <= known:
                raise ValueError(f"steps: {step.release} has a metric that is not in `metrics`")

    @property
    def measured(self) -> tuple[ReleaseStep, ...]:
        """The steps with numbers; each is against the release of the one before."""
        return tuple(step for step in self.steps if step.outcome is ReleaseOutcome.MEASURED)

    @property
    def missing(self) -> tuple[Release, ...]:
        """The releases that were not reached."""
        return self.releases[len(self.steps) :]

    @property
    def reference(self) -> str:
        """The name of the release that the next one is compared with; empty if there is none.

        It is the last release with numbers.  Before there is one, it is the last that was built.
        """
        built = (ReleaseOutcome.FIRST, ReleaseOutcome.FAILED)
        others = [step for step in self.steps if step.outcome in built]
        return next((step.release for step in reversed((*others, *self.measured))), "")

    def with_step(self, step: ReleaseStep, metrics: Iterable[ReleaseMetric]) -> "ReleaseSeries":
        """Return the series with one more step.

        Args:
            step: Step of the first release without one.
            metrics: Metrics of the step; those that the series has already are left out.
        """
        known = {metric.key for metric in self.metrics}
        new = (metric for metric in metrics if metric.key not in known)
        return replace(self, metrics=(*self.metrics, *new), steps=(*self.steps, step))

    def release(self, name: str) -> Release:
        """Return the release of a name."""
        return next(release for release in self.releases if release.name == name)

    def changes_of(self, key: str) -> tuple[StepChange | None, ...]:
        """Return the change of a metric in each measured step; None where it has none."""
        by_key = [{change.key: change for change in step.changes} for step in self.measured]
        return tuple(changes.get(key) for changes in by_key)
