"""verdict.json: what a machine needs to act on a run."""

from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.model.metric import Better, Scale
from pipeline.model.report import Bound, Report, Rule, Verdict
from pipeline.model.results import Failure, Interleave
from pipeline.model.subject import Arm, Subject

# 1: the first version.
# When the meaning of a field changes, add a number here and a step that upgrades older files.
VERDICT: Final = "milo-perf.verdict/1"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ChangeBody(_Strict):
    """A ratio (0.1 is +10 %) or, where `scale` is `difference`, an amount in the unit."""

    low: float
    estimate: float
    high: float
    bound: Bound = Bound.NONE


class MetricBody(_Strict):
    """One finding."""

    workload: str
    metric: str
    unit: str
    direction: Better
    scale: Scale
    margin: float
    floor: float
    gate: bool
    baseline: float | None
    candidate: float | None
    change: ChangeBody | None
    p_worse: float | None
    p_better: float | None
    detectable_change: float | None
    verdict: Verdict
    pairs: int
    stored: float | None
    warnings: tuple[str, ...]


class InvalidTrial(_Strict):
    """A trial that never became a number."""

    pair: int
    arm: Arm
    reasons: tuple[str, ...]


class FailedTrial(_Strict):
    """A trial in which a build died, restarted or could not be prepared."""

    pair: int
    arm: Arm
    failures: tuple[Failure, ...]


class VerdictBody(_Strict):
    """verdict.json: what a machine needs to act on a run."""

    schema_name: Literal["milo-perf.verdict/1"] = Field(default=VERDICT, alias="schema")
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
    metrics: tuple[MetricBody, ...]
    warnings: tuple[str, ...]
    invalid_trials: tuple[InvalidTrial, ...]
    failed_trials: tuple[FailedTrial, ...] = ()


def verdict_body(report: Report, exit_code: int) -> VerdictBody:
    """Return what verdict.json says."""
    results = report.results
    return VerdictBody(
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
        metrics=tuple(
            MetricBody(
                workload=c.workload,
                metric=c.metric.name,
                unit=c.metric.unit,
                direction=c.metric.better,
                scale=c.metric.scale,
                margin=c.metric.margin,
                floor=c.metric.floor,
                gate=c.metric.gate,
                baseline=c.baseline,
                candidate=c.candidate,
                change=c.change
                and ChangeBody(
                    low=c.change.low,
                    estimate=c.change.estimate,
                    high=c.change.high,
                    bound=c.change.bound,
                ),
                p_worse=c.p_worse,
                p_better=c.p_better,
                detectable_change=c.detectable_change,
                verdict=finding.verdict,
                pairs=c.pairs,
                stored=c.stored,
                warnings=c.warnings,
            )
            for finding in report.findings
            for c in (finding.comparison,)
        ),
        warnings=report.warnings,
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
