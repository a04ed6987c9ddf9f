"""The names of metrics as people read them: `create p50`, and what they are when nobody said it."""

import re
from collections.abc import Iterable

from pipeline.model.report import Comparison
from pipeline.plain import clipped

_LONGEST = 60  # characters of a name in a line
_CAPITALS = {"cpu": "CPU", "gc": "GC", "http": "HTTP", "api": "API"}


def readable(name: str) -> str:
    """Return a metric's name as words: `server CPU per request` of `server_cpu_per_request`."""
    words = (_CAPITALS.get(word, word) for word in re.split(r"[_\s]+", name))
    return clipped(" ".join(words).strip() or name, _LONGEST)


def label(comparison: Comparison, among: Iterable[Comparison]) -> str:
    """Return the readable name of a metric, with its workload where the name alone is ambiguous.

    Args:
        comparison: Of the metric.
        among: All comparisons of the report.
    """
    name = comparison.metric.name
    alike = sum(other.metric.name == name for other in among)
    said = readable(name)
    return f"{clipped(comparison.workload, _LONGEST)} {said}".strip() if alike > 1 else said
