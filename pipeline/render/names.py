"""Make the names of metrics readable, and describe metrics without a description."""

import hashlib
import re
from collections.abc import Iterable

from pipeline.model.metric import Metric
from pipeline.model.report import Comparison
from pipeline.system.sanitize import truncate

_STATISTIC = re.compile(r"(?P<of>.+)_(?:p(?P<percentile>\d\d)|(?P<word>mean|max|min))")
_RESOURCE = re.compile(
    r"(?:(?P<component>server|etcd|manager)_)?(?P<what>cpu|memory|heap|goroutines|files|watchers|requests)"
    r"(?:_(?P<per>per_request))?"
)
_STATISTICS = {"mean": "mean", "max": "largest", "min": "smallest", "50": "median"}
_RESOURCES = {
    "cpu": "CPU time",
    "memory": "resident memory",
    "heap": "live heap",
    "goroutines": "goroutines",
    "files": "open files",
    "watchers": "watchers",
    "requests": "requests",
}
_COMPONENTS = {"server": "the API server", "etcd": "etcd", "manager": "the controller manager"}
_GROUPS = {"heap": "memory", "cpu": "CPU"}
_UNITS = {"s": "in seconds", "B": "in bytes", "1/s": "per second", "1": "", "x": ""}
_MAX_NAME = 60  # characters of a name in a line
_CAPITALS = {"cpu": "CPU", "gc": "GC", "http": "HTTP", "api": "API"}


def readable_name(name: str) -> str:
    """Return a metric's name as words: `server CPU per request` of `server_cpu_per_request`."""
    words = (_CAPITALS.get(word, word) for word in re.split(r"[_\s]+", name))
    return truncate(" ".join(words).strip() or name, _MAX_NAME)


def label(comparison: Comparison, among: Iterable[Comparison]) -> str:
    """Return the readable name of a metric, with its workload if others have the same name."""
    name = comparison.metric.name
    is_ambiguous = sum(other.metric.name == name for other in among) > 1
    workload = f"{truncate(comparison.workload, _MAX_NAME)} " if is_ambiguous else ""
    return f"{workload}{readable_name(name)}".strip()


def metric_anchor(key: str) -> str:
    """Return the id of a metric's evidence in report.html.

    Args:
        key: `workload/metric`, or the metric alone if there is no workload.
    """
    digest = hashlib.sha256(key.encode(errors="backslashreplace")).hexdigest()
    return f"m-{digest[:12]}"


def group_name(comparison: Comparison) -> str:
    """Return the operation or the resource of a metric, by which a report groups it."""
    name = comparison.metric.name
    if resource := _RESOURCE.fullmatch(name):
        return _GROUPS.get(resource["what"], resource["what"])
    statistic = _STATISTIC.fullmatch(name)
    return readable_name(statistic["of"] if statistic else name)


def describe_metric(metric: Metric) -> str:
    """Return the description of a metric with its unit, derived from its name if it has none."""
    unit = _UNITS.get(metric.unit, f"in {metric.unit}")
    text = metric.description or _describe_name(metric.name)
    return f"{text}, {unit}" if unit and unit not in text else text


def _describe_name(name: str) -> str:
    if match := _RESOURCE.fullmatch(name):
        component = f" of {_COMPONENTS[match['component']]}" if match["component"] else ""
        per_request = " per request" if match["per"] else ""
        return f"{_RESOURCES[match['what']]}{component}{per_request}"
    if match := _STATISTIC.fullmatch(name):
        which = match["word"] or match["percentile"]
        statistic = _STATISTICS.get(which, f"{which}th percentile")
        return f"{statistic} of {readable_name(match['of'])}"
    return readable_name(name)
