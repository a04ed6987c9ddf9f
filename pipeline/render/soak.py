"""Render a soak: text for a terminal, and the curves as an SVG file."""

import shlex
from typing import TYPE_CHECKING

from pipeline.judge.growth import MIN_CYCLES, MIN_READY, judged_launch, limits_without_value
from pipeline.model.soak import (
    HISTORY_S,
    SOAK_QUANTITIES,
    WITH_HISTORY,
    Growth,
    GrowthVerdict,
    Soak,
    SoakEnd,
)
from pipeline.render import svg
from pipeline.render.console import console_text, fits, print_wrapped, string_console, table
from pipeline.render.numbers import count, duration, quantity
from pipeline.render.words import start_arguments
from pipeline.system.sanitize import printable

if TYPE_CHECKING:
    from rich.console import Console

_STYLE = {
    GrowthVerdict.PLATEAU: "green",
    GrowthVerdict.LEAK: "bold red",
    GrowthVerdict.CANNOT_TELL: "yellow",
}
_FRAME = svg.Frame(800.0, 150.0, left=76.0, right=16.0, top=26.0)
_TITLE_HEIGHT = 34.0
_AXIS_HEIGHT = 22.0
_SVG_STYLE = """
svg { background: #fff; font: 11px system-ui, sans-serif }
text { fill: #59636e } .title { fill: #1b1f24; font-size: 13px; font-weight: 600 }
.panel { fill: #1b1f24; font-size: 12px } path { fill: none }
.grid { stroke: #e4e8ec } .zero { stroke: #a3adb8 } .line { stroke: #0969da; stroke-width: 1.5 }
.leak { stroke: #b23c00; stroke-width: 1.5 }
"""


def soak_text(soak: Soak, *, width: int = 100, color: bool = False) -> str:
    """Render a soak, ended or not; the same soak gives the same bytes."""
    console = string_console(width, color=color)
    console.print(printable(soak_headline(soak)), style="bold")
    for sentence in _sentences(soak):
        print_wrapped(console, printable(sentence))
    if soak.growth:
        _print_growth(console, soak)
    console.print("\nReproduce:", style="bold")
    console.print(f"  {soak_command(soak)}", soft_wrap=True)
    return console_text(console)


def soak_headline(soak: Soak) -> str:
    """Return the answer in one line."""
    if soak.ended is SoakEnd.FAILED:
        return f"FAILED: {soak.ended_by}"
    if soak.broke:
        return f"LIMIT BROKEN: {', '.join(soak.broke)}"
    if not soak.growth:
        return (
            f"CANNOT TELL: {count(len(soak.cycles), 'cycle')} of create, use and delete are too few"
        )
    leaks = [
        f"{name} {_per_project(name, growth)}"
        for name, growth in soak.growth.items()
        if growth.verdict is GrowthVerdict.LEAK
    ]
    if leaks:
        more = f", and {len(leaks) - 2} more" if len(leaks) > 2 else ""
        return f"LEAK: {'; '.join(leaks[:2])}{more}"
    open_ones = [
        name for name, one in soak.growth.items() if one.verdict is GrowthVerdict.CANNOT_TELL
    ]
    if open_ones:
        return (
            f"NO LEAK FOUND: {len(soak.growth) - len(open_ones)} of"
            f" {count(len(soak.growth), 'resource')} settled; cannot tell about"
            f" {', '.join(open_ones[:3])}{' and more' if len(open_ones) > 3 else ''}"
        )
    return f"NO LEAK: {count(len(soak.growth), 'resource')} settled"


def soak_command(soak: Soak) -> str:
    """Return the command that soaks the same again, quoted for a shell."""
    question = soak.question
    words = ["milo-perf", "soak"]
    words += start_arguments(soak.subject, soak.environment, soak.machine)
    words += ["--for", f"{question.lasts_s:g}s"]
    for limit in question.limits:
        words += ["--limit", limit.text]
    words += ["--projects", f"{question.projects}", "--objects", f"{question.objects}"]
    words += ["--object-bytes", f"{question.object_bytes}", "--watches", f"{question.watches}"]
    words += ["--seed", f"{question.seed}"]
    return printable(shlex.join(words))


