"""Render PerfData, the format that perfdash and other tools around ClusterLoader2 read.

perfdash plots each number of an item over the builds and identifies items by their labels.  So the
labels of an item are the same in every run, and what differs from run to run are labels of the
whole file.  A number summarizes a metric over the valid trials and is named accordingly: `Perc50`
would be taken for a percentile of requests.  Values that a deadline cut off are lower bounds, as in
the other formats: without them, the slowest trials would be missing.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from pipeline.model.perfdata import VERSION, Item
from pipeline.model.report import Report
from pipeline.model.results import Cutoff
from pipeline.model.subject import Arm
from pipeline.system.sanitize import printable


def perfdata(report: Report) -> str:
    """Render a report: an item for each metric and arm, with `median`, `min` and `max`.

    The unit is the metric's: s, B, 1/s, 1 or x.  A metric without a value has no item.
    """
    results = report.results
    labels = {
        "suite": results.suite,
        "environment": results.environment,
        "verdict": report.verdict.value,
        "taken_at": results.taken_at.isoformat(timespec="seconds"),
    }
    for arm, subject in sorted(results.subjects.items()):
        labels[arm.value] = subject.spec
        labels[f"{arm.value}_digest"] = subject.digest
    if bounds := sum(_bounds(report, arm) for arm in Arm):
        labels["lower_bounds"] = f"{bounds}"
    return perfdata_text([item for arm in Arm for item in _items(report, arm)], labels)


def perfdata_text(items: Sequence[Item], labels: Mapping[str, str]) -> str:
    """Return items as the text of a file with labels; the same items give the same bytes."""
    data_items = [
        {
            "data": dict(item.data),
            "unit": item.unit,
            **({"labels": _printable(item.labels)} if item.labels else {}),
        }
        for item in items
    ]
    body = {
        "version": VERSION,
        "dataItems": data_items,
        **({"labels": _printable(labels)} if labels else {}),
    }
    return json.dumps(body, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _items(report: Report, arm: Arm) -> Iterator[Item]:
    results = report.results
    for sample in results.samples.get(arm, ()):
        values = [v for pair in results.valid_pairs if (v := sample.values[pair]) is not None]
        if values:
            yield Item(
                {"median": median(values), "min": min(values), "max": max(values)},
                sample.metric.unit,
                {
                    "workload": sample.workload,
                    "metric": sample.metric.name,
                    "arm": arm.value,
                    "Count": f"{len(values)}",  # perfdash does not plot a label of this name
                },
            )


def _bounds(report: Report, arm: Arm) -> int:
    """Return the number of values of an arm that a deadline cut off."""
    results = report.results
    cutoffs = [s.cutoff(pair) for s in results.samples.get(arm, ()) for pair in results.valid_pairs]
    return cutoffs.count(Cutoff.AT_LEAST)


def _printable(labels: Mapping[str, str]) -> dict[str, str]:
    return {printable(name): printable(value) for name, value in labels.items()}
