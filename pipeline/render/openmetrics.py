"""Render OpenMetrics text, which `promtool tsdb create-blocks-from openmetrics` imports.

The numbers of a run have its time; those of a table have none.  Every family is a gauge, as
Prometheus stores no other type of this file.  `deploy/grafana-dashboard.json` shows the numbers.

| family | labels beside `suite` and `environment` |
| :-- | :-- |
| `milo_perf_run_info` | spec and digest of both builds; always 1 |
| `milo_perf_run_verdict` | `verdict`; 1 for the verdict of the run, otherwise 0 |
| `milo_perf_run_pairs` | none; number of valid pairs |
| `milo_perf_verdict` | `workload`, `metric`, `gate`, `verdict`; 1 for the verdict of the metric |
| `milo_perf_mean_seconds` … | `workload`, `metric`, `arm` |
| `milo_perf_bound_values` | the same; number of values that are only lower bounds |
| `milo_perf_change_ratio` … | `workload`, `metric`; also `change_low`, `change_high` |
| `milo_perf_change_at_worst_ratio` … | the same; largest worsening that is not excluded |
| `milo_perf_margin_ratio`, `milo_perf_tolerance_ratio` … | the same |

`…` stands for the unit at the end of the name: `_seconds`, `_bytes`, `_per_second`, or none for a
count or a share.  Changes, margins and tolerances are `_ratio` unless the metric is compared by
differences.

Source:
    https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.model.metric import Metric, Scale
from pipeline.model.report import Report, Verdict
from pipeline.model.subject import Arm
from pipeline.render.exports import ExportData, MetricExport, distinct, encode

PREFIX = "milo_perf_"
"""First part of the name of every family."""

_UNITS = {"s": "seconds", "B": "bytes", "1/s": "per_second"}
_HELP = {
    "run_info": "Builds that a run compared.",
    "run_verdict": "1 for the verdict of the run.",
    "run_pairs": "Number of valid pairs.",
    "verdict": "1 for the verdict of the metric.",
    "mean": "Mean over the valid pairs.",
    "bound_values": "Number of values that are lower bounds, because a deadline was reached.",
    "change": "Estimated change from the baseline to the candidate.",
    "change_low": "Lower end of the interval of the change.",
    "change_high": "Upper end of the interval of the change.",
    "change_at_worst": "Largest worsening that is not excluded.",
    "margin": "Smallest change that is worth a red verdict.",
    "tolerance": "Worsening that a pass must exclude.",
}


@dataclass(frozen=True, slots=True)
class GaugeSample:
    """One number of a family.

    Attributes:
        family: Name without prefix and unit, a key of the help texts.
        unit: Unit at the end of the name; empty without one.
    """

    family: str
    unit: str
    labels: Mapping[str, str]
    value: float

    @property
    def name(self) -> str:
        """Full name of the family."""
        return PREFIX + "_".join(filter(None, (self.family, self.unit)))


def openmetrics(data: ExportData) -> str:
    """Render a report; the same data give the same bytes."""
    shared: dict[str, str] = {}
    time = ""
    samples: list[GaugeSample] = []
    if data.run is not None:
        results = data.run.results
        shared = {"suite": results.suite, "environment": results.environment}
        time = f" {results.taken_at.timestamp():.3f}"
        samples += _run(data.run)
    names = distinct(encode(one.name) for one in data.metrics)
    for name, one in zip(names, data.metrics, strict=True):
        # A name with a number at its end was there before: only such a metric gets it as its label.
        metric = one.metric.name if name == encode(one.name) else name
        samples += _metric(one, {"workload": one.group, "metric": metric})
    families: dict[str, list[GaugeSample]] = {}
    for sample in samples:
        if math.isfinite(sample.value):
            families.setdefault(sample.name, []).append(sample)
    lines = []
    for name, of_family in sorted(families.items()):
        lines += [f"# TYPE {name} gauge", f"# HELP {name} {_HELP[of_family[0].family]}"]
        if unit := of_family[0].unit:
            lines.append(f"# UNIT {name} {unit}")
        for sample in of_family:
            labels = _labels({**shared, **sample.labels})
            lines.append(f"{name}{labels} {float(sample.value)!r}{time}")
    return "\n".join([*lines, "# EOF", ""])


def _run(report: Report) -> Iterator[GaugeSample]:
    results = report.results
    builds: dict[str, str] = {}
    for arm, subject in results.subjects.items():
        builds |= {arm.value: subject.spec, f"{arm.value}_digest": subject.digest}
    yield GaugeSample("run_info", "", builds, 1)
    yield GaugeSample("run_pairs", "", {}, len(results.valid_pairs))
    yield from _verdicts("run_verdict", {}, report.verdict)


def _metric(one: MetricExport, labels: Mapping[str, str]) -> Iterator[GaugeSample]:
    comparison, metric = one.finding.comparison, one.metric
    gate = {"gate": "yes" if metric.gate else "no"}
    yield from _verdicts("verdict", {**labels, **gate}, one.finding.verdict)
    for arm in Arm:
        of_arm = {**labels, "arm": arm.value}
        if (mean := one.mean(arm)) is not None:
            yield GaugeSample("mean", _UNITS.get(metric.unit, ""), of_arm, mean)
        if arm in one.bounds:
            yield GaugeSample("bound_values", "", of_arm, one.bounds[arm])
    numbers = {"margin": metric.margin, "tolerance": metric.tolerated}
    if (change := comparison.change) is not None:
        ends = {"change_low": change.low, "change_high": change.high}
        numbers |= {"change": change.estimate, **ends}
    if comparison.at_worst is not None:
        numbers["change_at_worst"] = comparison.at_worst
    for family, number in numbers.items():
        yield GaugeSample(family, _change_unit(metric), labels, number)


def _verdicts(family: str, labels: Mapping[str, str], verdict: Verdict) -> Iterator[GaugeSample]:
    for one in Verdict:
        yield GaugeSample(family, "", {**labels, "verdict": one.value}, one is verdict)


def _change_unit(metric: Metric) -> str:
    return "ratio" if metric.scale is Scale.RATIO else _UNITS.get(metric.unit, "")


def _labels(labels: Mapping[str, str]) -> str:
    """Return labels in braces; an empty one is left out, as it is the same as none."""
    escaped = {
        n: encode(v).replace("\\", r"\\").replace('"', r"\"") for n, v in labels.items() if v
    }
    pairs = ",".join(f'{name}="{value}"' for name, value in escaped.items())
    return f"{{{pairs}}}" if pairs else ""
