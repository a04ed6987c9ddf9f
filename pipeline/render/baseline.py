"""Render what the command `baseline` shows: a baseline, a calibration, and recorded spreads."""

import math
from statistics import median

from pipeline.judge.spreads import machine_class
from pipeline.model.calibration import Calibration
from pipeline.model.results import Baseline
from pipeline.model.spreads import SpreadHistory
from pipeline.render.console import (
    console_text,
    fits,
    fold_name,
    print_wrapped,
    string_console,
    table,
)
from pipeline.render.numbers import moment, quantity


def baseline_text(baseline: Baseline) -> str:
    """Return the subject, the machine and the median of every metric of a stored baseline."""
    machine = baseline.machine.fingerprint
    lines = [
        f"{baseline.name}: suite {baseline.suite}, measured {moment(baseline.taken_at)}",
        f"  subject  {baseline.subject.spec}",
        f"           {baseline.subject.digest}",
        *(f"  {fact:<12} {machine[fact]}" for fact in sorted(machine)),
        "",
    ]
    for sample in baseline.samples:
        values = [value for value in sample.values if value is not None]
        text = quantity(median(values), sample.metric.unit) if values else "not reported"
        lines.append(f"  {sample.key:<44} {text:>16}  of {len(values)} trials")
    return "\n".join([*lines, ""])


def calibration_text(calibration: Calibration, *, width: int = 100, color: bool = False) -> str:
    """Return how much equal builds differ, and the smallest usable tolerances, worst first."""
    from rich.text import Text

    console = string_console(width, color=color)
    metrics = calibration.metrics
    too_small = sum(noise.tolerated < noise.min_tolerance for noise in metrics.values())
    console.print(
        f"Equal builds on this machine, suite {calibration.suite}: {calibration.pairs} pairs;"
        f" {calibration.false_alarms:.1%} of simulated reports are red; {too_small} of"
        f" {len(metrics)} tolerances are below the noise at {calibration.max_pairs} pairs"
    )
    built = table()
    built.add_column("metric", overflow="fold")
    names = ("spread", "margin", "tolerance", "smallest usable", "false alarms")
    for name in names:
        built.add_column(name, justify="right", no_wrap=True)
    rows = []
    for key, noise in sorted(
        metrics.items(), key=lambda item: item[1].tolerated / max(item[1].min_tolerance, 1e-9)
    ):
        numbers = (noise.spread, noise.margin, noise.tolerated, noise.min_tolerance)
        style = "yellow" if noise.tolerated < noise.min_tolerance else ""
        rows.append((key, style, [*(f"{n:.3g}" for n in numbers), f"{noise.false_alarms:.1%}"]))
    for key, style, cells in rows:
        built.add_row(Text(key, style=style), *cells)
    console.print()
    if fits(console, built):
        console.print(built)
        return console_text(console)
    for key, style, cells in rows:
        console.print(fold_name(key, width), style=style, soft_wrap=True)
        text = ", ".join(f"{name} {cell}" for name, cell in zip(names, cells, strict=True))
        print_wrapped(console, text, indent=" " * 4)
    return console_text(console)


def spreads_text(history: SpreadHistory) -> str:
    """Return the runs, their machines, and the standard deviation of each metric's pairs."""
    conditions, runs = history.conditions, history.runs
    classes = sorted({machine_class(run.machine) for run in runs})
    lines = [
        f"{len(runs)} runs of the suite {conditions.suite} with {conditions.product}",
        f"  environment {conditions.environment}, interleaved by {conditions.interleave}",
        f"  from {runs[0].time:%Y-%m-%d} to {runs[-1].time:%Y-%m-%d}, on {'; '.join(classes)}",
        "",
        f"  {'standard deviation of a pair':<44} {'lowest':>10} {'median':>10} {'highest':>10}",
    ]
    for key in dict.fromkeys(key for run in runs for key in run.metrics):
        known = [run.metrics[key] for run in runs if key in run.metrics]
        deviations = sorted(math.sqrt(one.variance) for one in known)
        numbers = (deviations[0], median(deviations), deviations[-1])
        few = f"  in {len(known)} runs" if len(known) < len(runs) else ""
        lines.append(f"  {key:<44} {' '.join(f'{number:>10.3g}' for number in numbers)}{few}")
    return "\n".join([*lines, ""])
