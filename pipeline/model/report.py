"""The judgement of a run: comparisons, verdicts, and the rule that decided."""

from collections.abc import Iterable
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
    """The relation of an estimated change to the true one."""

    NONE = "none"
    """The estimate is not a bound."""

    AT_LEAST = "at least"
    """The true change is at least as large: a deadline cut off values of the candidate."""

    AT_MOST = "at most"
    """The true change is at most as large: a deadline cut off values of the baseline."""


@dataclass(frozen=True, slots=True)
class Change:
    """An estimate with its confidence interval: low <= estimate <= high.

    All three are ratios (0.1 is +10 %) or, on the difference scale, amounts in the metric's unit.
    With a bound, the interval is open on one side, and that end repeats the estimate.
    """

    low: float
    estimate: float
    high: float
    bound: Bound = Bound.NONE


@dataclass(frozen=True, slots=True)
class Comparison:
    """The evidence on one metric: numbers without a judgement.

    "Test scale" is that of `judge.scale`: logarithms of ratios, or differences; positive is worse.

    Attributes:
        baseline: Mean over the pairs that both arms have, in `metric.unit`, such that the change is
            the ratio of both means (above the floor) or their difference; None if nothing was
            reported.
        candidate: The same mean for the candidate.
        change: Mean change over the pairs, with its interval; None with fewer than two pairs.
        p_worse: One-sided p value of "the candidate is not worse", adjusted within the family; None
            without a change.
        p_better: One-sided p value of "the candidate is not better", likewise.
        detectable_change: Smallest worsening that this run would have called a regression with
            the stated power, on the scale of `change`; None without a change.
        pairs: Number of pairs that both arms have; without pairs, number of values of the smaller
            arm.
        stored: Mean of the stored baseline, which is shown and does not decide.
        warnings: Sentences about the numbers of this metric.
        family: Name of the metrics among which the p values are adjusted.
        tests: Number of tests that the p values are adjusted for.
        at_worst: Worst change that is not excluded at the rule's `pass_alpha`, on the scale of
            `change`; None without a change, and where a deadline hides it.
        standard_error: Standard error of the mean change, on the test scale; None without a change.
        degrees_of_freedom: Degrees of freedom of the standard error; None without a change.
        cut_off: Arms with values that a deadline cut off: their means may be lower bounds.
        p_unadjusted: One-sided p value of "the candidate is not worse" of this metric alone; None
            without a change.
        pair_sd: Standard deviation of a pair's difference on the test scale, from these pairs
            alone; None without pairs.
        prior_sd: The same from earlier runs, as it was used; None if it was not used.
        fixed_variance: Part of the squared standard error that more values do not shrink.
        is_lopsided: True if one arm lacks so many more values than the other that the rest decides
            nothing.
    """

    workload: str
    metric: Metric
    baseline: float | None
    candidate: float | None
    change: Change | None = None
    p_worse: float | None = None
    p_better: float | None = None
    detectable_change: float | None = None
    pairs: int = 0
    stored: float | None = None
    warnings: tuple[str, ...] = ()
    family: str = ""
    tests: int = 1
    at_worst: float | None = None
    standard_error: float | None = None
    degrees_of_freedom: float | None = None
    cut_off: tuple[Arm, ...] = ()
    p_unadjusted: float | None = None
    pair_sd: float | None = None
    prior_sd: float | None = None
    fixed_variance: float = 0.0
    is_lopsided: bool = False

    @property
    def key(self) -> str:
        """`workload/metric`, the key of its samples."""
        return f"{self.workload}/{self.metric.name}"


@dataclass(frozen=True, slots=True)
class Advice:
    """The state of an inconclusive metric, and how many more pairs would settle it.

    Attributes:
        shows: Present state, such as `worse by more than the margin, perhaps by chance`.
        more_pairs: Number of further pairs, or of values per group, that would most likely settle
            it; None if no reasonable number does.
    """

    shows: str
    more_pairs: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """A comparison and the verdict on it.

    Attributes:
        verdict: Verdict on it, or the verdict of an earlier interim analysis, which is kept.
        kept: Comparison of that earlier analysis, if the verdict is kept; its `pairs` says when.
        advice: Advice on an inconclusive metric that has an interval; otherwise None.
    """

    comparison: Comparison
    verdict: Verdict
    kept: Comparison | None = None
    advice: Advice | None = None


def worst_verdict(findings: Iterable[Finding]) -> Verdict:
    """Return the verdict of findings that all gate."""
    order = (Verdict.REGRESSED, Verdict.INCONCLUSIVE, Verdict.IMPROVED, Verdict.UNCHANGED)
    verdicts = {finding.verdict for finding in findings}
    return next((v for v in order if v in verdicts), Verdict.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class Rule:
    """The constants that decided, which a report shows; see `judge.constants`.

    Attributes:
        alpha: Largest probability of any false red among the gating metrics of equal builds; with
            interim analyses, at this analysis.
        confidence: Two-sided confidence level of every interval shown.
        power: Probability to find a change as large as the detectable change.
        min_family_size: Smallest number of tests that p values are adjusted for.
        pass_alpha: Largest probability to exclude a worsening that is there.
        max_half_width: Largest half-width of an interval for a pass, in tolerances.
        between_run_sd: Assumed standard deviation between two separate runs of equal builds, as a
            ratio.
    """

    alpha: float
    confidence: float
    power: float
    min_family_size: int
    pass_alpha: float
    max_half_width: float
    between_run_sd: float


class WarningKind(StrEnum):
    """The subject of a warning about a run; a report shows warnings of a kind together."""

    NOTE = "note"
    """A note of the command or the publisher, which says itself what to do."""

    FAILURES = "failures"
    """A build died, restarted or could not be prepared."""

    LOAD = "load"
    """Pairs are invalid, or fewer than asked for."""

    METRICS = "metrics"
    """Metrics cannot decide, or not as the suite intends."""

    BUILDS = "builds"
    """The arms differ in more than their source, or cannot be built again."""

    TRIALS = "trials"
    """Drivers and probes noticed something in trials that count."""


@dataclass(frozen=True, slots=True)
class RunWarning:
    """A reason to trust the answer of a run less."""

    kind: WarningKind
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """All findings of one run; every output format renders this.

    Attributes:
        findings: Findings in the suite's order.
        warnings: Warnings about the run as a whole, the gravest first.
    """

    results: ResultSet
    findings: tuple[Finding, ...]
    rule: Rule
    warnings: tuple[RunWarning, ...] = ()

    @property
    def warning_texts(self) -> tuple[str, ...]:
        """The text of each warning."""
        return tuple(warning.text for warning in self.warnings)

    @property
    def gating(self) -> tuple[Finding, ...]:
        """The findings that decide the verdict."""
        return tuple(f for f in self.findings if f.comparison.metric.gate)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the gating metrics, which decides the exit code."""
        return worst_verdict(self.gating)
