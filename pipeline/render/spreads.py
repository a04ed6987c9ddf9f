"""How much pairs varied in several runs, for people."""

import math
from statistics import median

from pipeline.judge.spreads import machine_class
from pipeline.model.spreads import SpreadHistory


def spreads_text(history: SpreadHistory) -> str:
    """Return the runs, their machines, and the standard deviation of each metric's pairs."""
    conditions, runs = history.conditions, history.runs
    classes = sorted({machine_class(run.machine) for run in runs})
    first, last = runs[0].time, runs[-1].time
    of = f"{conditions.suite} with {conditions.product}"
    lines = [
        f"{len(runs)} runs of the suite {of}",
        f"  environment {conditions.environment}, interleaved by {conditions.interleave}",
        f"  from {first:%Y-%m-%d} to {last:%Y-%m-%d}, on {'; '.join(classes)}",
        "",
        f"  {'standard deviation of a pair':<44} {'lowest':>10} {'median':>10} {'highest':>10}",
    ]
    for key in dict.fromkeys(key for run in runs for key in run.metrics):
        known = [run.metrics[key] for run in runs if key in run.metrics]
        found = sorted(math.sqrt(one.variance) for one in known)
        shown = " ".join(f"{one:>10.3g}" for one in (found[0], median(found), found[-1]))
        few = f"  in {len(known)} runs" if len(known) < len(runs) else ""
        lines.append(f"  {key:<44} {shown}{few}")
    return "\n".join([*lines, ""])
