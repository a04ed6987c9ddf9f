"""A report for a terminal and for report.txt."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from pipeline.model.report import Finding, Report, Verdict
from pipeline.model.subject import Arm
from pipeline.render import order, words
from pipeline.render.care import cautions, of_metrics
from pipeline.render.line import REACH, drawn
from pipeline.render.names import described
from pipeline.render.numbers import amount, interval, quantity
from pipeline.render.paper import fits, fold, paper, print_wrapped, written
from pipeline.system.sanitize import printable

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
_NARROW = 40  # characters that a sentence wants beside its name
_DRAWN = "better · worse"
_DETECTABLE = "detectable\nchange"
_ABOUT = "what it is"
_CELLS: dict[str, Callable[[Finding], str]] = {
    "baseline": lambda f: words.measured(f, Arm.BASELINE),
    "candidate": lambda f: words.measured(f, Arm.CANDIDATE),
    "stored": lambda f: quantity(f.comparison.stored, f.comparison.metric.unit),
    "change": lambda f: interval(f.comparison.metric, f.comparison.change),
    _DRAWN: lambda f: drawn(f.comparison.metric, f.comparison.change, _LINE),
    "at worst": words.at_worst,
    "margin": lambda f: words.margins(f.comparison.metric),
    "verdict": lambda f: f.verdict.value,
    _DETECTABLE: lambda f: amount(f.comparison.metric, f.comparison.detectable_change),
    _ABOUT: lambda f: printable(described(f.comparison.metric)),
}
_LEFT = (_DRAWN, "verdict", _ABOUT)
_DROPPED = (_ABOUT, _DRAWN, _DETECTABLE, "margin", "stored", "at worst")
_COLUMNS = tuple(
    tuple(column for column in _CELLS if column not in _DROPPED[:dropped])
    for dropped in range(len(_DROPPED) + 1)
)
"""Columns of a table; the first of these that fits is taken, and a card for each metric if none."""


def text(report: Report, *, width: int = 100, color: bool = False, next_step: str = "") -> str:
    """Render the whole report; the same report gives the same bytes.

    Args:
        report: To render.
        width: Characters of a line; commands are never broken.
        color: Whether to add escape sequences of colour.
        next_step: Command that would settle an inconclusive run; empty where there is none.
    """
    console = paper(width, color=color)
    _answer(console, report, next_step)
    if report.findings:
        _findings(console, report.findings, width)
    _rest(console, report)
    return written(console)


def _answer(console: "Console", report: Report, next_step: str) -> None:
    style = _STYLE[report.verdict] if words.is_measured(report) else "bold red"
    print_wrapped(console, words.answer(report), style=style)
    if next_step:
        console.print(f"  {printable(next_step)}", soft_wrap=True)
    for sentence in (words.identity(report), words.counts(report), words.detectable(report)):
        print_wrapped(console, printable(sentence))


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
    _findings(console, findings, width)
    _section(console, "Metrics to read with care", [("-", said) for said in of_metrics(findings)])
    return written(console)


def _findings(console: "Console", findings: Sequence[Finding], width: int) -> None:
    """Print what changed, what did not, and last what could not be decided."""
    doubtful = order.inconclusive(findings)
    unchanged = [(group.title, group.findings) for group in order.unchanged(findings)]
    columns = _fitting(console, findings)
    for title, groups in (
        ("What changed", _by_workload(order.changed(findings))),
        ("Unchanged", unchanged),
        ("Inconclusive", _gathered(doubtful)),
    ):
        if groups:
            console.print()
            console.print(title, style="bold underline")
            _table(console, groups, columns, width)
        if title == "What changed":
            _kept(console, findings)
    for said in _settled_by(doubtful):
        print_wrapped(console, printable(said), indent="    ", first="  ")
    _key(console, columns or (), findings)


def _kept(console: "Console", findings: Sequence[Finding]) -> None:
    """Print where verdicts are kept from that an earlier look found."""
    for finding in findings:
        if said := words.kept(finding):
            line = printable(f"{words.key(finding)}: {said}")
            print_wrapped(console, line, indent="    ", first="  ")


def _settled_by(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield what gating metrics show that could not be decided, and what would settle them."""
    alike: dict[str, list[str]] = {}
    for finding in findings:
        if (said := finding.advice) and finding.comparison.metric.gate:
            needs = f"{said.more_pairs}" if said.more_pairs else "more than is worth it"
            alike.setdefault(said.shows, []).append(f"{words.key(finding)} ({needs})")
    for shows, keys in alike.items():
        yield f"{shows}; more pairs needed: {', '.join(keys)}"


