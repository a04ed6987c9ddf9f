"""The publication of a run, with the regressions that have been accepted."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from fnmatch import fnmatchcase

from pipeline.judge import policy, scale
from pipeline.model.publication import Acceptance, Origin, Outcome, Publication
from pipeline.model.report import Finding, Report, Verdict
from pipeline.system.errors import Exit


def publication_of(
    key: str, origin: Origin, report: Report, acceptances: Sequence[Acceptance] = (), *, today: date
) -> Publication:
    """Return the publication of a report that we judged, of numbers from an untrusted artifact.

    The first acceptance that covers a regression counts, until the end (UTC) of its last day.
    """
    accepted: dict[str, Acceptance] = {}
    expired: dict[Acceptance, None] = {}
    for finding in report.findings:
        if finding.verdict is not Verdict.REGRESSED:
            continue
        covering = [one for one in acceptances if _covers(one, finding)]
        if valid := [one for one in covering if one.until >= today]:
            accepted[finding.comparison.key] = valid[0]
        else:
            expired |= dict.fromkeys(covering)
    return Publication(
        key, _outcome(report, accepted), origin, report, accepted=accepted, expired=tuple(expired)
    )


def _outcome(report: Report, accepted: dict[str, Acceptance]) -> Outcome:
    if policy.exit_code(report, strict=False) is Exit.WRONG_LOAD:
        return Outcome.BROKEN
    reds = [f for f in report.gating if f.verdict is Verdict.REGRESSED]
    if any(f.comparison.key not in accepted for f in reds):
        return Outcome.REGRESSED
    if not report.gating or any(f.verdict is Verdict.INCONCLUSIVE for f in report.gating):
        return Outcome.INCONCLUSIVE
    return Outcome.ACCEPTED if reds else Outcome.PASSED


def _covers(acceptance: Acceptance, finding: Finding) -> bool:
    change, metric = finding.comparison.change, finding.comparison.metric
    if change is None or not fnmatchcase(finding.comparison.key, acceptance.metric):
        return False
    if acceptance.most is None:
        return True
    if scale.hides_the_worst(metric, change.bound):
        return False
    most = scale.margin(replace(metric, margin=acceptance.most))
    return not scale.is_above(scale.worse(metric, change.estimate), most)
