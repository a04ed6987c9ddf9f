"""Say what changed inside a build: one sentence for each workload, and a table of causes.

Names of functions and metrics come from the builds: each format escapes them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from pipeline.judge.functions import COLLECTOR
from pipeline.model.explanation import Cause, CauseScope, Explanation, WorkloadExplanation
from pipeline.model.profiles import EvidenceKind
from pipeline.render.console import console_text, print_wrapped, string_console, table
from pipeline.render.names import readable_name
from pipeline.render.numbers import brief_change, count, quantity, share, unit_for
from pipeline.system.sanitize import printable, truncate

if TYPE_CHECKING:  # loaded only when a table is printed
    from rich.console import Console

MAX_ROWS = 3
"""Rows of the table of causes in a terminal and a comment."""

_MAX_NAME = 100  # characters of a function's or metric's name
_MAX_GAP = 300
_MAX_CALLERS = 3
_AMOUNTS = {
    EvidenceKind.CPU: "of CPU time",
    EvidenceKind.WALL: "of wall time",
    EvidenceKind.BLOCK: "of waiting",
    EvidenceKind.MUTEX: "of waiting for its lock",
    EvidenceKind.HEAP: "in use",
    EvidenceKind.ALLOCATIONS: "allocated",
    EvidenceKind.GOROUTINES: "goroutines",
}
_SOURCES = {
    EvidenceKind.CPU: "CPU profile",
    EvidenceKind.WALL: "goroutine profiles under load",
    EvidenceKind.BLOCK: "block profile",
    EvidenceKind.MUTEX: "mutex profile",
    EvidenceKind.HEAP: "heap profile",
    EvidenceKind.ALLOCATIONS: "allocations",
    EvidenceKind.GOROUTINES: "goroutine profile",
    EvidenceKind.METRIC: "metric",
}
_COMPONENTS = {"server": "API server", "manager": "controller-manager", "etcd": "etcd"}


@dataclass(frozen=True, slots=True)
class CauseRow:
    """The texts of one row of a table of causes."""

    name: str
    full_name: str
    component: str
    source: str
    baseline: str
    candidate: str
    change: str
    pairs: str
    callers: str


def sentences(explanation: Explanation) -> list[str]:
    """Return one sentence for each workload: the metric, the cause, and how sure it is."""
    return [sentence(one) for one in explanation.workloads]


def sentence(explained: WorkloadExplanation) -> str:
    """Return what explains a metric, in one sentence."""
    name = shown_text(readable_name(explained.metric.name), _MAX_NAME)
    change = explained.change
    size = f" {brief_change(explained.metric, change.estimate)}" if change is not None else ""
    if not explained.causes:
        if not explained.tests:
            return printable(f"{name}{size}: there is no evidence to explain it")
        return printable(
            f"{name}{size}: no function and no server metric moved beyond chance"
            f" ({count(explained.pairs, 'pair')}, {count(explained.tests, 'test')})"
        )
    first = explained.causes[0]
    parts = [_cause_text(first, explained.per)]
    is_metric = first.kind is EvidenceKind.METRIC
    other = next(
        (one for one in explained.causes if (one.kind is EvidenceKind.METRIC) is not is_metric),
        None,
    )
    if other is not None and (other.change > 0) == (first.change > 0):
        parts.append(_cause_text(other, explained.per, is_brief=True))
    return printable(f"{name}{size}: {'; '.join(parts)}")


def cause_rows(causes: Sequence[Cause], most: int = MAX_ROWS) -> list[CauseRow]:
    """Return the rows of the first causes."""
    return [_row(one) for one in causes[:most]]


def metric_groups(explained: WorkloadExplanation) -> list[tuple[str, list[CauseRow]]]:
    """Return the rows of the metrics that moved, by group."""
    return [
        (group, [_row(one) for one in causes])
        for group, causes in groupby(explained.metrics, key=lambda one: one.group)
    ]


def method(explanation: Explanation) -> str:
    """Return how much is certain, in one sentence."""
    tests = sum(one.tests for one in explanation.workloads)
    pairs = max((one.pairs for one in explanation.workloads), default=0)
    return (
        f"Extra pairs with profiles, not judged: {pairs}. Of {tests:,} functions and metrics, equal"
        f" builds have any named in at most {share(explanation.alpha)} of explanations (Holm)."
    )


def text(explanation: Explanation, *, width: int = 100, color: bool = False) -> str:
    """Render an explanation for a terminal; the same explanation gives the same bytes."""
    console = string_console(width, color=color)
    for explained in explanation.workloads:
        print_wrapped(console, sentence(explained), style="bold")
        if explained.causes:
            _print_causes(console, explained)
        for group, rows in metric_groups(explained):
            names = ", ".join(f"{row.name} {row.change}" for row in rows[:MAX_ROWS])
            more = f", and {len(rows) - MAX_ROWS} more" if len(rows) > MAX_ROWS else ""
            print_wrapped(console, f"{shown_text(group, _MAX_NAME)}: {names}{more}", indent="  ")
        for gap in explained.gaps:
            print_wrapped(console, shown_text(f"missing: {gap}", _MAX_GAP), indent="  ")
        console.print()
    print_wrapped(console, method(explanation))
    return console_text(console)


def short_name(cause: Cause) -> str:
    """Return the name of a function without the path of its package, or that of a metric."""
    if cause.name == COLLECTOR:
        return "the garbage collector"
    if cause.kind is EvidenceKind.METRIC:
        return shown_text(cause.name, _MAX_NAME)
    return shown_text(_without_path(cause.name), _MAX_NAME)


def shown_text(text: str, limit: int) -> str:
    """Return printable text of limited length that GitHub's runner never takes for a command.

    The runner obeys `::add-mask::` and others at the start of a line, and a terminal breaks lines.
    """
    return truncate(text, limit).replace("::", ": :")


def _without_path(function: str) -> str:
    """Return `faults.(*Injector).Wait` of a name with the path of its package."""
    head, bracket, rest = function.partition("[")
    return f"{head.rpartition('/')[2]}{bracket}{rest}"


def _print_causes(console: "Console", explained: WorkloadExplanation) -> None:
    built = table("cause", "seen in", "baseline", "candidate", "change", "pairs")
    for column in built.columns[:2]:
        column.justify = "left"
    for row in cause_rows(explained.causes):
        seen = f"{row.component}, {row.source}"
        built.add_row(row.name, seen, row.baseline, row.candidate, row.change, row.pairs)
    console.print(f"per {shown_text(explained.per, _MAX_NAME)}:")
    console.print(built)
    first = cause_rows(explained.causes, 1)[0]
    if first.callers:
        print_wrapped(console, f"called by {first.callers}", indent="  ", first="  ")


def _cause_text(cause: Cause, per: str, *, is_brief: bool = False) -> str:
    per = shown_text(per, _MAX_NAME)
    name = f"`{short_name(cause)}`" if cause.name != COLLECTOR else short_name(cause)
    where = "" if cause.component == "server" else f" of {component_name(cause.component)}"
    if cause.kind is EvidenceKind.METRIC and cause.unit == "1":
        said = (
            f"{name}{where} per {per} {quantity_of(cause.baseline, '1')} → "
            f"{quantity_of(cause.candidate, '1')}"
        )
    else:
        amount = _AMOUNTS.get(cause.kind, "")
        change = quantity_of(cause.change, cause.unit, signed=True)
        said = f"{name}{where} {' '.join(filter(None, (change, amount)))} per {per}"
    if is_brief:
        return said
    return f"{said} ({source_name(cause.kind)}, {cause.agreeing} of {cause.pairs} pairs)"


def quantity_of(value: float, unit: str, *, signed: bool = False) -> str:
    """Return a value per operation as text; a count may have decimals."""
    if unit == "1":
        return f"{value:+.3g}" if signed else f"{value:.3g}"
    return quantity(value, unit, signed=signed)


def _row(cause: Cause) -> CauseRow:
    factor, unit = (1.0, "") if cause.unit == "1" else unit_for(cause.change, cause.unit)
    low, middle, high = (
        f"{value / factor:+.3g}" for value in (cause.low, cause.change, cause.high)
    )
    return CauseRow(
        name=short_name(cause),
        full_name=shown_text(cause.name, 4 * _MAX_NAME),
        component=component_name(cause.component),
        source=source_name(cause.kind) + _scope_text(cause),
        baseline=quantity_of(cause.baseline, cause.unit),
        candidate=quantity_of(cause.candidate, cause.unit),
        change=f"{middle} {unit}".rstrip() + f" [{low}, {high}]",
        pairs=f"{cause.agreeing} of {cause.pairs}",
        callers=" ← ".join(_callers(cause)),
    )


def _scope_text(cause: Cause) -> str:
    return ", cumulative" if cause.scope is CauseScope.CUMULATIVE else ""


def component_name(component: str) -> str:
    """Return the name of a component as people write it, such as `API server`."""
    return _COMPONENTS.get(component, shown_text(component, 40))


def source_name(kind: EvidenceKind) -> str:
    """Return where a kind of evidence is from, such as `block profile`."""
    return _SOURCES[kind]


def _callers(cause: Cause) -> Iterator[str]:
    for name in cause.callers[:_MAX_CALLERS]:
        yield shown_text(_without_path(name), _MAX_NAME)
