"""The rows of a comment: what each says of its metric, in which order, and how many say it."""

import re
from dataclasses import replace
from typing import Any

from pipeline.judge import scale
from pipeline.judge.policy import LAUNCH
from pipeline.model.publication import Publication
from pipeline.model.report import Comparison, Finding, Verdict
from pipeline.model.subject import Arm
from pipeline.render import words
from pipeline.render.foreign import code, harmless
from pipeline.render.markdown import escaped, verbatim
from pipeline.render.names import label
from pipeline.render.numbers import MINUS, allowed, amount, brief, brief_interval, interval

_ICONS = {
    "regressed": "❌",
    "accepted": "🟡",
    "missing": "❓",
    "improved": "🟢",
    "new": "🆕",
    "unchanged": "▫️",
    "inconclusive": "❓",
}
"""In the order in which rows are shown."""

_WORSE, _BETTER = "█", "░"
_MOST_BLOCKS = 6
_HYPHEN = re.compile(r"(?<![\w.])-(?=\d)")  # of a number below zero
_JOINED = "\u00a0"


def status(finding: Finding, publication: Publication) -> str:
    """Return what a row says of its metric in one word."""
    comparison = finding.comparison
    if finding.comparison.key in publication.accepted:
        return "accepted"
    if comparison.baseline is None and comparison.candidate is not None:
        return "new"
    if comparison.candidate is None:
        return "missing"
    if finding.comparison.key in publication.lacking and finding.verdict is not Verdict.REGRESSED:
        return "missing"
    return finding.verdict.value


def moved(publication: Publication) -> list[Finding]:
    """Return what somebody should look at: regressed, then not measured, then improved.

    Of each, the largest in margins comes first, and what gates before what does not.
    """
    found = [f for f in _findings(publication) if _is_moved(f, publication)]
    order = list(_ICONS)
    return sorted(words.worst_first(found), key=lambda f: order.index(status(f, publication)))


def inconclusive(publication: Publication) -> list[Finding]:
    """Return the gating metrics that could not be judged, the least certain first."""
    found = (
        [f for f in publication.report.gating if f.verdict is Verdict.INCONCLUSIVE]
        if (publication.report)
        else []
    )
    return [f for f in words.worst_first(found) if not _is_moved(f, publication)]


def every(publication: Publication) -> list[Finding]:
    """Return all findings: what moved first, what could not be judged last."""
    order = list(_ICONS)
    return sorted(_findings(publication), key=lambda f: order.index(status(f, publication)))


def short_row(finding: Finding, publication: Publication) -> dict[str, Any]:
    """Return the few cells of a row that is read first, in Markdown.

    They are narrow, so that a phone shows them side by side.
    """
    comparison = finding.kept or finding.comparison
    among = (f.comparison for f in _findings(publication))
    return {
        "name": verbatim(code(label(comparison, among))),
        "change": _number(_change(comparison)),
        "bar": bar(comparison),
        "icon": _ICONS[status(finding, publication)],
        "status": _status(finding, publication),
    }


def row(finding: Finding, publication: Publication) -> dict[str, Any]:
    """Return all cells of a row, in Markdown."""
    comparison = finding.comparison
    metric, at_worst = comparison.metric, comparison.at_worst
    tolerated = replace(metric, margin=metric.tolerated)
    return {
        "icon": _ICONS[status(finding, publication)],
        "status": _status(finding, publication),
        "name": verbatim(code(words.key(finding))),
        "baseline": _number(words.measured(finding, Arm.BASELINE)),
        "candidate": _number(words.measured(finding, Arm.CANDIDATE)),
        "change": _number(interval(metric, comparison.change)),
        "margin": _number(allowed(metric)),
        "tolerance": _number(allowed(tolerated)),
        "at_worst": _number("-" if at_worst is None else brief(metric, at_worst, is_limit=True)),
        "detectable": _number(amount(metric, comparison.detectable_change)),
        "settled_by": "; ".join((*finding.comparison.warnings, *words.advised(finding))),
    }


def bar(comparison: Comparison) -> str:
    """Return a block for each margin of a change, at most six: dark for worse, light for better.

    Changes of less than one and a half margins have one block.
    """
    if comparison.change is None:
        return ""
    metric = comparison.metric
    margins = scale.worse(metric, comparison.change.estimate) / scale.margin(metric)
    blocks = min(_MOST_BLOCKS, max(1, round(abs(margins))))
    return (_WORSE if margins > 0 else _BETTER) * blocks if margins else ""


def counts(publication: Publication) -> str:
    """Return how many rows have each status, the gating ones apart from the others."""
    findings = _findings(publication)
    parts = []
    for what, gates in (("gating", True), ("others", False)):
        found = [status(f, publication) for f in findings if f.comparison.metric.gate is gates]
        tally = ", ".join(f"{found.count(said)} {said}" for said in _ICONS if said in found)
        parts += [f"{what}: {tally}"] if tally else []
    return " · ".join(parts) or "no metrics"


def sentence(finding: Finding) -> str:
    """Return a row in one line of plain text, for an annotation."""
    seen = finding if finding.kept is None else replace(finding, comparison=finding.kept)
    comparison = seen.comparison
    metric = comparison.metric
    when = f", found at {words.count(comparison.pairs, 'pair')}" if finding.kept else ""
    return (
        f"{harmless(words.key(finding))}:"
        f" {words.measured(seen, Arm.BASELINE)} to {words.measured(seen, Arm.CANDIDATE)},"
        f" {interval(metric, comparison.change)}, margin {allowed(metric)}{when}"
    )


def _findings(publication: Publication) -> tuple[Finding, ...]:
    return publication.report.findings if publication.report else ()


def _is_moved(finding: Finding, publication: Publication) -> bool:
    if finding.comparison.key in publication.lacking:
        return True
    return status(finding, publication) in ("regressed", "accepted", "improved")


def _status(finding: Finding, publication: Publication) -> str:
    """Return what a row says of its metric: in one word, with what limits it."""
    said = [status(finding, publication)]
    if finding.kept:
        said.append(f"found at {words.count(finding.kept.pairs, 'pair')}")
    if not finding.comparison.metric.gate:
        said.append("does not gate")
    return ", ".join(said)


def _change(comparison: Comparison) -> str:
    if comparison.workload == LAUNCH:
        return f"failed in {comparison.candidate or 0:g} of {words.count(comparison.pairs, 'pair')}"
    return brief_interval(comparison.metric, comparison.change) if comparison.change else "-"


def _number(text: str) -> Any:  # noqa: ANN401 (markupsafe loads late)
    """Return a number that keeps its unit on its line; its interval may stand on the next."""
    joined = _HYPHEN.sub(MINUS, escaped(text)).replace(" ", _JOINED)
    return verbatim(re.sub(f"{_JOINED}(?=&#91;|\\()", " ", joined))
