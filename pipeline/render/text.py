"""A report for a terminal and for report.txt."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from pipeline.model.report import Finding, Report, Verdict
from pipeline.model.subject import Arm
from pipeline.plain import plain
from pipeline.render import words
from pipeline.render.line import REACH, drawn
from pipeline.render.numbers import allowed, amount, interval, quantity
from pipeline.render.paper import fits, fold, paper, print_wrapped, written

if TYPE_CHECKING:  # loaded only when a report is printed
    from rich.console import Console
    from rich.table import Table

_STYLE = {
    Verdict.REGRESSED: "bold red",
    Verdict.IMPROVED: "green",
    Verdict.UNCHANGED: "default",
    Verdict.INCONCLUSIVE: "yellow",
}
_LINE = 13
_NAMES = (32, 24)  # characters of a metric's name before it is folded, in a wide or narrow table
_WIDE = 96  # below, both builds' values are worth more than the drawing
_NARROW = 40  # characters that a sentence wants beside its name
_CELLS: dict[str, Callable[[Finding], str]] = {
    "baseline": lambda f: words.measured(f, Arm.BASELINE),
    "candidate": lambda f: words.measured(f, Arm.CANDIDATE),
    "stored": lambda f: quantity(f.comparison.stored, f.comparison.metric.unit),
    "change": lambda f: interval(f.comparison.metric, f.comparison.change),
    "better · worse": lambda f: drawn(f.comparison.metric, f.comparison.change, _LINE),
    "margin": lambda f: allowed(f.comparison.metric),
    "verdict": lambda f: f.verdict.value,
    "sees": lambda f: amount(f.comparison.metric, f.comparison.detectable_change),
}
_ROWS = (
    tuple(_CELLS),
    tuple(column for column in _CELLS if column != "candidate"),
    ("baseline", "candidate", "stored", "change", "margin", "verdict", "sees"),
    ("baseline", "candidate", "stored", "change", "verdict", "sees"),
    ("baseline", "candidate", "change", "verdict"),
)
"""Columns of a table; the first of these that fits is taken, and a card for each metric if none."""


def text(report: Report, *, width: int = 100, color: bool = False) -> str:
    """Render the whole report; the same report gives the same bytes.

    Args:
        report: To render.
        width: Characters of a line; commands are never broken.
        color: Whether to add escape sequences of colour.
    """
    console = paper(width, color=color)
    _answer(console, report)
    if report.findings:
        _table(console, report.findings, width)
    _rest(console, report)
    return written(console)


def _answer(console: "Console", report: Report) -> None:
    headline = words.headline(report)
    measured = words.is_measured(report)
    style = _STYLE[report.verdict] if measured else "bold red"
    shown = report.verdict.value.upper() if measured else "INVALID"
    print_wrapped(console, f"{shown}: {headline.found} - {headline.advice}", style=style)
    for sentence in (words.counts(report), words.identity(report), words.detectable(report)):
        print_wrapped(console, plain(sentence))


def judged_text(findings: Sequence[Finding], *, width: int = 100, color: bool = False) -> str:
    """Render findings that are of no run, such as those of a table; the same give the same bytes.

    Args:
        findings: In order; those of one family together.
        width: Characters of a line.
        color: Whether to add escape sequences of colour.
    """
    console = paper(width, color=color)
    reds = sum(finding.verdict is Verdict.REGRESSED for finding in findings)
    style = _STYLE[Verdict.REGRESSED if reds else Verdict.UNCHANGED]
    print_wrapped(console, words.tally(findings), style=style)
    _table(console, findings, width)
    notes = [f"{where}: {said}" for said, where in words.notes(findings)]
    _section(console, "Metrics to read with care", [("-", note) for note in notes])
    return written(console)


def _table(console: "Console", findings: Sequence[Finding], width: int) -> None:
    console.print()
    columns, table = _fitting(console, findings, width)
    if table is None:
        _cards(console, findings, width)
    else:
        console.print(table)
    key = "* gates"
    if "better · worse" in columns:
        key += f"; ┊ margin, │ zero, ● estimate; a line reaches {REACH:g} margins each way"
    sees = "sees: smallest worsening called a regression"
    print_wrapped(console, f"{key}; {sees}" if "sees" in columns else key, style="dim")


def _fitting(
    console: "Console", findings: Sequence[Finding], width: int
) -> tuple[Sequence[str], "Table | None"]:
    """Return columns and the table of them that fits, or all columns and None if none does."""
    is_stored = any(finding.comparison.stored is not None for finding in findings)
    for row in _ROWS:
        if width < _WIDE and "candidate" not in row:
            continue
        columns = [column for column in row if column != "stored" or is_stored]
        for name in _NAMES if row is _ROWS[-1] else _NAMES[:1]:
            table = _built(findings, columns, name)
            if fits(console, table):
                return columns, table
    return [column for column in _CELLS if column != "better · worse"], None


def _cards(console: "Console", findings: Sequence[Finding], width: int) -> None:
    """Print a metric with its verdict in one line, and its numbers below."""
    for workload, group in groupby(findings, key=lambda f: f.comparison.workload):
        if workload:
            print_wrapped(console, plain(workload), style="bold")
        for finding in group:
            comparison, style = finding.comparison, _STYLE[finding.verdict]
            verdict = f": {finding.verdict.value}"
            title = fold(_title(finding), width - len(verdict)) + verdict
            console.print(title, style=style, soft_wrap=True)
            stored = f", stored {_CELLS['stored'](finding)}" if comparison.stored else ""
            for line in (
                _CELLS["change"](finding),
                f"{_CELLS['baseline'](finding)} to {_CELLS['candidate'](finding)}{stored}",
                f"margin {_CELLS['margin'](finding)}, sees {_CELLS['sees'](finding)}",
            ):
                print_wrapped(console, line, indent=" " * 4)


def _title(finding: Finding) -> str:
    metric = finding.comparison.metric
    return f"{'*' if metric.gate else ' '} {plain(metric.name)}"


def _built(findings: Sequence[Finding], columns: Sequence[str], name_width: int) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("metric", no_wrap=True)
    for column in columns:
        left = column in ("better · worse", "verdict")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for workload, group in groupby(findings, key=lambda f: f.comparison.workload):
        if workload:
            table.add_row(Text(fold(plain(workload), name_width), style="bold"))
        for finding in group:
            name = Text(fold(_title(finding), name_width))
            style = _STYLE[finding.verdict]
            cells = (
                Text(_CELLS[c](finding), style=style if c == "verdict" else "") for c in columns
            )
            table.add_row(name, *cells)
    return table


def _rest(console: "Console", report: Report) -> None:
    notes = [f"{where}: {said}" for said, where in words.notes(report.findings)]
    _section(console, "Metrics to read with care", [("-", note) for note in notes])
    _section(console, "Rests on", words.method(report))
    _section(console, "Warnings", [("-", warning) for warning in report.warnings])
    console.print()
    console.print("The same again:", style="bold")
    console.print(f"  {words.reproduce(report)}", soft_wrap=True)


def _section(console: "Console", title: str, lines: list[tuple[str, str]]) -> None:
    """Print sentences, each beside its name, or below it where there is no room beside it."""
    if not lines:
        return
    console.print()
    console.print(title, style="bold")
    longest = max(len(name) for name, _ in lines)
    indent = " " * (2 + longest + (2 if longest > 1 else 1))
    is_narrow = longest > 1 and console.width - len(indent) < _NARROW
    for name, sentence in lines:
        if is_narrow:
            console.print(f"  {name}")
            print_wrapped(console, plain(sentence), indent=" " * 4)
        else:
            first = f"  {name}".ljust(len(indent))
            print_wrapped(console, plain(sentence), indent=indent, first=first)
