"""A report as GitHub Markdown: for a comment, a check, or the summary of a job.

Names come from builds and suites that we do not know.  Nothing that is interpolated can start
markup, end a table's cell, call a person or link anywhere.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pipeline.model.report import Finding, Report, Verdict
from pipeline.model.subject import Arm
from pipeline.render import order, words
from pipeline.render.care import MOST, cautions
from pipeline.render.names import described
from pipeline.render.numbers import amount, interval, quantity, share
from pipeline.system.sanitize import printable

if TYPE_CHECKING:  # loaded only when a report is rendered
    from jinja2 import Template

MARKER = "<!-- milo-perf:report v=1 -->"
"""First line of every report, by which a comment is found again."""

MOST_CHARACTERS = 60_000
"""Of a report: GitHub refuses comments and checks of 65,536 and more."""

_ICONS = {
    Verdict.REGRESSED: "❌",
    Verdict.IMPROVED: "✅",
    Verdict.UNCHANGED: "✅",
    Verdict.INCONCLUSIVE: "❔",
}
_ROW_ICONS = {**_ICONS, Verdict.IMPROVED: "🟢", Verdict.UNCHANGED: "▫️"}
_CHANGED = 10  # rows in the first table
_CELL = 600  # characters of one interpolated text
_STARTS_MARKUP = re.compile(r"[&<>|`*~\[\]\\!#$]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")
_CALLS_OR_LINKS = re.compile(r"@|:(?=//)|(?<=[Ww][Ww][Ww])\.|(?<=[Gg][Hh])-(?=\d)")
_BREAK = "\u200b"


@dataclass(frozen=True, slots=True)
class _Rung:
    """How much of a report to show; the next rung shows less."""

    metrics: bool = True
    changed: int = _CHANGED
    warnings: int = MOST
    method: bool = True


_LADDER = (
    _Rung(),
    _Rung(metrics=False),
    _Rung(metrics=False, changed=3, method=False),
    _Rung(metrics=False, changed=3, warnings=0, method=False),
)


def markdown(report: Report, *, next_step: str = "") -> str:
    """Render a report; one that would be too long loses its folded parts first.

    The same report gives the same bytes.

    Args:
        report: To render.
        next_step: Command that would settle an inconclusive run; empty where there is none.
    """
    bodies = (
        template("report.md.j2").render(_content(report, rung, next_step)) for rung in _LADDER
    )
    return next((body for body in bodies if len(body) < MOST_CHARACTERS), _least(report))


def escaped(value: object) -> str:
    """Return text that GitHub shows as it is, in a table's cell or in a line.

    A zero-width space keeps `@name` from calling a person, and an address from becoming a link.
    """
    text = printable(str(value))
    if len(text) > _CELL:
        text = f"{text[:_CELL]}…"
    text = _CALLS_OR_LINKS.sub(
        lambda found: found[0] + _BREAK if found[0] in "@-" else _BREAK + found[0] + _BREAK, text
    )
    return _STARTS_MARKUP.sub(
        lambda found: f"&#{ord(found[0])};{_BREAK if found[0] == '#' else ''}", text
    )


@cache
def template(name: str) -> "Template":
    """Return a template beside this module; what it interpolates is escaped for Markdown."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def finalize(value: object) -> object:
        return value if isinstance(value, Markup) else Markup(escaped(value))  # noqa: S704 (escaped for Markdown)

    environment = Environment(
        loader=PackageLoader("pipeline", "render"),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


def _content(report: Report, rung: _Rung, next_step: str) -> dict[str, Any]:
    changed = order.changed(report.findings)
    groups = order.unchanged(report.findings) if rung.metrics else []
    doubtful = order.inconclusive(report.findings) if rung.metrics else []
    has_tolerance = any(f.comparison.metric.tolerance is not None for f in report.findings)
    return {
        "marker": verbatim(MARKER),
        "icon": _icon(report),
        "answer": words.answer(report),
        "next_fence": verbatim(fence(next_step)),
        "next_step": verbatim(unmarked(printable(next_step))) if next_step else "",
        "counts": words.counts(report),
        "identity": words.identity(report),
        "detectable": words.detectable(report),
        "confidence": share(report.rule.confidence),
        "margin": "margin (tolerance)" if has_tolerance else "margin",
        "changed": [_row(f) for f in changed[: rung.changed]],
        "more": max(0, len(changed) - rung.changed),
        "kept": [(words.key(f), words.kept(f)) for f in changed[: rung.changed] if f.kept],
        "warnings": [str(caution) for caution in cautions(report)[: rung.warnings]],
        "unchanged": [(group.title, [_row(f) for f in group.findings]) for group in groups],
        "unchanged_count": sum(len(group.findings) for group in groups),
        "inconclusive": [_row(f) for f in doubtful],
        "stored": any(f.comparison.stored is not None for f in report.findings),
        "method": words.method(report) if rung.method else [],
        "fence": verbatim(fence(words.reproduce(report))),
        "command": verbatim(unmarked(words.reproduce(report))),
        "is_short": rung is not _LADDER[0],
    }


def _row(finding: Finding) -> dict[str, str]:
    comparison = finding.comparison
    metric = comparison.metric
    return {
        "icon": _ROW_ICONS[finding.verdict],
        "verdict": finding.verdict.value,
        "name": words.key(finding),
        "about": described(metric),
        "gate": "gates" if metric.gate else "",
        "baseline": words.measured(finding, Arm.BASELINE),
        "candidate": words.measured(finding, Arm.CANDIDATE),
        "stored": quantity(comparison.stored, metric.unit),
        "change": interval(metric, comparison.change),
        "at_worst": words.at_worst(finding),
        "margin": words.margins(metric),
        "detectable": amount(metric, comparison.detectable_change),
        "advice": "; ".join((*finding.comparison.warnings, *words.advised(finding))),
    }


def _icon(report: Report) -> str:
    return _ICONS[report.verdict] if words.is_measured(report) else "⚠️"


def unmarked(command: str) -> str:
    """Return a command in which nothing can be taken for the marker of a report."""
    return command.replace("<!--", f"<{_BREAK}!--")


def fence(command: str) -> str:
    """Return a fence that no run of backticks in the command can end."""
    longest = max((len(run) for run in re.findall("`+", command)), default=0)
    return "`" * max(3, longest + 1)


def verbatim(text: str) -> Any:  # noqa: ANN401 (markupsafe loads late)
    """Return text that a template leaves as it is: ours, or made harmless before."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 (ours, or inside a fence)


def _least(report: Report) -> str:
    """Return what always fits: the answer."""
    return (
        f"{MARKER}\n## {_icon(report)} {escaped(words.answer(report))}\n\n"
        f"{escaped(words.counts(report))}\n\nThe rest is too long to show here: see report.txt.\n"
    )
