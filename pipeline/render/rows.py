"""The rows of a comment: what each says of its metric, in which order, and how many say it."""

from typing import Any

from pipeline.judge.acceptance import name_of
from pipeline.model.publication import Publication
from pipeline.model.report import Finding, Verdict
from pipeline.model.subject import Arm
from pipeline.render import words
from pipeline.render.foreign import code, harmless
from pipeline.render.markdown import escaped, verbatim
from pipeline.render.numbers import allowed, amount, interval

_ICONS = {
    "regressed": "❌",
    "accepted": "🟡",
    "inconclusive": "❓",
    "missing": "❓",
    "new": "🆕",
    "improved": "🟢",
    "unchanged": "▫️",
}
_JOINED = "\u00a0"


def status(finding: Finding, publication: Publication) -> str:
    """Return what a row says of its metric in one word."""
    comparison = finding.comparison
    if name_of(finding) in publication.accepted:
        return "accepted"
    if comparison.baseline is None and comparison.candidate is not None:
        return "new"
    if comparison.candidate is None:
        return "missing"
    if name_of(finding) in publication.lacking and finding.verdict is not Verdict.REGRESSED:
        return "missing"
    return finding.verdict.value


def changed(publication: Publication) -> list[Finding]:
    """Return what somebody should look at, worst first."""
    findings = publication.report.findings if publication.report else ()
    order = list(_ICONS)
    return sorted(
        words.worst_first(f for f in findings if _matters(f, publication)),
        key=lambda f: order.index(status(f, publication)),
    )


def every(publication: Publication) -> list[dict[str, Any]]:
    """Return all rows, in the suite's order."""
    findings = publication.report.findings if publication.report else ()
    return [row(finding, publication) for finding in findings]


def row(finding: Finding, publication: Publication) -> dict[str, Any]:
    """Return the cells of a row, in Markdown."""
    comparison = finding.comparison
    metric, said = comparison.metric, status(finding, publication)
    return {
        "icon": _ICONS[said],
        "status": said if metric.gate else f"{said}, does not gate",
        "name": verbatim(code(words.key(finding))),
        "baseline": _number(words.measured(finding, Arm.BASELINE)),
        "candidate": _number(words.measured(finding, Arm.CANDIDATE)),
        "change": _number(interval(metric, comparison.change)),
        "margin": _number(allowed(metric)),
        "sees": _number(amount(metric, comparison.detectable_change)),
    }


def counts(publication: Publication) -> str:
    """Return how many rows have each status, the gating ones apart from the others."""
    findings = publication.report.findings if publication.report else ()
    parts = []
    for what, gates in (("gating", True), ("others", False)):
        found = [status(f, publication) for f in findings if f.comparison.metric.gate is gates]
        tally = ", ".join(f"{found.count(said)} {said}" for said in _ICONS if said in found)
        parts += [f"{what}: {tally}"] if tally else []
    return " · ".join(parts) or "no metrics"


def sentence(finding: Finding) -> str:
    """Return a row in one line of plain text, for an annotation."""
    comparison = finding.comparison
    metric = comparison.metric
    return (
        f"{harmless(words.key(finding))}:"
        f" {words.measured(finding, Arm.BASELINE)} to"
        f" {words.measured(finding, Arm.CANDIDATE)},"
        f" {interval(metric, comparison.change)}, margin {allowed(metric)}"
    )


def _matters(finding: Finding, publication: Publication) -> bool:
    said = status(finding, publication)
    if said == "inconclusive":
        return finding.comparison.metric.gate
    return said != "unchanged"


def _number(text: str) -> Any:  # noqa: ANN401 (markupsafe loads late)
    """Return a number that keeps its unit on its line; its interval may stand on the next."""
    head, bracket, tail = escaped(text).replace(" ", _JOINED).partition(f"{_JOINED}&#91;")
    return verbatim(f"{head} &#91;{tail}" if bracket else head)
