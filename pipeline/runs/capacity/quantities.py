"""Compute the quantities that have limits from readings."""

from collections.abc import Sequence

from pipeline.model.limit import COMPONENTS, OPERATIONS, STATISTICS
from pipeline.model.metric import convert
from pipeline.model.ports import Span
from pipeline.model.results import Reading

STEADY = 0.05
"""A hold is steady when the mean memory of its two halves differs by no more than this share."""

SETTLED_SHARE = 0.5
"""After a fill, goroutines have settled when they change by less than this share of the goroutines
of one Project: then a controller that takes one Project after the other is done."""


def quantity_values(readings: Sequence[Reading], span: Span) -> dict[str, float]:
    """Return the value of each quantity that was measured, in its base unit.

    Memory and files are maxima over the span, goroutines the value after it, CPU is in cores.
    """
    by_name = {reading.name: reading for reading in readings}
    units = {"memory_max": "B", "files": "1", "goroutines": "1", "cpu": "s", "errors_share": "1"}
    names = {
        **{
            f"{statistic}({operation})": (f"http_req_duration{{op={operation}}}/{statistic}", "s")
            for statistic in STATISTICS
            for operation in OPERATIONS
        },
        **{
            f"{quantity}({component})": (f"{component}.{reading}", units[reading])
            for component in COMPONENTS
            for quantity, reading in (
                ("memory", "memory_max"),
                ("files", "files"),
                ("goroutines", "goroutines"),
                ("cpu", "cpu"),
            )
        },
        "errors": ("errors_share", "1"),
        "db": ("etcd.db_bytes", "B"),
    }
    values = {
        quantity: convert(by_name[name].value, by_name[name].unit, unit)
        for quantity, (name, unit) in names.items()
        if name in by_name
    }
    length_s = span.end_s - span.start_s
    for quantity in [name for name in values if name.startswith("cpu(")]:
        values[quantity] /= length_s
    parts = [value for name, value in values.items() if name.startswith("memory(")]
    return {**values, "memory": sum(parts)} if parts else values


def is_steady(first: Sequence[Reading], second: Sequence[Reading]) -> bool:
    """Return whether the total memory is the same in both halves of a hold."""
    before, after = (
        sum(reading.value for reading in half if reading.name.endswith(".memory_mean"))
        for half in (first, second)
    )
    return abs(after - before) <= STEADY * before


def has_settled(before: Sequence[Reading], after: Sequence[Reading], projects: int) -> bool:
    """Return whether the total number of goroutines has stopped changing.

    Args:
        before: Readings `COMPONENT.goroutines`; without any, the build counts as settled.
        after: The same readings some seconds later.
        projects: Number of Projects, at least 1.
    """
    first, second = (
        sum(reading.value for reading in readings if reading.name.endswith(".goroutines"))
        for readings in (before, after)
    )
    return abs(second - first) <= SETTLED_SHARE * first / projects
