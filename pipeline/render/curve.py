"""The curve of a capacity as an SVG picture: N against each limited quantity."""

from io import StringIO
from typing import TYPE_CHECKING

from pipeline.model.capacity import Capacity, Outcome, Things
from pipeline.model.limit import Limit
from pipeline.render.capacity import headline
from pipeline.render.numbers import quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOOK = {Outcome.HELD: ("o", "tab:green"), Outcome.BROKE: ("X", "tab:red")}
_WIDTH, _PANEL = 8.0, 2.2  # inches


def curve_svg(capacity: Capacity) -> str:
    """Return the picture of at least one step; the same search gives the same bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    limits = capacity.question.limits
    with mpl.rc_context({"svg.hashsalt": "milo-perf", "svg.fonttype": "none"}):
        figure = Figure(figsize=(_WIDTH, 1 + _PANEL * len(limits)), layout="constrained")
        panels = figure.subplots(len(limits), 1, sharex=True, squeeze=False)
        for axes, limit in zip(panels[:, 0], limits, strict=True):
            _panel(axes, capacity, limit)
        panels[-1, 0].set_xlabel(
            "Projects" if capacity.question.things is Things.PROJECTS else "objects a Project"
        )
        figure.suptitle(headline(capacity).replace("`", ""), fontsize=10)
        written = StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return written.getvalue()


def _panel(axes: "Axes", capacity: Capacity, limit: Limit) -> None:
    points = [
        (step.n, step.values[limit.quantity], step.outcome)
        for step in capacity.steps
        if limit.quantity in step.values and step.outcome in _LOOK
    ]
    doubled = sorted({s.n for s in capacity.steps if s.launch == capacity.steps[0].launch})
    axes.set_xscale("log")
    axes.set_xticks(doubled, labels=[f"{n:,}" for n in doubled])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(lambda value, _at: quantity(value, limit.unit))
    axes.set_title(limit.text, fontsize=9, loc="left")
    axes.axhline(limit.below, color="tab:red", linestyle="--", linewidth=1)
    found = capacity.answer
    if found.held and found.broke:
        axes.axvspan(found.held, found.broke, color="tab:orange", alpha=0.15, linewidth=0)
    for outcome, (marker, color) in _LOOK.items():
        shown = [(n, value) for n, value, said in points if said is outcome]
        if shown:
            numbers, values = zip(*shown, strict=True)
            axes.scatter(numbers, values, marker=marker, color=color, s=28)
    line = sorted((n, value) for n, value, _ in points)
    if line:
        numbers, values = zip(*line, strict=True)
        axes.plot(numbers, values, color="tab:gray", linewidth=0.8, zorder=0)
    axes.set_ylim(0, 1.1 * max(limit.below, *(value for _, value, _ in points), 0.0))
    axes.grid(visible=True, alpha=0.3)
