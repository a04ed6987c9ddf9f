"""The names of metrics as people read them: `create p50`, and what they are when nobody said it."""

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
_WORDS = {"mean": "mean", "max": "largest", "min": "smallest", "50": "median"}
_THINGS = {
    "cpu": "CPU time",
    "memory": "resident memory",
    "heap": "live heap",
    "goroutines": "goroutines",
    "files": "open files",
    "watchers": "watchers",
    "requests": "requests",
}
_OWNERS = {"server": "the API server", "etcd": "etcd", "manager": "the controller manager"}
_KINDS = {"heap": "memory", "cpu": "CPU"}
_UNITS = {"s": "in seconds", "B": "in bytes", "1/s": "per second"}
_LONGEST = 60  # characters of a name in a line
_CAPITALS = {"cpu": "CPU", "gc": "GC", "http": "HTTP", "api": "API"}


def readable(name: str) -> str:
    """Return a metric's name as words: `server CPU per request` of `server_cpu_per_request`."""
    words = (_CAPITALS.get(word, word) for word in re.split(r"[_\s]+", name))
    return truncate(" ".join(words).strip() or name, _LONGEST)


def label(comparison: Comparison, among: Iterable[Comparison]) -> str:
    """Return the readable name of a metric, with its workload where the name alone is ambiguous.

    Args:
        comparison: Of the metric.
        among: All comparisons of the report.
    """
    name = comparison.metric.name
    alike = sum(other.metric.name == name for other in among)
    said = readable(name)
    return f"{truncate(comparison.workload, _LONGEST)} {said}".strip() if alike > 1 else said


def group_of(comparison: Comparison) -> str:
    """Return what metrics of a workload belong together by: the operation, or the resource."""
    name = comparison.metric.name
    if found := _RESOURCE.fullmatch(name):
        return _KINDS.get(found["what"], found["what"])
    found = _STATISTIC.fullmatch(name)
    return readable(found["of"] if found else name)


def described(metric: Metric) -> str:
    """Return what a metric is in a few words with its unit; by its name where nobody said it."""
    unit = _UNITS.get(metric.unit, "" if metric.unit == "1" else f"in {metric.unit}")
    said = metric.description or _by_name(metric.name)
    return f"{said}, {unit}" if unit and unit not in said else said


def _by_name(name: str) -> str:
    if found := _RESOURCE.fullmatch(name):
        what = _THINGS[found["what"]]
        of = f" of {_OWNERS[found['component']]}" if found["component"] else ""
        return f"{what}{of}{' per request' if found['per'] else ''}"
    if found := _STATISTIC.fullmatch(name):
        which = found["word"] or found["percentile"]
        statistic = _WORDS.get(which, f"{which}th percentile")
        return f"{statistic} of {readable(found['of'])}"
    return readable(name)
