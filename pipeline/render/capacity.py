"""Render the answer of a capacity search: text for a terminal, and the curve as an SVG file."""

import math
import shlex
from typing import TYPE_CHECKING

from pipeline.judge.forecast import measured_growth
from pipeline.model.capacity import Capacity, CapacityStep, CountedResource, StepOutcome
from pipeline.model.forecast import CapacityForecast
from pipeline.model.limit import QUANTITIES, Limit
from pipeline.render import svg
from pipeline.render.console import console_text, fits, print_wrapped, string_console, table
from pipeline.render.forecast import forecast_panels, print_forecast
from pipeline.render.numbers import duration, quantity
from pipeline.render.words import start_arguments
from pipeline.system.sanitize import printable

if TYPE_CHECKING:
    from rich.console import Console

MARKS = "abcdefghijklmnopqrstuvwxyz"
"""One letter for each limited quantity in the text plot."""

_WIDE = 72  # characters from which on a table folds its cells
_PLOT_HEIGHT = 11
_PLOT_TOP = 1.25
"""Share of a limit at the top of the text plot; larger values are drawn there."""

_STYLE = {StepOutcome.HELD: "green", StepOutcome.BROKE: "bold red", StepOutcome.INVALID: "yellow"}
_FRAME = svg.Frame(800.0, 190.0, left=76.0, right=16.0, top=26.0)
_TITLE_HEIGHT = 34.0
_AXIS_HEIGHT = 22.0
_PADDING = 1.08  # ratio between an end of the N axis and the nearest point
_SVG_STYLE = """
svg { background: #fff; font: 11px system-ui, sans-serif }
text { fill: #59636e } .title { fill: #1b1f24; font-size: 13px; font-weight: 600 }
.panel { fill: #1b1f24; font-size: 12px } path { fill: none }
.grid { stroke: #e4e8ec } .zero { stroke: #a3adb8 } .line { stroke: #a3adb8; stroke-width: 1.5 }
.limit { stroke: #b23c00; stroke-dasharray: 5 4; stroke-width: 1.5 }
.edge { fill: #f0b23c; fill-opacity: .22 }
.held { fill: #00694c } .broke { stroke: #b23c00; stroke-width: 2.5 }
"""


def capacity_text(
    capacity: Capacity,
    forecast: CapacityForecast | None = None,
    *,
    width: int = 100,
    color: bool = False,
) -> str:
    """Render a search, finished or not; the same search gives the same bytes."""
    console = string_console(width, color=color)
    console.print(headline(capacity), style="bold")
    for sentence in _sentences(capacity):
        console.print(printable(sentence))
    if capacity.steps:
        _print_steps(console, capacity)
        if capacity.question.limits:
            console.print("\nThe curve, each quantity as a share of its limit:", style="bold")
            console.print(text_plot(capacity, width))
        if forecast:
            print_forecast(console, forecast)
    console.print("\nReproduce:", style="bold")
    console.print(f"  {reproduce_command(capacity)}", soft_wrap=True)
    return console_text(console)


def headline(capacity: Capacity) -> str:
    """Return the answer in one line."""
    answer, things = capacity.answer, _things(capacity)
    if not capacity.steps:
        return f"NOTHING YET: no number of {things} was measured"
    if answer.broke is None and not answer.held:
        return f"CANNOT TELL: no number of {things} held, or broke, every time"
    limits = {limit.quantity: limit.text for limit in reversed(capacity.question.limits)}
    first = " and ".join(f"`{limits.get(name, name)}`" for name in answer.first)
    if answer.broke is None:
        if first:
            what = f"{first} broke above that, but not every time"
        elif capacity.question.limits:
            what = "no limit broke"
        else:
            return f"MEASURED up to {answer.held:,} {things}, for a forecast"
        return f"AT LEAST {answer.held:,} {things}: {what}"
    if answer.held == 0:
        return f"LESS THAN {answer.broke:,} {things}: {first} broke first"
    return f"{answer.held:,} TO {answer.broke:,} {things}: {first} broke first"


def reproduce_command(capacity: Capacity) -> str:
    """Return the command that searches the same again, quoted for a shell."""
    question = capacity.question
    words = ["milo-perf", "capacity", question.things]
    words += start_arguments(capacity.subject, capacity.environment, capacity.machine)
    for limit in question.limits:
        words += ["--limit", limit.text]
    words += ["--budget", f"{question.budget_s:g}s", "--start", f"{question.start}"]
    if question.forecast:
        words += ["--forecast", f"{question.forecast}"]
    if question.machine:
        words += ["--machine", question.machine]
    if question.things is CountedResource.OBJECTS:
        words += ["--projects", f"{question.projects}"]
    words += ["--object-bytes", f"{question.object_bytes}", "--rate", f"{question.rate:g}"]
    words += ["--hold", f"{question.hold_s:g}s", "--seed", f"{question.seed}"]
    return printable(shlex.join(words))


