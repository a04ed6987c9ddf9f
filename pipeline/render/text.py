"""Render a report for a terminal and for report.txt."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from pipeline.judge import scale
from pipeline.model.metric import Metric
from pipeline.model.report import Bound, Change, Finding, Report, Verdict, worst_verdict
from pipeline.render import rows, words
from pipeline.render.answer_line import answer, findings_answer, is_measured
from pipeline.render.console import (
    console_text,
    fits,
    fold_name,
    print_wrapped,
    string_console,
    table,
)
from pipeline.system.sanitize import printable

if TYPE_CHECKING:  # loaded only when a report is printed
    from rich.console import Console
    from rich.table import Table

REACH = 3.0
"""Margins from the middle of an interval line to its ends; an arrow marks what is beyond."""

_STYLE = {
    Verdict.REGRESSED: "bold red",
    Verdict.IMPROVED: "green",
    Verdict.UNCHANGED: "default",
    Verdict.INCONCLUSIVE: "yellow",
}
_LINE_WIDTH = 13
_NAME_WIDTHS = (32, 24)  # characters of a metric's name before it is folded
_MIN_SENTENCE = 40  # characters that a sentence needs beside its name
_INTERVAL = "better · worse"
_DETECTABLE = "detectable\nchange"
_ABOUT = "what it is"


_COLUMN_CELLS = {
    "baseline": "baseline",
    "candidate": "candidate",
    "stored": "stored",
    "change": "change",
    _INTERVAL: "interval",
    "at worst": "at_worst",
    "margin": "margin",
    "verdict": "verdict",
    _DETECTABLE: "detectable",
    _ABOUT: "about",
}
"""The cell of each column; see `rows.cells`."""

_LEFT_ALIGNED = (_INTERVAL, "verdict", _ABOUT)
_OPTIONAL = (_ABOUT, _INTERVAL, _DETECTABLE, "margin", "stored", "at worst")
_COLUMNS = tuple(
    tuple(column for column in _COLUMN_CELLS if column not in _OPTIONAL[:dropped])
    for dropped in range(len(_OPTIONAL) + 1)
)
"""Columns of a table, the first choice first; if none fits, each metric gets a card."""

Groups = Sequence[tuple[str, Sequence[Finding]]]


def text(report: Report, *, width: int = 100, color: bool = False, next_step: str = "") -> str:
    """Render the whole report; the same report gives the same bytes.

    `next_step` is the command that leads to an answer.  Commands are never broken.
    """
    console = string_console(width, color=color)
    style = _STYLE[report.verdict] if is_measured(report) else "bold red"
    print_wrapped(console, answer(report), style=style)
    if next_step:
        console.print(f"  {printable(next_step)}", soft_wrap=True)
    for sentence in (words.identity(report), words.verdict_counts(report)):
        print_wrapped(console, printable(sentence))
    print_wrapped(console, printable(words.sensitivity(report)))
    if report.findings:
        _print_findings(console, report.findings, width)
    _print_section(console, words.ratios_title(report), words.ratios_within_builds(report))
    warnings = [("-", str(group)) for group in words.warning_groups(report)]
    _print_section(console, "Warnings", warnings)
    _print_section(console, "Environment and method", words.method(report))
    console.print("\nReproduce:", style="bold")
    console.print(f"  {words.reproduce_command(report)}", soft_wrap=True)
    return console_text(console)


def findings_text(findings: Sequence[Finding], *, width: int = 100, color: bool = False) -> str:
    """Render findings without a run, such as those of a CSV file; all of them gate."""
    console = string_console(width, color=color)
    print_wrapped(console, findings_answer(findings), style=_STYLE[worst_verdict(findings)])
    print_wrapped(console, words.tally(findings))
    _print_findings(console, findings, width)
    warnings = [("-", f"{names}: {text}") for text, names in words.metric_notes(findings)]
    _print_section(console, "Warnings", warnings)
    return console_text(console)


def interval_line(metric: Metric, change: Change | None, width: int) -> str:
    """Return `··┊··│├─●─┤··`: the interval, with zero and the margin on either side.

    Better is to the left and worse to the right.  Every line has the same scale in margins of its
    metric, so lines can be compared.  The width is odd and at least 7.
    """
    cells = ["·"] * width
    middle, margin = width // 2, scale.margin(metric)
    for at, mark in ((0, "│"), (-1, "┊"), (1, "┊")):
        cells[middle + round(at * middle / REACH)] = mark
    if change is None:
        return "".join(cells)
    low, estimate, high = (
        middle + round(middle / REACH * max(-9.0, min(9.0, worse / margin)))
        for worse in sorted(
            scale.worse(metric, x) for x in (change.low, change.estimate, change.high)
        )
    )
    last = width - 1
    if scale.hides_the_worst(metric, change.bound):
        high = width  # beyond the end: an arrow
    elif change.bound is not Bound.NONE:
        low = -1
    for at in range(max(0, low), min(last, high) + 1):
        cells[at] = "─"
    if 0 <= low <= last:
        cells[low] = "├"
    if 0 <= high <= last:
        cells[high] = "┤"
    cells[max(0, min(last, estimate))] = "●"
    if low < 0:
        cells[0] = "◄"
    if high > last:
        cells[last] = "►"
    return "".join(cells)


def _print_findings(console: "Console", findings: Sequence[Finding], width: int) -> None:
    """Print changed findings, then unchanged, then inconclusive ones."""
    inconclusive = rows.inconclusive_findings(findings)
    by_workload: dict[str, list[Finding]] = {}
    for finding in inconclusive:
        by_workload.setdefault(finding.comparison.workload, []).append(finding)
    columns = _fitting_columns(console, findings)
    for title, groups in (
        ("What changed", _consecutive_workloads(rows.changed_findings(findings))),
        ("Unchanged", [(g.title, g.findings) for g in rows.unchanged_groups(findings)]),
        ("Inconclusive", list(by_workload.items())),
    ):
        if groups:
            console.print()
            console.print(title, style="bold underline")
            if columns is None:
                _print_cards(console, groups, width)
            else:
                tables = [_table(groups, columns, name_width) for name_width in _NAME_WIDTHS]
                console.print(next((t for t in tables if fits(console, t)), tables[-1]))
        for finding in findings if title == "What changed" else ():
            if kept := words.kept_text(finding):
                line = printable(f"{words.finding_name(finding)}: {kept}")
                print_wrapped(console, line, indent="    ", first="  ")
    for sentence in _advice_sentences(inconclusive):
        print_wrapped(console, printable(sentence), indent="    ", first="  ")
    _print_legend(console, columns or (), findings)


def _advice_sentences(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield what inconclusive gating metrics show, and what would settle them."""
    metrics: dict[str, list[str]] = {}
    for finding in findings:
        if (advice := finding.advice) and finding.comparison.metric.gate:
            needed = f"{advice.more_pairs}" if advice.more_pairs else "too many to be practical"
            metrics.setdefault(advice.shows, []).append(f"{words.finding_name(finding)} ({needed})")
    for shows, names in metrics.items():
        yield f"{shows}; more pairs needed: {', '.join(names)}"


