"""PerfData: what perfdash, and others who know ClusterLoader2, read.

perfdash draws each number of an item over the builds, and tells items apart by their labels: so
these are the same in every run, and what differs from run to run are labels of the whole.  A
number is of a metric over the trials that count, and is called what it is: `Perc50` would be taken
for a percentile of requests.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from pipeline.model.perfdata import VERSION, Item
from pipeline.model.report import Report
from pipeline.model.subject import Arm
from pipeline.system.sanitize import printable


def perfdata(report: Report) -> str:
    """Render a report: an item for each metric and arm, with `median`, `min` and `max`.

    The unit is the metric's: s, B, 1/s or 1.  A metric without a value has no item.
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
    return perfdata_text([item for arm in Arm for item in _items(report, arm)], labels)


def perfdata_text(items: Sequence[Item], labels: Mapping[str, str]) -> str:
    """Return items as the text of a file; the same items give the same bytes.

    Args:
        items: In the order written.
        labels: Of all of them together.
    """
    body = {
        "version": VERSION,
        "dataItems": [_item(item) for item in items],
        **({"labels": _plain(labels)} if labels else {}),
    }
    return json.dumps(body, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _items(report: Report, arm: Arm) -> Iterator[Item]:
    results = report.results
    for sample in results.samples.get(arm, ()):
        values = [v for pair in results.valid_pairs if (v := sample.exact(pair)) is not None]
        if not values:
            continue
        yield Item(
            {"median": median(values), "min": min(values), "max": max(values)},
            sample.metric.unit,
            {
                "workload": sample.workload,
                "metric": sample.metric.name,
                "arm": arm.value,
                "Count": f"{len(values)}",  # by this name perfdash leaves it out of what it draws
            },
        )


def _item(item: Item) -> dict[str, object]:
    found: dict[str, object] = {"data": dict(item.data), "unit": item.unit}
    return {**found, "labels": _plain(item.labels)} if item.labels else found


def _plain(labels: Mapping[str, str]) -> dict[str, str]:
    return {printable(name): printable(value) for name, value in labels.items()}