def text_plot(capacity: Capacity, width: int) -> str:
    """Return the curve as text: N on a logarithmic axis, and shares of each limit."""
    limits = capacity.question.limits
    numbers = sorted({step.n for step in capacity.steps})
    low, high = math.log(numbers[0]), math.log(numbers[-1])
    columns = max(20, min(72, width - 10))
    rows = [[" "] * columns for _ in range(_PLOT_HEIGHT + 1)]
    at_limit = round(_PLOT_HEIGHT / _PLOT_TOP)
    rows[at_limit] = ["-"] * columns
    for mark, limit in zip(MARKS, limits, strict=False):
        for step in capacity.steps:
            if limit.quantity in step.values:
                share = min(step.values[limit.quantity] / limit.below, _PLOT_TOP)
                along = (math.log(step.n) - low) / (high - low) if high > low else 0.5
                row = rows[round(share / _PLOT_TOP * _PLOT_HEIGHT)]
                row[round(along * (columns - 1))] = mark
    labels = {at_limit: "100 %", 0: "0 %", round(at_limit / 2): "50 %"}
    lines = [
        f"{labels.get(row, ''):>6} |{''.join(rows[row])}" for row in range(_PLOT_HEIGHT, -1, -1)
    ]
    ends = f"{numbers[0]:,}".ljust(columns - len(f"{numbers[-1]:,}")) + f"{numbers[-1]:,}"
    keys = [f"{mark}  {limit.text}" for mark, limit in zip(MARKS, limits, strict=False)]
    axis = f"{'':>6} +{'-' * columns}"
    return "\n".join([*lines, axis, f"{'N':>6}  {ends}", *(f"{'':8}{key}" for key in keys)])


def curve_svg(capacity: Capacity, forecast: CapacityForecast | None = None) -> str:
    """Return the curve as an SVG file with a panel for each limit and each forecast."""
    bodies = [_panel(capacity, limit) for limit in capacity.question.limits]
    if forecast:
        bodies += forecast_panels(capacity, forecast, _FRAME)
    title = headline(capacity).replace("`", "")
    height = _TITLE_HEIGHT + _FRAME.height * len(bodies) + _AXIS_HEIGHT
    panels = (
        svg.tag(
            "g",
            *body,
            transform=f"translate(0 {svg.number(_TITLE_HEIGHT + _FRAME.height * at)})",
        )
        for at, body in enumerate(bodies)
    )
    middle = _FRAME.width / 2
    drawing = svg.drawing(
        _FRAME.width,
        height,
        title,
        svg.tag("style", _SVG_STYLE),
        svg.label(middle, 22, title, "title", "middle"),
        *panels,
        svg.label(middle, height - 10, f"N: {_things(capacity)}", "panel", "middle"),
        xmlns="http://www.w3.org/2000/svg",
    )
    return f"{drawing}\n"


def _panel(capacity: Capacity, limit: Limit) -> list[str]:
    """Return one panel: the limit, the range of the answer, and a mark for each step."""
    points = sorted(
        (step.n, step.values[limit.quantity], step.outcome)
        for step in capacity.steps
        if limit.quantity in step.values and step.outcome is not StepOutcome.INVALID
    )
    numbers = sorted({step.n for step in capacity.steps})
    x = _FRAME.x_axis(numbers[0] / _PADDING, numbers[-1] * _PADDING, is_log=True)
    y = _FRAME.y_axis(0.0, 1.1 * max([limit.below, *(value for _, value, _ in points)]))
    parts = []
    answer = capacity.answer
    if answer.held and answer.broke:
        left, right = x.at(answer.held), x.at(answer.broke)
        parts.append(
            svg.tag(
                "rect",
                svg.tooltip(f"between {answer.held:,} and {answer.broke:,}"),
                x=left,
                y=_FRAME.top,
                width=right - left,
                height=_FRAME.height - _FRAME.bottom - _FRAME.top,
                class_="edge",
            )
        )
    parts += _FRAME.y_ticks(y, limit.unit)
    parts += _FRAME.x_ticks([(x.at(n), f"{n:,}") for n in numbers])
    parts.append(svg.label(_FRAME.left, _FRAME.top - 8, limit.text, "panel"))
    line = [(_FRAME.left, y.at(limit.below)), (_FRAME.width - _FRAME.right, y.at(limit.below))]
    parts.append(svg.tag("path", d=svg.path(line), class_="limit"))
    places = [(x.at(n), y.at(value)) for n, value, _ in points]
    if places:
        parts.append(svg.tag("path", d=svg.path(places), class_="line"))
    for (at_x, at_y), (_, _, outcome) in zip(places, points, strict=True):
        if outcome is StepOutcome.HELD:
            parts.append(svg.tag("circle", cx=at_x, cy=at_y, r=4.0, class_="held"))
        else:
            parts.append(svg.tag("path", d=svg.cross(at_x, at_y, 4), class_="broke"))
    return parts


