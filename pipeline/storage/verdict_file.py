"""The shape of verdict.json and of `judge --json`; a finding has the same shape in both."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, with_config

from pipeline.judge.rows import floor_notes
from pipeline.judge.run_warnings import facts
from pipeline.model.metric import Better, Scale
from pipeline.model.report import Advice, Bound, Change, Finding, Report, Rule, Verdict
from pipeline.model.results import Failure, Interleave
from pipeline.model.subject import Arm, Subject

# 1: the first version.
# 2: `answer`, `next_step`, `facts` and `findings`; `metrics` is deprecated and will go with 3.
# When the meaning of a field changes, add a number here and a step that upgrades older files.
VERDICT: Final = "milo-perf.verdict/2"

# 1: the first version with a number; keys of the version before it are still there.
JUDGED: Final = "milo-perf.judged/1"

RULE_KEYS = {
    "between_run_sd": "apart",
    "max_half_width": "widest",
    "min_family_size": "least_tests",
}
"""Keys in JSON of the fields of a rule that have another name in the code."""

_DEPRECATED: Any = {"deprecated": True}
with_config(ConfigDict(extra="forbid", alias_generator=lambda field: RULE_KEYS.get(field, field)))(
    Rule
)


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class KeptBody(_Body):
    """Result of the interim analysis from which a verdict is kept."""

    pairs: int
    change: float | None
    low: float | None
    high: float | None
    bound: Bound
    p_worse: float | None
    p_better: float | None


class FindingBody(_Body):
    """One finding.

    `change`, `low`, `high`, `at_worst`, `margin`, `tolerance` and `detectable_change` are ratios
    (0.1 is +10 %) or, where `scale` is `difference`, amounts in the unit.
    """

    family: str
    workload: str
    metric: str
    description: str
    unit: str
    better: Better
    scale: Scale
    margin: float
    tolerance: float
    floor: float
    gate: bool
    verdict: Verdict
    baseline: float | None
    candidate: float | None
    change: float | None
    low: float | None
    high: float | None
    bound: Bound
    at_worst: float | None
    detectable_change: float | None
    p_worse: float | None
    p_better: float | None
    tests: int
    pairs: int
    stored: float | None
    kept: KeptBody | None
    advice: Advice | None
    warnings: tuple[str, ...]
    smallest_detectable: Annotated[
        float | None,
        Field(description="The same as `detectable_change`.", json_schema_extra=_DEPRECATED),
    ]


class MetricBody(_Body):
    """One finding in the shape of version 1."""

    workload: str
    metric: str
    unit: str
    direction: Better
    scale: Scale
    margin: float
    tolerance: float
    floor: float
    gate: bool
    baseline: float | None
    candidate: float | None
    change: Change | None
    at_worst: float | None
    p_worse: float | None
    p_better: float | None
    detectable_change: float | None
    smallest_detectable: float | None
    verdict: Verdict
    pairs: int
    stored: float | None
    warnings: tuple[str, ...]


class InvalidTrial(_Body):
    """An invalid trial, whose values are not used."""

    pair: int
    arm: Arm
    reasons: tuple[str, ...]


class FailedTrial(_Body):
    """A trial in which a build died, restarted or could not be prepared."""

    pair: int
    arm: Arm
    failures: tuple[Failure, ...]


class VerdictBody(_Body):
    """verdict.json: what a machine needs to act on a run."""

    schema_name: Literal["milo-perf.verdict/2"] = Field(default=VERDICT, alias="schema")
    answer: str
    next_step: str
    verdict: Verdict
    exit_code: int
    suite: str
    suite_digest: str
    environment: str
    interleave: Interleave
    seed: int
    subjects: dict[Arm, Subject]
    taken_at: datetime
    pairs_asked: int
    pairs_valid: int
    looks: tuple[int, ...]
    rule: Rule
    findings: tuple[FindingBody, ...]
    metrics: Annotated[
        tuple[MetricBody, ...],
        Field(description="The findings as version 1 had them.", json_schema_extra=_DEPRECATED),
    ]
    facts: tuple[str, ...]
    warnings: tuple[str, ...]
    invalid_trials: tuple[InvalidTrial, ...]
    failed_trials: tuple[FailedTrial, ...] = ()


class JudgedBody(_Body):
    """Output of `judge --json`."""

    schema_name: Literal["milo-perf.judged/1"] = Field(default=JUDGED, alias="schema")
    findings: tuple[FindingBody, ...]


def verdict_body(report: Report, exit_code: int, answer: str, next_step: str) -> VerdictBody:
    """Return the body of verdict.json; the next step is a command that would settle the run."""
    results = report.results
    return VerdictBody(
        answer=answer,
        next_step=next_step,
        verdict=report.verdict,
        exit_code=exit_code,
        suite=results.suite,
        suite_digest=results.suite_digest,
        environment=results.environment,
        interleave=results.interleave,
        seed=results.seed,
        subjects=results.subjects,
        taken_at=results.taken_at,
        pairs_asked=results.pairs_asked,
        pairs_valid=len(results.valid_pairs),
        looks=results.looks,
        rule=report.rule,
        findings=tuple(map(finding_body, report.findings)),
        metrics=tuple(map(_metric_body, report.findings)),
        facts=facts(results),
        warnings=report.warning_texts,
        invalid_trials=tuple(
            InvalidTrial(pair=trial.pair, arm=trial.arm, reasons=trial.invalid)
            for trial in results.trials
            if trial.invalid
        ),
        failed_trials=tuple(
            FailedTrial(pair=trial.pair, arm=trial.arm, failures=trial.failures)
            for trial in results.trials
            if trial.failures
        ),
    )


def finding_body(finding: Finding) -> FindingBody:
    """Return the body of a finding."""
    comparison, metric = finding.comparison, finding.comparison.metric
    change = comparison.change
    kept = finding.kept and finding_body(Finding(finding.kept, finding.verdict))
    return FindingBody(
        family=comparison.family,
        workload=comparison.workload,
        metric=metric.name,
        description=metric.description,
        unit=metric.unit,
        better=metric.better,
        scale=metric.scale,
        margin=metric.margin,
        tolerance=metric.tolerated,
        floor=metric.floor,
        gate=metric.gate,
        verdict=finding.verdict,
        baseline=comparison.baseline,
        candidate=comparison.candidate,
        change=change and change.estimate,
        low=change and change.low,
        high=change and change.high,
        bound=change.bound if change else Bound.NONE,
        at_worst=comparison.at_worst,
        detectable_change=comparison.detectable_change,
        p_worse=comparison.p_worse,
        p_better=comparison.p_better,
        tests=comparison.tests,
        pairs=comparison.pairs,
        stored=comparison.stored,
        kept=kept and KeptBody(**kept.model_dump(include=set(KeptBody.model_fields))),
        advice=finding.advice,
        warnings=(*comparison.warnings, *floor_notes(metric)),
        smallest_detectable=comparison.detectable_change,
    )


def _metric_body(finding: Finding) -> MetricBody:
    body = finding_body(finding).model_dump(include=set(MetricBody.model_fields) - {"change"})
    comparison = finding.comparison
    return MetricBody(**body, direction=comparison.metric.better, change=comparison.change)
