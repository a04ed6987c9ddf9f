"""Render Bencher Metric Format, which `bencher run --adapter json --file FILE` reads.

A benchmark is a metric of ours.  A measure is a unit with one direction, because a threshold of
Bencher belongs to a measure; Bencher creates measures that it does not know.

Source:
    https://bencher.dev/docs/reference/bencher-metric-format
"""

import json

from pipeline.render.exports import ExportData, distinct, encode, unit_name

_MEASURES = {"s": "seconds", "B": "bytes", "1/s": "per-second", "1": "value", "x": "ratio"}
_MAX_MEASURE = 64  # characters that Bencher allows


def bencher(data: ExportData) -> str:
    """Render the mean of each metric of one arm, with its smallest and largest value.

    A metric without a value has no benchmark.
    """
    benchmarks: dict[str, dict[str, dict[str, float]]] = {}
    names = distinct(encode(one.name) for one in data.metrics)
    for name, one in zip(names, data.metrics, strict=True):
        if (mean := one.mean(data.arm)) is None:
            continue
        numbers = {"value": mean}
        if known := one.finite_values(data.arm):
            numbers |= {"lower_value": min(*known, mean), "upper_value": max(*known, mean)}
        measure = encode(unit_name(one.metric, _MEASURES), most=_MAX_MEASURE)
        benchmarks[name] = {measure: numbers}
    return json.dumps(benchmarks, indent=2, sort_keys=True, allow_nan=False) + "\n"