def _sentences(capacity: Capacity) -> list[str]:
    question, answer, steps = capacity.question, capacity.answer, capacity.steps
    sentences = [
        f"Measured {capacity.subject.spec} ({capacity.subject.digest[:19]}) in {len(steps)} steps"
        f" and {duration(capacity.spent_s)}. N is the number of {_things(capacity)}"
        + (
            f" ({question.projects} Projects)."
            if question.things is CountedResource.OBJECTS
            else "."
        )
    ]
    if answer.held:
        times = sum(s.n == answer.held and s.outcome is StepOutcome.HELD for s in steps)
        sentences.append(f"N = {answer.held:,} held {_times(times)}, and every smaller N held.")
    if answer.broke is not None:
        times = sum(s.n == answer.broke and s.outcome is StepOutcome.BROKE for s in steps)
        sentences.append(f"N = {answer.broke:,} broke {_times(times)}, and every larger N broke.")
    if answer.disagreed and answer.broke is not None:
        numbers = ", ".join(f"{n:,}" for n in answer.disagreed)
        sentences.append(f"Between these two, repeated measurements disagree: {numbers}.")
    elif answer.disagreed:
        broken = sorted({step.n for step in steps if step.outcome is StepOutcome.BROKE})
        numbers = ", ".join(f"{n:,}" for n in broken)
        sentences.append(f"Broke at N = {numbers}; but that or a larger N also held.")
    if capacity.ended is None:
        sentences.append("The search has not ended; --resume continues it.")
    else:
        sentences.append(f"Ended ({capacity.ended}): {capacity.ended_by}.")
    if unsteady := [f"{step.n:,}" for step in steps if not step.is_steady]:
        sentences.append(
            f"Not steady within the hold time, so less certain: {', '.join(unsteady)}."
        )
    return sentences


def _print_steps(console: "Console", capacity: Capacity) -> None:
    from rich.text import Text

    limits = capacity.question.limits
    names = [limit.quantity for limit in limits] or list(measured_growth(capacity))
    shown = [name for name in names if limits or "(" not in name]  # totals fit a terminal
    steps = sorted(capacity.steps, key=lambda step: (step.n, step.launch))
    built = table("N", "launch", *shown)
    built.add_column("outcome", overflow="fold")
    for step in steps:
        built.add_row(
            f"{step.n:,}",
            f"{step.launch}",
            *(_cell(step, name) for name in shown),
            Text(printable(_outcome(step)), style=_STYLE[step.outcome]),
        )
    if limits:
        built.add_row("limit", "", *(quantity(limit.below, limit.unit) for limit in limits), "")
    console.print()
    if fits(console, built) or console.width >= _WIDE:
        console.print(built)
        return
    for step in steps:
        title = f"N = {step.n:,}, launch {step.launch}: {_outcome(step)}"
        print_wrapped(console, printable(title), style=_STYLE[step.outcome])
        cells = (f"{name} {_cell(step, name)}" for name in shown)
        print_wrapped(console, ", ".join(cells), indent=" " * 4)
    if limits:
        texts = (f"{limit.quantity} {quantity(limit.below, limit.unit)}" for limit in limits)
        print_wrapped(console, f"limits: {', '.join(texts)}")


def _cell(step: CapacityStep, name: str) -> str:
    text = quantity(step.values.get(name), QUANTITIES[name])
    return f"{text} !" if name in step.broke else text


def _outcome(step: CapacityStep) -> str:
    reason = step.failed or "; ".join(step.invalid)
    return f"{step.outcome}{f': {reason}' if reason else ''}"


def _things(capacity: Capacity) -> str:
    is_projects = capacity.question.things is CountedResource.PROJECTS
    return "Projects" if is_projects else "objects in each Project"


def _times(times: int) -> str:
    return {1: "once", 2: "twice"}.get(times, f"{times} times")
