"""What a comparison found, and what we say about it."""

from dataclasses import dataclass
from enum import StrEnum

from pipeline.model.metric import Metric
from pipeline.model.results import ResultSet
from pipeline.model.subject import Arm


class Verdict(StrEnum):
    """The answer for one metric, and for a run."""

    REGRESSED = "regressed"
    IMPROVED = "improved"
    UNCHANGED = "unchanged"
    INCONCLUSIVE = "inconclusive"


class Bound(StrEnum):
    """What an estimated change says of the true one."""

    NONE = "none"
    """It estimates it."""

    AT_LEAST = "at least"
    """The true one is at least as large: a deadline cut off values of the candidate."""

    AT_MOST = "at most"
    """The true one is at most as large: a deadline cut off values of the baseline."""


@dataclass(frozen=True, slots=True)
class Change:
    """An estimate with its confidence interval: low <= estimate <= high.

    A ratio (0.1 is +10 %) or, on the difference scale, an amount in the metric's unit.  With a
    bound, the interval is open on one side, and that end repeats the estimate.
    """

    low: float
    estimate: float
    high: float
    bound: Bound = Bound.NONE


@dataclass(frozen=True, slots=True)
class Comparison:
    """The evidence for one metric: numbers only, no judgement.

    Attributes:
        workload: Name of the workload.
        metric: What was compared.
        baseline: Mean over the pairs that both arms have, in `metric.unit`, such that the change is
            the ratio of both (above the floor) or their difference; None when nothing was reported.
        candidate: The same of the candidate.
        change: Mean over the pairs, with its interval; None when there are fewer than two pairs.
        p_worse: One-sided p that the candidate is not worse, corrected for the number of metrics
            in its family; None without a change.
        p_better: The same for the other direction.
        detectable_change: The smallest worsening that this run would have called a regression
            with the stated power, on the scale of `change`; None without a change.
        pairs: Number of pairs that both arms have a value of; without pairs, of values of the
            arm that has fewer.
        stored: The same mean of the stored baseline, shown and never judged by.
        warnings: What a reader must know to trust this row.
        family: Of metrics among which the p values are corrected.
        tests: Number of tests that they are corrected for.
        at_worst: The worst change that is not excluded at the rule's `pass_alpha`, on the scale of
            `change`; None without a change, and where a deadline hides it.
        error: Standard error on the test's scale; None without a change.
        freedom: Its degrees of freedom; None without a change.
        cut_off: Arms of which a deadline cut values off: their means may be lower bounds.
        p_alone: One-sided p that the candidate is not worse, of this metric alone; None without a
            change.
        deviation: Standard deviation of a pair's difference on the test's scale, as these pairs
            alone show it; None where there are no pairs.
        prior: What earlier runs say of that deviation; None where nothing is known.
        fixed: The part of the error's square that more pairs, or more values of each arm, do not
            shrink.
        is_lopsided: Whether one arm lacks so many more values than the other that what is left
            decides nothing.
    """

    workload: str
    metric: Metric
    baseline: float | None
    candidate: float | None
    change: Change | None
    p_worse: float | None
    p_better: float | None
    detectable_change: float | None
    pairs: int
    stored: float | None = None
    warnings: tuple[str, ...] = ()
    family: str = ""
    tests: int = 1
    at_worst: float | None = None
    error: float | None = None
    freedom: float | None = None
    cut_off: tuple[Arm, ...] = ()
    p_alone: float | None = None
    deviation: float | None = None
    prior: float | None = None
    fixed: float = 0.0
    is_lopsided: bool = False

    @property
    def key(self) -> str:
        """`workload/metric`, the key of its samples."""
        return f"{self.workload}/{self.metric.name}"


@dataclass(frozen=True, slots=True)
class Advice:
    """What an inconclusive metric shows, and what would settle it.

    Attributes:
        shows: What can be said now, such as `worse by more than the margin, perhaps by chance`.
        more_pairs: Number of further pairs, or of values of each group, that would most likely
            settle it; None where no number that anybody waits for does.
    """

    shows: str
    more_pairs: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """A comparison and the verdict on it.

    Attributes:
        comparison: Of all pairs.
        verdict: On them; or the one of an earlier look, which is kept.
        kept: What an earlier look found, where the verdict is kept from there; its `pairs` says
            from which.
        advice: Of an inconclusive metric with an interval; otherwise None.
    """

    comparison: Comparison
    verdict: Verdict
    kept: Comparison | None = None
    advice: Advice | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """The constants that decided, so that a report can show them.

    Attributes:
        alpha: Chance of any false red among the gating metrics of equal builds, at most; of a run
            with several looks, that of this look.
        confidence: Of every interval shown.
        power: Chance to find a change as large as the detectable change.
        least_tests: Number of tests that p values are corrected for, at least.
        pass_alpha: Chance, at most, to exclude a worsening that is there.
        widest: How wide half an interval may be for a pass, in tolerances.
        apart: Standard deviation of what sets two groups apart that were not measured side by
            side, as a ratio.
    """

    alpha: float
    confidence: float
    power: float
    least_tests: int
    pass_alpha: float
    widest: float
    apart: float


@dataclass(frozen=True, slots=True)
class Report:
    """All findings of one run; every output format renders this.

    Attributes:
        results: What was measured.
        findings: In the suite's order.
        rule: The constants that decided.
        warnings: What concerns the run as a whole.
    """

    results: ResultSet
    findings: tuple[Finding, ...]
    rule: Rule
    warnings: tuple[str, ...] = ()

    @property
    def gating(self) -> tuple[Finding, ...]:
        """The findings that decide the verdict."""
        return tuple(f for f in self.findings if f.comparison.metric.gate)

    @property
    def verdict(self) -> Verdict:
        """The worst gating finding, which decides the exit code."""
        found = {finding.verdict for finding in self.gating}
        order = (Verdict.REGRESSED, Verdict.INCONCLUSIVE, Verdict.IMPROVED, Verdict.UNCHANGED)
        return next((v for v in order if v in found), Verdict.INCONCLUSIVE)
