"""What equal builds were measured to do, for people."""

from pipeline.model.calibration import Calibration
from pipeline.render.paper import fits, fold, paper, print_wrapped, written


def calibration_text(found: Calibration, *, width: int = 100, color: bool = False) -> str:
    """Return the spread of each metric, and the tolerance that would work, the worst first.

    Args:
        found: The calibration.
        width: Characters of a line.
        color: Whether to add escape sequences of colour.
    """
    from rich.table import Table
    from rich.text import Text

    console = paper(width, color=color)
    tight = sum(noise.tolerated < noise.min_tolerance for noise in found.metrics.values())
    console.print(
        f"Equal builds on this machine, suite {found.suite}: {found.pairs} pairs;"
        f" {found.false_alarms:.1%} of drawn reports red;"
        f" {tight} of {len(found.metrics)} tolerances below the noise at {found.max_pairs} pairs"
    )
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("metric", overflow="fold")
    for column in ("spread", "margin", "tolerance", "works from", "false alarms"):
        table.add_column(column, justify="right", no_wrap=True)
    order = sorted(
        found.metrics.items(), key=lambda item: item[1].tolerated / max(item[1].min_tolerance, 1e-9)
    )
    for key, noise in order:
        style = "yellow" if noise.tolerated < noise.min_tolerance else ""
        table.add_row(
            Text(key, style=style),
            f"{noise.spread:.3g}",
            f"{noise.margin:.3g}",
            f"{noise.tolerated:.3g}",
            f"{noise.min_tolerance:.3g}",
            f"{noise.false_alarms:.1%}",
        )
    console.print()
    if fits(console, table):
        console.print(table)
        return written(console)
    for key, noise in order:
        style = "yellow" if noise.tolerated < noise.min_tolerance else ""
        console.print(fold(key, width), style=style, soft_wrap=True)
        said = (
            f"spread {noise.spread:.3g}, margin {noise.margin:.3g},"
            f" tolerance {noise.tolerated:.3g}, works from {noise.min_tolerance:.3g},"
            f" false alarms {noise.false_alarms:.1%}"
        )
        print_wrapped(console, said, indent=" " * 4)
    return written(console)
