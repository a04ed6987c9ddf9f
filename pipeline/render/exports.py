"""The numbers of a report as other tools get them: values of both arms, and names they can hold.

Values that a deadline cut off are lower bounds.  They are exported as they are, because leaving the
slowest trials out would make a slow build look fast; each format says how many there are.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count

from pipeline.judge import scale
from pipeline.judge.rows import MetricValues
from pipeline.model.metric import Better, Metric
from pipeline.model.report import Finding, Report
from pipeline.model.results import Cutoff, Sample
from pipeline.model.subject import Arm

_MAX_NAME = 200  # characters
_DIGEST = 8  # characters that keep shortened names apart
_EMPTY = "%FF"  # no text is encoded so: UTF-8 has no such byte


@dataclass(frozen=True, slots=True)
class MetricExport:
    """One metric of a report.

    Attributes:
        group: Workload of a run, or family of a table; may be empty.
        finding: Verdict on the metric.
        values: Values by arm in the metric's unit; of pairs, in their order, None where missing.
        bounds: Number of values by arm that are only lower bounds.
    """

    group: str
    finding: Finding
    values: Mapping[Arm, tuple[float | None, ...]]
    bounds: Mapping[Arm, int] = field(default_factory=dict)

    @property
    def metric(self) -> Metric:
        """The metric itself."""
        return self.finding.comparison.metric

    @property
    def name(self) -> str:
        """`group/metric`, or the metric alone."""
        return f"{self.group}/{self.metric.name}" if self.group else self.metric.name

    def finite_values(self, arm: Arm) -> list[float]:
        """Return the finite values of an arm."""
        return [v for v in self.values[arm] if v is not None and math.isfinite(v)]

    def mean(self, arm: Arm) -> float | None:
        """Return the mean that the report shows, or that of an arm without a partner."""
        comparison = self.finding.comparison
        shown = comparison.baseline if arm is Arm.BASELINE else comparison.candidate
        if shown is None and (known := self.finite_values(arm)):
            shown = scale.mean(self.metric, known)
        return shown if shown is not None and math.isfinite(shown) else None


@dataclass(frozen=True, slots=True)
class ExportData:
    """Everything that a format for other tools may hold.

    Attributes:
        metrics: Metrics in the report's order.
        run: Report of the run; None for a table of measurements.
        arm: Arm of the formats that hold one build.
    """

    metrics: tuple[MetricExport, ...]
    run: Report | None = None
    arm: Arm = Arm.CANDIDATE


def of_report(report: Report, arm: Arm = Arm.CANDIDATE) -> ExportData:
    """Return the numbers of a run, from its valid pairs."""
    results = report.results
    samples = {a: {s.key: s for s in results.samples.get(a, ())} for a in Arm}
    metrics = []
    for finding in report.findings:
        workload, key = finding.comparison.workload, finding.comparison.key
        pairs = results.pairs_of(workload)
        own = {a: samples[a].get(key) for a in Arm}
        metrics.append(
            MetricExport(
                workload,
                finding,
                {a: _values(sample, pairs) for a, sample in own.items()},
                {a: _bounds(sample, pairs) for a, sample in own.items()},
            )
        )
    return ExportData(tuple(metrics), report, arm)


def of_table(
    values: Sequence[MetricValues], findings: Sequence[Finding], arm: Arm = Arm.CANDIDATE
) -> ExportData:
    """Return the numbers of a judged table; of pairs, those that the verdict is from."""
    by_key = {(one.family, one.metric.name): one for one in values}
    metrics = []
    for finding in findings:
        comparison = finding.comparison
        one = by_key[comparison.family, comparison.metric.name]
        most = comparison.pairs if one.is_paired else None
        own = {
            Arm.BASELINE: tuple(one.before[:most]),
            Arm.CANDIDATE: tuple(one.after[:most]),
        }
        metrics.append(MetricExport(comparison.family, finding, own))
    return ExportData(tuple(metrics), arm=arm)


def distinct(names: Iterable[str]) -> list[str]:
    """Return names; one that came before gets a number."""
    chosen: dict[str, None] = {}
    for name in names:
        numbers = (f"{name}~{number}" for number in count(2))
        chosen[next(one for one in chain([name], numbers) if one not in chosen)] = None
    return list(chosen)


def unit_name(metric: Metric, names: Mapping[str, str]) -> str:
    """Return a name for the unit and direction of a metric; a name never has two directions.

    Rates are better when higher, everything else when lower; the other direction has a suffix.
    `names` has the names of our base units; other units, which only tables have, keep theirs.
    """
    unit = metric.unit
    usual = Better.HIGHER if unit.endswith("/s") else Better.LOWER
    suffix = "" if metric.better is usual else f"-{metric.better.value}-is-better"
    return f"{names.get(unit, unit)}{suffix}"


def encode(
    text: str, is_safe: Callable[[str], bool] = str.isprintable, most: int = _MAX_NAME
) -> str:
    """Return text in which unsafe characters are percent-encoded.

    Args:
        text: Any text, also hostile.
        is_safe: True for a character that may stay.
        most: Largest number of characters; a longer text is cut off and ends with its digest.
    """
    escaped = re.sub(r"%(?=[0-9A-Fa-f]{2})", "%25", text)
    shown = "".join(c if c == "%" or is_safe(c) else _percent(c) for c in escaped) or _EMPTY
    if len(shown) <= most:
        return shown
    digest = hashlib.sha256(shown.encode()).hexdigest()[:_DIGEST]
    return f"{shown[: most - _DIGEST - 1]}~{digest}"


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def _values(sample: Sample | None, pairs: Sequence[int]) -> tuple[float | None, ...]:
    return tuple(sample.values[pair] if sample else None for pair in pairs)


def _bounds(sample: Sample | None, pairs: Sequence[int]) -> int:
    return sum(sample.cutoff(pair) is Cutoff.AT_LEAST for pair in pairs) if sample else 0
