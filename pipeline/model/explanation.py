"""Explanations: what changed inside a build beside a metric that moved."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pipeline.model.metric import Metric
from pipeline.model.profiles import EvidenceKind
from pipeline.model.report import Change


class CauseScope(StrEnum):
    """What the values of a cause count."""

    SITE = "site"
    """Samples whose first frame outside of Go's runtime and standard library is the function."""

    CUMULATIVE = "cumulative"
    """Samples with the function anywhere on their stack."""

    SERIES = "series"
    """A metric that a component exports, or several series of it together."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One function or metric that moved beyond chance.

    Attributes:
        component: Component that it was seen in: `server`, `manager` or `etcd`.
        name: Name of the function, or of the metric with its labels.
        unit: Base unit of the values: `s`, `B` or `1`.
        baseline: Mean over the pairs, per operation.
        candidate: The same mean for the candidate.
        low: Lower end of the 95 % interval of the change.
        high: Upper end of that interval.
        p: P value, adjusted for all tests of the explanation.
        pairs: Number of pairs that both arms have.
        agreeing: Number of pairs in which it moved in this direction.
        attributed: Part of the change that is not explained by code that only moved below another
            function.
        group: Group of a metric, such as `etcd requests`; empty for functions.
        callers: Functions on the stack that moved most, the nearest caller first.
    """

    component: str
    kind: EvidenceKind
    scope: CauseScope
    name: str
    unit: str
    baseline: float
    candidate: float
    low: float
    high: float
    p: float
    pairs: int
    agreeing: int
    attributed: float
    group: str = ""
    callers: tuple[str, ...] = ()

    @property
    def change(self) -> float:
        """Mean change per operation."""
        return self.candidate - self.baseline


@dataclass(frozen=True, slots=True)
class FlameFrame:
    """One rectangle of a flame graph.

    Attributes:
        depth: Number of frames below it, 0 for a root.
        start: Left edge, as a share of the whole width.
        width: Width, as a share of the whole width.
        change: Change of its value in shares of its value; 1 if it is new.
        has_moved: True if its function moved beyond chance.
    """

    name: str
    depth: int
    start: float
    width: float
    baseline: float
    candidate: float
    change: float
    has_moved: bool


@dataclass(frozen=True, slots=True)
class FlameGraph:
    """A flame graph of the candidate, with the change to the baseline.

    Attributes:
        unit: Base unit of the values of its frames, which are per operation.
        left_out: Share of the candidate's value in frames that are too small to be drawn.
    """

    component: str
    kind: EvidenceKind
    unit: str
    frames: tuple[FlameFrame, ...]
    left_out: float = 0.0


@dataclass(frozen=True, slots=True)
class WorkloadExplanation:
    """What moved under one workload.

    Attributes:
        metric: The metric that is explained: the one that moved most.
        change: Change of that metric in the judged pairs; None if it was named without one.
        per: Operation that values are divided by, such as `create`, `request` or `Project`.
        pairs: Number of extra pairs with evidence of both arms.
        tests: Number of tests that the p values are adjusted for.
        causes: Functions and metrics beyond chance, the most likely cause first.
        metrics: Metrics of the components beyond chance, by group, causes or not.
        flames: Flame graphs, that of the first cause first.
        gaps: Sentences about evidence that is missing.
    """

    workload: str
    metric: Metric
    change: Change | None
    per: str
    pairs: int
    tests: int
    causes: tuple[Cause, ...] = ()
    metrics: tuple[Cause, ...] = ()
    flames: tuple[FlameGraph, ...] = ()
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that `explain` says of a run.

    Attributes:
        run: Digest of the run's results: an explanation of other results is not shown.
        taken_at: Start time of the first extra pair, UTC.
        alpha: Probability that anything is named although the builds are equal.
        workloads: Workloads of the metrics that moved, in the suite's order.
    """

    run: str
    taken_at: datetime
    alpha: float
    workloads: tuple[WorkloadExplanation, ...]
