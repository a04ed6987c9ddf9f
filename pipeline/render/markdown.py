"""Render a report as GitHub Markdown: for a comment, a check, or the summary of a job.

Names come from builds and suites that we do not know; `escape` makes them harmless.
"""

from typing import Any

from pipeline.model.report import Finding, Report, Verdict
from pipeline.render import rows, words
from pipeline.render.answer_line import answer, is_measured
from pipeline.render.escape import escape_markdown, fence_for, hide_marker
from pipeline.render.numbers import share
from pipeline.render.templates import raw, render_markdown
from pipeline.system.sanitize import printable

MARKER = "<!-- milo-perf:report v=1 -->"
"""First line of every report, by which a comment is found again."""

MAX_CHARACTERS = 60_000
"""Length of a report: GitHub refuses comments and checks of 65,536 characters and more."""

_ICONS = {
    Verdict.REGRESSED: "❌",
    Verdict.IMPROVED: "✅",
    Verdict.UNCHANGED: "✅",
    Verdict.INCONCLUSIVE: "❔",
}
_ROW_ICONS = {**_ICONS, Verdict.IMPROVED: "🟢", Verdict.UNCHANGED: "▫️"}


def markdown(report: Report, *, next_step: str = "") -> str:
    """Render a report; the same report gives the same bytes.

    A report that would be too long loses its folded parts first.
    """
    bodies = (
        render_markdown("report.md.j2", **_content(report, detail, next_step))
        for detail in rows.DETAIL_LEVELS
    )
    return next((body for body in bodies if len(body) < MAX_CHARACTERS), _answer_only(report))


def _content(report: Report, detail: rows.ReportDetail, next_step: str) -> dict[str, Any]:
    changed = rows.changed_findings(report.findings)
    groups = rows.unchanged_groups(report.findings) if detail.metrics else []
    inconclusive = rows.inconclusive_findings(report.findings) if detail.metrics else []
    has_tolerance = any(f.comparison.metric.tolerance is not None for f in report.findings)
    command = words.reproduce_command(report)
    return {
        "marker": raw(MARKER),
        "icon": _icon(report),
        "answer": answer(report),
        "next_fence": raw(fence_for(next_step)),
        "next_step": raw(hide_marker(printable(next_step))) if next_step else "",
        "counts": words.verdict_counts(report),
        "identity": words.identity(report),
        "sensitivity": words.sensitivity(report),
        "confidence": share(report.rule.confidence),
        "margin": "margin (tolerance)" if has_tolerance else "margin",
        "changed": [_row(f) for f in changed[: detail.changed]],
        "more": max(0, len(changed) - detail.changed),
        "warnings": [str(group) for group in words.warning_groups(report)[: detail.warnings]],
        "unchanged": [(group.title, [_row(f) for f in group.findings]) for group in groups],
        "unchanged_count": sum(len(group.findings) for group in groups),
        "inconclusive": [_row(f) for f in inconclusive],
        "stored": any(f.comparison.stored is not None for f in report.findings),
        "ratios_title": words.ratios_title(report),
        "ratios": words.ratios_within_builds(report) if detail.metrics else [],
        "method": words.method(report) if detail.method else [],
        "fence": raw(fence_for(command)),
        "command": raw(hide_marker(command)),
        "is_short": detail is not rows.DETAIL_LEVELS[0],
    }


def _row(finding: Finding) -> dict[str, str]:
    return {
        **rows.cells(finding),
        "icon": _ROW_ICONS[finding.verdict],
        "gate": "gates" if finding.comparison.metric.gate else "",
    }


def _icon(report: Report) -> str:
    return _ICONS[report.verdict] if is_measured(report) else "⚠️"


def _answer_only(report: Report) -> str:
    return (
        f"{MARKER}\n## {_icon(report)} {escape_markdown(answer(report))}\n\n"
        f"{escape_markdown(words.verdict_counts(report))}\n\n"
        "The report is too long to show here: see report.txt.\n"
    )
