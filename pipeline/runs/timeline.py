"""What one launch of the candidate did over time, from the raw data in a run's folder.

Nothing of it is judged.  The latency is that of k6's requests; ClusterLoader2 keeps no raw times.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from pipeline.drivers.k6.csv_points import ReadBudget, read_series
from pipeline.model.results import ResultSet
from pipeline.model.subject import Arm
from pipeline.model.traces import Timeline, TimelineCurve, TimelinePanel
from pipeline.runs import traces
from pipeline.runs.traces import Points, TextBudget
from pipeline.system.errors import ConfigError, LoadError
from pipeline.system.sanitize import truncate

BINS = 150
"""Most points of a curve of CPU or latency: more are not visible."""

Point = tuple[float, float]
"""Seconds since the start, and a value."""

Requests = np.ndarray[tuple[int, int], np.dtype[np.float64]]
"""End, and duration, of each request, in seconds."""

_MIN_BIN_S = 1.0
_MAX_SPEC = 70  # characters
_LONGEST_S = 1e6
_COMPONENTS = ("server", "manager", "etcd")
_REQUEST = "http_req_duration"
_LATENCIES = {"p50": 0.5, "p95": 0.95}
_PANELS = (  # title, unit, quantity of each component
    ("CPU", "cores", "cpu"),
    ("memory", "B", "memory"),
    ("goroutines", "1", "goroutines"),
)


def read_timeline(out: Path, results: ResultSet, *, is_ours: bool = True) -> Timeline:
    """Return what the candidate did in the first valid pair.

    Args:
        out: Folder of a run.
        results: The results in it.
        is_ours: False to read only as much as takes a few seconds.

    Raises:
        ConfigError: The folder keeps no raw data of a valid pair.
    """
    pair = next(iter(results.valid_pairs), 0)
    points = _probe_points(out, results, pair, is_ours=is_ours)
    if not points:
        raise ConfigError(
            f"{out}: it keeps no raw data of pair {pair}, so there is nothing to draw",
            hint="the files are in pairs/ in the folder of a run, and a copy may be without them",
        )
    start_s = min(one[0][0] for found in points.values() for one in found.values())
    spans = {
        name: (
            min(one[0][0] for one in found.values()) - start_s,
            max(one[-1][0] for one in found.values()) - start_s,
        )
        for name, found in points.items()
    }
    if not all(0.0 <= start <= end < _LONGEST_S for start, end in spans.values()):
        raise ConfigError(
            f"{out}: the times of pair {pair} are not those of one launch",
            hint="were its files changed, or the clock set?",
        )
    bin_s = max(_MIN_BIN_S, max(end for _, end in spans.values()) / BINS)
    budget = ReadBudget() if is_ours else ReadBudget.foreign()
    requests = {name: _requests(out, pair, name, start_s, budget) for name in points}
    panels = (
        TimelinePanel("latency of requests", "s", tuple(_latency_curves(requests.values(), bin_s))),
        *(
            TimelinePanel(title, unit, tuple(_component_curves(quantity, points, start_s, bin_s)))
            for title, unit, quantity in _PANELS
        ),
        _database_panel(points, start_s),
    )
    return Timeline(
        _title(results),
        tuple((workload, *span) for workload, span in spans.items()),
        tuple(panel for panel in panels if panel.curves),
    )


def _probe_points(
    out: Path, results: ResultSet, pair: int, *, is_ours: bool
) -> dict[str, dict[str, Points]]:
    """Return the points of the candidate's probes, by workload and by component and quantity."""
    budget = TextBudget() if is_ours else TextBudget(traces.FOREIGN_BYTES)
    samples = results.samples.get(Arm.CANDIDATE, ())
    points = {}
    for workload in dict.fromkeys(sample.workload for sample in samples):
        folder = traces.probe_folder(out, results, pair, workload, Arm.CANDIDATE)
        series = {name: one for name, one in traces.read_points(folder, [], budget).items() if one}
        if series:
            points[workload] = series
    return points


def _title(results: ResultSet) -> str:
    spec = truncate(results.subjects[Arm.CANDIDATE].spec, _MAX_SPEC)
    profile, day = results.machine.profile, f"{results.taken_at:%Y-%m-%d}"
    return truncate(f"{spec}, suite {results.suite}, profile {profile}, {day}", 2 * _MAX_SPEC)


def _component_curves(
    quantity: str, points: Mapping[str, Mapping[str, Points]], start_s: float, bin_s: float
) -> Iterator[TimelineCurve]:
    """Yield the curve of each component that has the quantity; of a counter, its rate."""
    for component in _COMPONENTS:
        segments = []
        for found in points.values():
            segment = _since(found.get(f"{component}.{quantity}", ()), start_s)
            segments.append(_rates(segment, bin_s) if quantity == "cpu" else segment)
        if any(segments):
            yield TimelineCurve(component, tuple(filter(None, segments)))


def _database_panel(points: Mapping[str, Mapping[str, Points]], start_s: float) -> TimelinePanel:
    segments = [_since(found.get("etcd.db", ()), start_s) for found in points.values()]
    whole = tuple(point for segment in segments for point in segment)
    curves = (TimelineCurve("etcd", (whole,)),) if whole else ()
    return TimelinePanel("database of etcd", "B", curves)


def _since(
    points: Iterable[tuple[float, float]], start_s: float
) -> tuple[tuple[float, float], ...]:
    return tuple((time_s - start_s, value) for time_s, value in points)


def _rates(counts: Sequence[tuple[float, float]], bin_s: float) -> tuple[tuple[float, float], ...]:
    """Return the rise of a counter per second, at the middle of each bin."""
    kept = list(counts[:1])
    for point in counts[1:]:
        if point[0] - kept[-1][0] >= bin_s:
            kept.append(point)
    return tuple(
        ((before[0] + after[0]) / 2, max(0.0, after[1] - before[1]) / (after[0] - before[0]))
        for before, after in pairwise(kept)
    )


def _requests(out: Path, pair: int, workload: str, start_s: float, budget: ReadBudget) -> Requests:
    """Return time and duration of each request under load, in seconds, shape (n, 2)."""
    parts = []
    for folder in traces.point_folders(out, pair, workload):
        try:
            for one in read_series(folder / "points.csv.gz", budget):
                is_load = one.tags.get("arm") == Arm.CANDIDATE and one.tags.get("phase") == "load"
                if one.metric == _REQUEST and is_load and not one.is_deferred:
                    parts.append(np.column_stack([one.times_us / 1e6, one.measured / 1e3]))
        except LoadError:  # the other curves can be drawn
            continue
    if not parts:
        return np.empty((0, 2))
    requests: Requests = np.vstack(parts) - np.array([start_s, 0.0])
    return requests


def _latency_curves(requests: Iterable[Requests], bin_s: float) -> Iterator[TimelineCurve]:
    """Yield a curve of each quantile over the requests that ended in each bin."""
    by_workload = [one for one in requests if len(one)]
    for name, share in _LATENCIES.items() if by_workload else ():
        segments = []
        for one in by_workload:
            bins = np.floor(one[:, 0] / bin_s)
            segments.append(
                tuple(
                    (
                        float((number + 0.5) * bin_s),
                        float(np.quantile(one[bins == number, 1], share)),
                    )
                    for number in np.unique(bins)
                )
            )
        yield TimelineCurve(name, tuple(segments))
