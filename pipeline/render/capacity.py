"""The answer of a search for a terminal and for capacity.txt."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.model.capacity import Capacity, CapacityStep, CountedResource, StepOutcome
from pipeline.model.limit import Limit
from pipeline.render.numbers import minutes, quantity
from pipeline.render.paper import fits, paper, print_wrapped, written
from pipeline.system.sanitize import printable

if TYPE_CHECKING:
    from rich.console import Console

MARKS = "abcdefghijklmnopqrstuvwxyz"
"""One letter for each limited quantity in the plot."""

_WIDE = 72  # characters from which on a cell that is too long is folded
_HEIGHT = 11
_TOP = 1.25
"""Shares of a limit at the top of the plot; what is above is drawn there."""

_STYLE = {StepOutcome.HELD: "green", StepOutcome.BROKE: "bold red", StepOutcome.INVALID: "yellow"}


def capacity_text(capacity: Capacity, *, width: int = 100, color: bool = False) -> str:
    """Render an answer, or what is known of one; the same search gives the same bytes.

    Args:
        capacity: To render.
        width: Characters of a line.
        color: Whether to add escape sequences of colour.
    """
    console = paper(width, color=color)
    console.print(headline(capacity), style="bold")
    for sentence in _sentences(capacity):
        console.print(printable(sentence))
    if capacity.steps:
        _table(console, capacity)
        console.print("\nThe curve, each quantity as a share of its limit:", style="bold")
        console.print(plot(capacity, width))
    console.print("\nThe same again:", style="bold")
    console.print(f"  {reproduce(capacity)}", soft_wrap=True)
    return written(console)


def headline(capacity: Capacity) -> str:
    """Return the answer in one line."""
    found, things = capacity.answer, _things(capacity)
    if not capacity.steps:
        return f"NOTHING YET: no number of {things} was measured"
    if found.broke is None and not found.held:
        return f"CANNOT TELL: no number of {things} held, or broke, every time"
    if found.broke is None:
        return f"AT LEAST {found.held:,} {things}: no limit broke"
    first = " and ".join(f"`{_written(capacity, name)}`" for name in found.first)
    if found.held == 0:
        return f"LESS THAN {found.broke:,} {things}: {first} broke first"
    return f"{found.held:,} TO {found.broke:,} {things}: {first} broke first"


def reproduce(capacity: Capacity) -> str:
    """Return the command that asks the same again, quoted for a shell."""
    asked = capacity.question
    words = ["milo-perf", "capacity", asked.things]
    words += ["--subject", capacity.subject.spec]
    for limit in asked.limits:
        words += ["--limit", limit.text]
    words += ["--budget", f"{asked.budget_s:g}s", "--start", f"{asked.start}"]
    if asked.things is CountedResource.OBJECTS:
        words += ["--projects", f"{asked.projects}"]
    words += ["--object-bytes", f"{asked.object_bytes}", "--rate", f"{asked.rate:g}"]
    words += ["--hold", f"{asked.hold_s:g}s", "--seed", f"{asked.seed}"]
    return printable(shlex.join(words))


def plot(capacity: Capacity, width: int) -> str:
    """Return the curve as text: N to the right, in ratios, and shares of each limit upwards.

    Args:
        capacity: With at least one step.
        width: Characters of a line.
    """
    import math

    asked = capacity.question
    numbers = sorted({step.n for step in capacity.steps})
    low, high = math.log(numbers[0]), math.log(numbers[-1])
    columns = max(20, min(72, width - 10))
    rows = [[" "] * columns for _ in range(_HEIGHT + 1)]
    at_limit = round(_HEIGHT / _TOP)
    rows[at_limit] = ["-"] * columns
    for mark, limit in zip(MARKS, asked.limits, strict=False):
        for step in capacity.steps:
            if limit.quantity in step.values:
                share = min(step.values[limit.quantity] / limit.below, _TOP)
                along = (math.log(step.n) - low) / (high - low) if high > low else 0.5
                rows[round(share / _TOP * _HEIGHT)][round(along * (columns - 1))] = mark
    labels = {at_limit: "100 %", 0: "0 %", round(at_limit / 2): "50 %"}
    lines = [f"{labels.get(row, ''):>6} |{''.join(rows[row])}" for row in range(_HEIGHT, -1, -1)]
    ends = f"{numbers[0]:,}".ljust(columns - len(f"{numbers[-1]:,}")) + f"{numbers[-1]:,}"
    keys = [f"{mark}  {limit.text}" for mark, limit in zip(MARKS, asked.limits, strict=False)]
    axis = f"{'':>6} +{'-' * columns}"
    return "\n".join([*lines, axis, f"{'N':>6}  {ends}", *(f"{'':8}{key}" for key in keys)])


def _sentences(capacity: Capacity) -> list[str]:
    asked, found = capacity.question, capacity.answer
    of_which = (
        f" in each of {asked.projects} Projects" if asked.things is CountedResource.OBJECTS else ""
    )
    measured = (
        f"Measured {capacity.subject.spec} ({capacity.subject.digest[:19]}) in"
        f" {len(capacity.steps)} steps and {minutes(capacity.spent_s)};"
        f" N counts {_things(capacity)}{of_which}."
    )
    sentences = [measured]
    if found.held:
        times = sum(s.n == found.held and s.outcome is StepOutcome.HELD for s in capacity.steps)
        sentences.append(f"N = {found.held:,} held {_times(times)}, and all below it.")
    if found.broke is not None:
        times = sum(s.n == found.broke and s.outcome is StepOutcome.BROKE for s in capacity.steps)
        sentences.append(f"N = {found.broke:,} broke {_times(times)}, and all above it.")
    if found.disagreed and found.broke is not None:
        listed = ", ".join(f"{n:,}" for n in found.disagreed)
        sentences.append(f"Between the two the measurements disagree: {listed}.")
    if capacity.ended is None:
        sentences.append("The search has not ended; --resume takes it up.")
    else:
        sentences.append(f"Ended ({capacity.ended}): {capacity.ended_by}.")
    if loose := [f"{step.n:,}" for step in capacity.steps if not step.is_steady]:
        sentences.append(
            f"Not steady within its holds, to be read with care: N = {', '.join(loose)}."
        )
    return sentences


def _table(console: "Console", capacity: Capacity) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in ("N", "launch", *(limit.quantity for limit in capacity.question.limits)):
        table.add_column(column, justify="right", overflow="fold")
    table.add_column("outcome", overflow="fold")
    for step in sorted(capacity.steps, key=lambda step: (step.n, step.launch)):
        table.add_row(
            f"{step.n:,}",
            f"{step.launch}",
            *(_cell(step, limit) for limit in capacity.question.limits),
            Text(printable(_outcome(step)), style=_STYLE[step.outcome]),
        )
    limits = [quantity(limit.below, limit.unit) for limit in capacity.question.limits]
    table.add_row("limit", "", *limits, "")
    console.print()
    if fits(console, table) or console.width >= _WIDE:
        console.print(table)
    else:
        _cards(console, capacity)


def _cards(console: "Console", capacity: Capacity) -> None:
    """Print each step with its outcome in one line, and its numbers below."""
    limits = capacity.question.limits
    for step in sorted(capacity.steps, key=lambda step: (step.n, step.launch)):
        title = f"N = {step.n:,}, launch {step.launch}: {_outcome(step)}"
        print_wrapped(console, printable(title), style=_STYLE[step.outcome])
        cells = (f"{limit.quantity} {_cell(step, limit)}" for limit in limits)
        print_wrapped(console, ", ".join(cells), indent=" " * 4)
    listed = (f"{limit.quantity} {quantity(limit.below, limit.unit)}" for limit in limits)
    print_wrapped(console, f"limits: {', '.join(listed)}")


def _cell(step: CapacityStep, limit: Limit) -> str:
    shown = quantity(step.values.get(limit.quantity), limit.unit)
    return f"{shown} !" if limit.quantity in step.broke else shown


def _outcome(step: CapacityStep) -> str:
    why = step.failed or "; ".join(step.invalid)
    return f"{step.outcome}{f': {why}' if why else ''}"


def _written(capacity: Capacity, name: str) -> str:
    texts: Sequence[str] = [x.text for x in capacity.question.limits if x.quantity == name]
    return texts[0] if texts else name


def _things(capacity: Capacity) -> str:
    asked = capacity.question
    return "Projects" if asked.things is CountedResource.PROJECTS else "objects a Project"


def _times(times: int) -> str:
    return {1: "once", 2: "twice"}.get(times, f"{times} times")