def _gathered(findings: Sequence[Finding]) -> list[tuple[str, Sequence[Finding]]]:
    """Return findings by workload, in the order in which workloads come first."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.comparison.workload, []).append(finding)
    return list(groups.items())


def _by_workload(findings: Sequence[Finding]) -> list[tuple[str, Sequence[Finding]]]:
    """Return findings with their workload, as long as the order lets them stand together."""
    grouped = groupby(findings, key=lambda f: f.comparison.workload)
    return [(workload, tuple(group)) for workload, group in grouped]


def _table(
    console: "Console",
    groups: Sequence[tuple[str, Sequence[Finding]]],
    columns: Sequence[str] | None,
    width: int,
) -> None:
    if columns is None:
        _cards(console, groups, width)
        return
    found = (_built(groups, columns, name) for name in _NAMES)
    table = next((table for table in found if fits(console, table)), None)
    console.print(table or _built(groups, columns, _NAMES[-1]))


def _key(console: "Console", columns: Sequence[str], findings: Sequence[Finding]) -> None:
    said = ["* gates"]
    if _DRAWN in columns:
        said.append(f"┊ margin, │ zero, ● estimate; a line reaches {REACH:g} margins each way")
    if "at worst" in columns:
        said.append("at worst: the worst change that is not excluded")
    is_tolerant = any(f.comparison.metric.tolerance is not None for f in findings)
    if "margin" in columns and is_tolerant:
        said.append("margin: of a regression, in brackets the tolerance of a pass")
    if _DETECTABLE in columns:
        said.append("detectable change: the smallest one called a regression")
    print_wrapped(console, "; ".join(said), style="dim")


def _fitting(console: "Console", findings: Sequence[Finding]) -> Sequence[str] | None:
    """Return the columns of tables that fit, or None if only cards do."""
    has_stored = any(finding.comparison.stored is not None for finding in findings)
    groups = _by_workload(findings)
    for row in _COLUMNS:
        columns = [column for column in row if column != "stored" or has_stored]
        for name in _NAMES if row is _COLUMNS[-1] else _NAMES[:1]:
            if fits(console, _built(groups, columns, name)):
                return columns
    return None


def _cards(console: "Console", groups: Sequence[tuple[str, Sequence[Finding]]], width: int) -> None:
    """Print a metric with its verdict in one line, and its numbers below."""
    for title, group in groups:
        if title:
            print_wrapped(console, printable(title), style="bold")
        for finding in group:
            comparison, style = finding.comparison, _STYLE[finding.verdict]
            verdict = f": {finding.verdict.value}"
            name = fold(_title(finding), width - len(verdict)) + verdict
            console.print(name, style=style, soft_wrap=True)
            stored = f", stored {_CELLS['stored'](finding)}" if comparison.stored else ""
            for line in (
                _CELLS["change"](finding),
                f"{_CELLS['baseline'](finding)} to {_CELLS['candidate'](finding)}{stored}",
                f"at worst {words.at_worst(finding)}, margin {_CELLS['margin'](finding)}",
                f"detectable change {_CELLS[_DETECTABLE](finding)}",
            ):
                print_wrapped(console, line, indent=" " * 4)


def _title(finding: Finding) -> str:
    return f"{_gates(finding)} {printable(finding.comparison.metric.name)}"


def _gates(finding: Finding) -> str:
    return "*" if finding.comparison.metric.gate else " "


def _built(
    groups: Sequence[tuple[str, Sequence[Finding]]], columns: Sequence[str], name_width: int
) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("metric", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="left" if column in _LEFT else "right", no_wrap=True)
    for title, group in groups:
        if title:
            table.add_row(Text(fold(printable(title), name_width), style="bold"))
        for finding in group:
            name = Text(fold(_title(finding), name_width))
            style = _STYLE[finding.verdict]
            cells = (
                Text(_CELLS[c](finding), style=style if c == "verdict" else "") for c in columns
            )
            table.add_row(name, *cells)
    return table


def _rest(console: "Console", report: Report) -> None:
    _section(console, "Warnings", [("-", str(caution)) for caution in cautions(report)])
    _section(console, "Rests on", words.method(report))
    console.print()
    console.print("Reproduce:", style="bold")
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
            print_wrapped(console, printable(sentence), indent=" " * 4)
        else:
            first = f"  {name}".ljust(len(indent))
            print_wrapped(console, printable(sentence), indent=indent, first=first)
