"""Render the forecast of a capacity search: a table, sentences, and panels for its drawing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.judge.forecast import forecast_quantity, machine_bounds, measured_growth
from pipeline.model.capacity import Capacity, CountedResource
from pipeline.model.forecast import CapacityForecast, Forecast
from pipeline.model.limit import QUANTITIES
from pipeline.render import svg
from pipeline.render.console import fits, print_wrapped, table
from pipeline.render.numbers import quantity

if TYPE_CHECKING:
    from rich.console import Console

_PARTS = 24  # of the drawn interval


def print_forecast(console: "Console", forecast: CapacityForecast) -> None:
    """Print what N needs, and which bound a growing build reaches first."""
    things = "Projects" if forecast.things is CountedResource.PROJECTS else "objects per Project"
    title = f"\nForecast for {forecast.n:,} {things} ({forecast.confidence:.0%} interval):"
    console.print(title.replace("%", " %"), style="bold")
    given = [one for one in forecast.quantities if not one.refused]
    if given:
        built = table("quantity", "growth per N", f"at {forecast.n:,}", "interval", "from N")
        for one in given:
            built.add_row(one.quantity, *_cells(one))
        if fits(console, built):
            console.print(built)
        else:
            for one in given:
                growth, value, interval, sizes = _cells(one)
                text = f"{one.quantity}: {value} ({interval}), {growth} per N, from N = {sizes}"
                print_wrapped(console, text)
    for one in forecast.quantities:
        if one.knee and not one.refused:
            print_wrapped(console, f"{one.quantity} grows otherwise above N = {one.knee:,}.")
        if one.refused:
            print_wrapped(console, f"No forecast of {one.quantity}: {one.refused}.")
    if not forecast.quantities:
        print_wrapped(console, "No forecast: nothing that grows was measured.")
    for sentence in bound_sentences(forecast):
        print_wrapped(console, sentence)


def bound_sentences(forecast: CapacityForecast) -> list[str]:
    """Return which bounds are reached, the first one first."""
    sentences = []
    for one in forecast.reached:
        bound = quantity(one.bound, QUANTITIES[one.quantity])
        likely = f", most likely at N = {one.likely_n:,}" if one.likely_n else ""
        sentences.append(
            f"{one.quantity} may reach {bound} from N = {one.earliest_n:,} on{likely}."
        )
    if forecast.machine is None:
        return sentences
    given = {one.quantity: one.believed_to for one in forecast.quantities if one.believed_to}
    bounds = machine_bounds(forecast.machine)
    size = quantity(forecast.machine.memory, "B")
    if missing := [name for name in bounds if name not in given]:
        sentences.append(
            f"What a machine of {size} holds is unknown: no forecast of {' and '.join(missing)}."
        )
    elif not sentences:
        last = min(given[name] for name in bounds)
        sentences.append(f"A machine of {size} holds N = {last:,}, and no more is believed.")
    return sentences


def _cells(one: Forecast) -> tuple[str, str, str, str]:
    return (
        quantity(one.per_n, one.unit),
        quantity(one.value, one.unit),
        f"{quantity(one.low, one.unit)} to {quantity(one.high, one.unit)}",
        f"{one.first_n:,} to {one.last_n:,}",
    )


def forecast_panels(
    capacity: Capacity, forecast: CapacityForecast, frame: svg.Frame
) -> list[list[str]]:
    """Return a panel for each quantity with a forecast: what was measured, line and interval."""
    growth = measured_growth(capacity)
    panels = []
    for one in forecast.quantities:
        if one.refused:
            continue
        sizes = sorted({measured.n for measured in growth[one.quantity]})
        end = max(one.n, sizes[-1])
        at = [max(1, round(end * part / _PARTS)) for part in range(_PARTS + 1)]
        line = [forecast_quantity(one.quantity, growth[one.quantity], n) for n in at]
        highest = max(f.high or 0.0 for f in line)
        x, y = frame.x_axis(0.0, float(end)), frame.y_axis(0.0, 1.1 * highest or 1.0)
        upper = [(x.at(f.n), y.at(f.high or 0.0)) for f in line]
        lower = [(x.at(f.n), y.at(f.low or 0.0)) for f in reversed(line)]
        middle = [(x.at(f.n), y.at(f.value or 0.0)) for f in line]
        marks = [
            svg.tag("circle", cx=x.at(m.n), cy=y.at(m.value), r=4.0, class_="held")
            for m in growth[one.quantity]
        ]
        panels.append(
            [
                *frame.y_ticks(y, one.unit),
                *frame.x_ticks([(x.at(n), f"{n:,}") for n in _tick_numbers(sizes, end)]),
                svg.label(frame.left, frame.top - 8, f"{one.quantity}, forecast", "panel"),
                svg.tag("path", d=f"{svg.path([*upper, *lower])}Z", class_="edge"),
                svg.tag("path", d=svg.path(middle), class_="line"),
                *marks,
            ]
        )
    return panels


def _tick_numbers(sizes: Sequence[int], end: int) -> list[int]:
    """Return the numbers below the N axis, far enough apart to be read."""
    shown = [end]
    for n in sorted(sizes, reverse=True):
        if shown[-1] - n > end / 12:
            shown.append(n)
    return shown