def _sentences(soak: Soak) -> list[str]:
    cycles = soak.cycles
    deleted = {cycle.launch: cycle.deleted for cycle in cycles}
    measured = (
        f"Measured {soak.subject.spec} ({soak.subject.digest[:19]}):"
        f" {count(len(cycles), 'cycle')} of {count(soak.question.projects, 'Project')},"
        f" {sum(deleted.values()):,} created and deleted in {duration(soak.spent_s)}."
    )
    sentences = [measured]
    if len(deleted) > 1:
        sentences.append(
            f"It was continued in {len(deleted)} launches; the verdicts are of the one with"
            f" {deleted[judged_launch(cycles)]:,} deleted Projects."
        )
    never_ready = sum(cycle.never_ready for cycle in cycles)
    never_gone = sum(cycle.never_gone for cycle in cycles)
    for number, what in ((never_ready, "Ready"), (never_gone, "gone")):
        if number:
            deadline = duration(soak.question.deadline_s)
            sentences.append(f"{count(number, 'Project')} not {what} within {deadline}.")
    if cycles and not soak.growth:
        each = duration(soak.spent_s / len(cycles))
        sentences.append(
            f"A verdict needs {MIN_CYCLES} cycles in one launch; a cycle takes {each}."
        )
    if soak.ended is None:
        sentences.append("The soak has not ended; --resume continues it.")
    else:
        sentences.append(f"Ended ({soak.ended}): {soak.ended_by}.")
    for limit in limits_without_value(soak):
        few = f"a p95 needs {MIN_READY} Projects" if limit.quantity == "ready" else "no value"
        sentences.append(f"The limit {limit.text} was not judged: {few}.")
    left_out = [name for name in WITH_HISTORY if any(name in one.values for one in cycles)]
    if missing := sorted(name for name in left_out if soak.growth and name not in soak.growth):
        sentences.append(
            f"Not judged: {', '.join(missing)}; the history of etcd fills for"
            f" {duration(HISTORY_S)}, and {MIN_CYCLES} cycles must follow."
        )
    if any(one.verdict is GrowthVerdict.LEAK for one in soak.growth.values()):
        last = deleted[judged_launch(cycles)]
        sentences.append(
            f"A cache that needs over {2 * last:,} Projects to fill looks like a leak."
        )
    return sentences


def _print_growth(console: "Console", soak: Soak) -> None:
    from rich.text import Text

    built = table("resource", "first", "last", "leak per Project", "interval", "cache")
    built.add_column("verdict", overflow="fold")
    rows = []
    for name, one in soak.growth.items():
        unit = SOAK_QUANTITIES[name]
        cells = (
            quantity(one.first, unit),
            quantity(one.last, unit),
            quantity(one.per_unit, unit, signed=True),
            f"{quantity(one.low, unit, signed=True)} to {quantity(one.high, unit, signed=True)}",
            quantity(one.filled, unit) if one.filled else "-",
        )
        rows.append((name, cells, one.verdict))
        built.add_row(name, *cells, Text(one.verdict, style=_STYLE[one.verdict]))
    console.print()
    if fits(console, built):
        console.print(built)
        return
    for name, (first, last, leak, interval, _), verdict in rows:
        print_wrapped(console, f"{name}: {verdict}", style=_STYLE[verdict])
        text = f"{first} to {last}; per Project {leak} ({interval})"
        print_wrapped(console, text, indent=" " * 4)


def _per_project(name: str, growth: Growth) -> str:
    unit = SOAK_QUANTITIES[name]
    low, high = quantity(growth.low, unit), quantity(growth.high, unit)
    return f"{quantity(growth.per_unit, unit, signed=True)} per Project ({low} to {high})"


def soak_svg(soak: Soak) -> str:
    """Return the curve of each resource over the deleted Projects, as an SVG file."""
    longest = judged_launch(soak.cycles)
    cycles = [cycle for cycle in soak.cycles if cycle.launch == longest]
    names = [name for name in SOAK_QUANTITIES if any(name in one.values for one in cycles)]
    title = soak_headline(soak)
    height = _TITLE_HEIGHT + _FRAME.height * len(names) + _AXIS_HEIGHT
    panels = []
    for at, name in enumerate(names):
        points = [(float(one.deleted), one.values[name]) for one in cycles if name in one.values]
        place = f"translate(0 {svg.number(_TITLE_HEIGHT + _FRAME.height * at)})"
        panels.append(svg.tag("g", *_panel(name, points, soak.growth.get(name)), transform=place))
    middle = _FRAME.width / 2
    drawing = svg.drawing(
        _FRAME.width,
        height,
        printable(title),
        svg.tag("style", _SVG_STYLE),
        svg.label(middle, 22, title, "title", "middle"),
        *panels,
        svg.label(middle, height - 10, "deleted Projects", "panel", "middle"),
        xmlns="http://www.w3.org/2000/svg",
    )
    return f"{drawing}\n"


def _panel(name: str, points: list[tuple[float, float]], growth: Growth | None) -> list[str]:
    last = points[-1][0]
    x = _FRAME.x_axis(0.0, max(last, 1.0))
    y = _FRAME.padded_y_axis([value for _, value in points])
    verdict = f": {growth.verdict}" if growth else ""
    is_leak = growth is not None and growth.verdict is GrowthVerdict.LEAK
    marks = [round(last * part / 4) for part in range(5)]
    return [
        *_FRAME.y_ticks(y, SOAK_QUANTITIES[name]),
        *_FRAME.x_ticks([(x.at(n), f"{n:,}") for n in dict.fromkeys(marks)]),
        svg.label(_FRAME.left, _FRAME.top - 8, f"{name}{verdict}", "panel"),
        svg.tag(
            "path",
            d=svg.path((x.at(n), y.at(value)) for n, value in points),
            class_="leak" if is_leak else "line",
        ),
    ]
