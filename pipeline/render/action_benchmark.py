"""Render the JSON of github-action-benchmark's tools for numbers of any kind.

The action takes one direction for a whole file, so there are two formats, named after its tools.
It puts names and units into comments without escaping them.

Source:
    https://github.com/benchmark-action/github-action-benchmark, `customSmallerIsBetter`.
"""

import json

from pipeline.model.metric import Better
from pipeline.model.subject import Arm
from pipeline.render.exports import ExportData, MetricExport, distinct, encode
from pipeline.render.numbers import count, interval

_OWN = " _.,+-/=:()[]{}"  # safe in a code span of a table beside letters and digits
_MAX_UNIT = 40  # characters


def action_benchmark(data: ExportData, better: Better) -> str:
    """Render the means of one arm of the metrics with one direction; an empty list without any."""
    entries = []
    names = distinct(encode(one.name, _is_name) for one in data.metrics)
    for name, one in zip(names, data.metrics, strict=True):
        mean = one.mean(data.arm)
        if one.metric.better is not better or mean is None:
            continue
        entry: dict[str, object] = {
            "name": name,
            "unit": encode(one.metric.unit, _is_unit, _MAX_UNIT),
            "value": mean,
            "extra": _extra(one, data.arm),
        }
        if known := one.finite_values(data.arm):
            entry["range"] = f"{min(known):.4g} to {max(known):.4g}"
        entries.append(entry)
    return json.dumps(entries, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _extra(one: MetricExport, arm: Arm) -> str:
    """Return what the action shows beside a point of its chart."""
    change = interval(one.metric, one.finding.comparison.change)
    lines = [f"{one.finding.verdict}, candidate against baseline {change}"]
    if bounds := one.bounds.get(arm):
        lines.append(f"{count(bounds, 'lower bound')}, cut off by a deadline")
    return "\n".join(lines)


def _is_name(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character in _OWN)


def _is_unit(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character in "/%")
