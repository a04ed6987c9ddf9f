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
from pipeline.render.paper import paper, written

if TYPE_CHECKING:  # loaded only when a report is printed
    from rich.console import Console
    from rich.table import Table

_STYLE = {
    Verdict.REGRESSED: "bold red",
    Verdict.IMPROVED: "green",
    Verdict.UNCHANGED: "default",
    Verdict.UNDECIDED: "yellow",
}
_LINE = 13
_NAME = 32  # characters of a metric's name before it is folded
_CELLS: dict[str, Callable[[Finding], str]] = {
    "baseline": lambda f: words.measured(f, Arm.BASELINE),
    "candidate": lambda f: words.measured(f, Arm.CANDIDATE),
    "stored": lambda f: quantity(f.comparison.stored, f.comparison.metric.unit),
    "change": lambda f: interval(f.comparison.metric, f.comparison.change),
    "better · worse": lambda f: drawn(f.comparison.metric, f.comparison.change, _LINE),
    "margin": lambda f: allowed(f.comparison.metric),
    "verdict": lambda f: f.verdict.value,
    "sees": lambda f: amount(f.comparison.metric, f.comparison.smallest_detectable),
}
_GIVEN_UP = ("candidate", "margin", "better · worse", "stored", "baseline")
"""Columns left out, in this order, until the table fits."""


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
    console.print(f"{shown}: {headline.found} - {headline.advice}", style=style)
    console.print(plain(words.counts(report)))
    console.print(plain(words.identity(report)))
    if smallest := words.detectable(report):
        console.print(plain(smallest))


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
    console.print(words.tally(findings), style=style)
    _table(console, findings, width)
    notes = [f"{where}: {said}" for said, where in words.notes(findings)]
    _section(console, "Metrics to read with care", [("-", note) for note in notes])
    return written(console)


def _table(console: "Console", findings: Sequence[Finding], width: int) -> None:
    columns = list(_CELLS)
    if all(finding.comparison.stored is None for finding in findings):
        columns.remove("stored")
    for column in ("", *_GIVEN_UP):
        columns = [c for c in columns if c != column]
        table = _built(findings, columns)
        if _natural(table, console) <= width:
            break
    console.print()
    console.print(_built(findings, columns))
    key = "* gates"
    if "better · worse" in columns:
        key += f"; ┊ margin, │ zero, ● estimate; a line reaches {REACH:g} margins each way"
    console.print(f"{key}; sees: smallest worsening called a regression", style="dim")


def _natural(table: "Table", console: "Console") -> int:
    """Return how wide a table would be if it could."""
    from rich.measure import Measurement

    wide = console.options.update(width=10_000, max_width=10_000)
    return Measurement.get(console, wide, table).maximum


def _built(findings: Sequence[Finding], columns: list[str]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("metric", overflow="fold", min_width=12, max_width=_NAME)
    for column in columns:
        left = column in ("better · worse", "verdict")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for workload, group in groupby(findings, key=lambda f: f.comparison.workload):
        if workload:
            table.add_row(Text(plain(workload), style="bold"))
        for finding in group:
            metric = finding.comparison.metric
            name = Text(f"{'*' if metric.gate else ' '} {plain(metric.name)}")
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
    from rich.table import Table
    from rich.text import Text

    if not lines:
        return
    grid = Table.grid(padding=(0, 2 if len(lines[0][0]) > 1 else 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, sentence in lines:
        grid.add_row(Text(f"  {name}"), Text(plain(sentence)))
    console.print()
    console.print(title, style="bold")
    console.print(grid)
