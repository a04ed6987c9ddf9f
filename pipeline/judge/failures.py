"""Builds that died, restarted or could not be prepared under load: a result like any other."""

from pipeline.judge.rows import GATE
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Change, Comparison, Finding, Verdict
from pipeline.model.results import ResultSet
from pipeline.model.subject import Arm

LAUNCH = "launch"
"""In the place of a workload: a build fails a launch, whichever workload was running."""

LEAST_FAILURES = 2
"""Pairs in which a build must fail, and the other never, to be called worse: once may be chance."""

FAILED = Metric(
    name="failed_trials",
    unit="1",
    better=Better.LOWER,
    margin=1.0,
    gate=True,
    scale=Scale.DIFFERENCE,
)
"""In how many trials a build failed.  It gates in every suite, and is shown where it is not 0."""


def failed_trials(results: ResultSet) -> tuple[Finding, ...]:
    """Return the finding on failures; nothing where no valid pair has any.

    The candidate is worse if it failed in two pairs or more and the baseline in none, and better if
    it is the other way round.  Anything between is inconclusive.  Pairs in which both failed are
    invalid, and are not counted.
    """
    valid = set(results.valid_pairs)
    failed = {
        arm: [t for t in results.trials if t.arm is arm and t.pair in valid and t.failures]
        for arm in Arm
    }
    baseline, candidate = (len(failed[arm]) for arm in Arm)
    if not baseline and not candidate:
        return ()
    if candidate >= LEAST_FAILURES and not baseline:
        verdict = Verdict.REGRESSED
    elif baseline >= LEAST_FAILURES and not candidate:
        verdict = Verdict.IMPROVED
    else:
        verdict = Verdict.INCONCLUSIVE
    change = float(candidate - baseline)
    said = (
        f"the candidate failed in {candidate} of {len(valid)} pairs, the baseline in {baseline} of"
        f" {len(valid)}; values of a failed workload are not counted"
    )
    comparison = Comparison(
        workload=LAUNCH,
        metric=FAILED,
        baseline=float(baseline),
        candidate=float(candidate),
        change=Change(change, change, change),
        p_worse=None,
        p_better=None,
        detectable_change=None,
        pairs=len(valid),
        warnings=(said,),
        family=GATE,
    )
    return (Finding(comparison, verdict),)