def _consecutive_workloads(findings: Sequence[Finding]) -> Groups:
    """Return findings with their workload, grouped as far as the order allows."""
    grouped = groupby(findings, key=lambda f: f.comparison.workload)
    return [(workload, tuple(group)) for workload, group in grouped]


def _print_legend(console: "Console", columns: Sequence[str], findings: Sequence[Finding]) -> None:
    parts = ["* gates"]
    if _INTERVAL in columns:
        parts.append(f"┊ margin, │ zero, ● estimate; a line reaches {REACH:g} margins each way")
    if "at worst" in columns:
        parts.append("at worst: the worst change that is not excluded")
    has_tolerance = any(f.comparison.metric.tolerance is not None for f in findings)
    if "margin" in columns and has_tolerance:
        parts.append("margin: the limit for a regression, in brackets that for a pass")
    if _DETECTABLE in columns:
        parts.append("detectable change: the smallest worsening that is called a regression")
    print_wrapped(console, "; ".join(parts), style="dim")


def _fitting_columns(console: "Console", findings: Sequence[Finding]) -> Sequence[str] | None:
    """Return the columns of tables that fit, or None if only cards do."""
    has_stored = any(finding.comparison.stored is not None for finding in findings)
    groups = _consecutive_workloads(findings)
    for choice in _COLUMNS:
        columns = [column for column in choice if column != "stored" or has_stored]
        for name_width in _NAME_WIDTHS if choice is _COLUMNS[-1] else _NAME_WIDTHS[:1]:
            if fits(console, _table(groups, columns, name_width)):
                return columns
    return None


def _print_cards(console: "Console", groups: Groups, width: int) -> None:
    """Print each metric with its verdict in one line, and its numbers below."""
    for title, group in groups:
        if title:
            print_wrapped(console, printable(title), style="bold")
        for finding in group:
            cells = rows.cells(finding)
            verdict = f": {cells['verdict']}"
            name = fold_name(_starred_name(finding), width - len(verdict)) + verdict
            console.print(name, style=_STYLE[finding.verdict], soft_wrap=True)
            stored = f", stored {cells['stored']}" if finding.comparison.stored else ""
            for line in (
                cells["change"],
                f"{cells['baseline']} to {cells['candidate']}{stored}",
                f"at worst {cells['at_worst']}, margin {cells['margin']}",
                f"detectable change {cells['detectable']}",
            ):
                print_wrapped(console, line, indent=" " * 4)


def _starred_name(finding: Finding) -> str:
    metric = finding.comparison.metric
    return f"{'*' if metric.gate else ' '} {printable(metric.name)}"


def _table(groups: Groups, columns: Sequence[str], name_width: int) -> "Table":
    from rich.text import Text

    built = table()
    built.add_column("metric", no_wrap=True)
    for column in columns:
        is_left = column in _LEFT_ALIGNED
        built.add_column(column, justify="left" if is_left else "right", no_wrap=True)
    for title, group in groups:
        if title:
            built.add_row(Text(fold_name(printable(title), name_width), style="bold"))
        for finding in group:
            metric, change = finding.comparison.metric, finding.comparison.change
            cells = rows.cells(finding)
            cells["interval"] = interval_line(metric, change, _LINE_WIDTH)
            style = {"verdict": _STYLE[finding.verdict]}
            name = Text(fold_name(_starred_name(finding), name_width))
            texts = (
                Text(printable(cells[_COLUMN_CELLS[c]]), style=style.get(c, "")) for c in columns
            )
            built.add_row(name, *texts)
    return built


def _print_section(console: "Console", title: str, lines: list[tuple[str, str]]) -> None:
    """Print sentences beside their names, or below them on a narrow console."""
    if not lines:
        return
    console.print(f"\n{title}", style="bold")
    longest = max(len(name) for name, _ in lines)
    indent = " " * (2 + longest + (2 if longest > 1 else 1))
    is_narrow = longest > 1 and console.width - len(indent) < _MIN_SENTENCE
    for name, sentence in lines:
        if is_narrow:
            console.print(f"  {name}")
            print_wrapped(console, printable(sentence), indent=" " * 4)
        else:
            first = f"  {name}".ljust(len(indent))
            print_wrapped(console, printable(sentence), indent=indent, first=first)
