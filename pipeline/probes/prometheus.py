"""Metrics of the components, from their Prometheus text before and after the load."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.judge.stats.summary import histogram_quantile
from pipeline.model.ports import Span, Target
from pipeline.model.replicas import by_component
from pipeline.model.results import Reading
from pipeline.probes.curated import CURATED_METRICS, CuratedMetric, Reduction
from pipeline.probes.sampling import try_write_csv
from pipeline.probes.scrape import (
    DATABASE,
    LineSelection,
    Scrape,
    fetch_text,
    merge,
    parse_scrape,
    write_compressed,
)
from pipeline.system.clock import SteadyClock
from pipeline.system.errors import ProbeError

_STARTED = LineSelection("process_start_time_seconds", {})
_GOROUTINES = LineSelection("go_goroutines", {})
_SIZES = {"goroutines": _GOROUTINES, "db": LineSelection(DATABASE, {})}
_QUANTILE = 0.99
_REPLICATED = {
    DATABASE,
    *(line.sample for one in CURATED_METRICS if one.is_replicated for line in one.selections),
}


@dataclass(frozen=True, slots=True)
class PrometheusProbe:
    """Scrapes before and after the load: a scrape costs a server tens of milliseconds of CPU.

    It yields the readings of `curated.py` as `COMPONENT.NAME`, and for each component
    `COMPONENT.restarts` (1): 1 if another process runs than before, else 0.  The warm-up and
    everything else between the two scrapes is counted too.  Values of replicas are added up, except
    for what each of them counts alike.

    Each scrape is kept in `out`, compressed, and its number of goroutines, and the size of etcd's
    database, in `goroutines.csv`.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_PrometheusWatch"]:
        """See `Probe.watch`."""
        clock = SteadyClock()
        yield _PrometheusWatch(target, out, _scrapes(target, out, "before"), clock, clock.now_s())


@dataclass(frozen=True, slots=True)
class _PrometheusWatch:
    target: Target
    out: Path
    before: Mapping[str, Scrape]
    clock: SteadyClock
    before_s: float

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`."""
        after = _scrapes(self.target, self.out, "after")
        scrapes = ((self.before_s, self.before), (self.clock.now_s(), after))
        rows = (
            (f"{component}.{quantity}", time_s, scrape.total(lines))
            for time_s, by_component in scrapes
            for component, scrape in by_component.items()
            for quantity, lines in _SIZES.items()
            if scrape.select(lines)
        )
        try_write_csv(self.out / "goroutines.csv", ("series", "time_s", "value"), rows)
        return tuple(
            reading
            for component, scrape in after.items()
            for reading in readings(component, self.before[component], scrape)
        )


def _scrapes(target: Target, out: Path, when: str) -> dict[str, Scrape]:
    scrapes: dict[str, Scrape] = {}
    for component, replicas in by_component(target.metrics).items():
        parsed = []
        for replica in replicas:
            text = fetch_text(target, replica)
            write_compressed(out / f"{replica}-{when}.prom.gz", text)
            try:
                parsed.append(select_lines(component, text))
            except ProbeError as error:
                raise ProbeError(f"prometheus probe: {replica}: {error}") from error
        scrapes[component] = merge(parsed, once=_REPLICATED)
    return scrapes


def select_lines(component: str, text: str) -> Scrape:
    """Return the lines of a component's text that its readings need."""
    wanted = [selection for one in _metrics_of(component) for selection in one.selections]
    return parse_scrape(text, [_STARTED, *_SIZES.values(), *wanted])


def readings(component: str, before: Scrape, after: Scrape) -> Iterator[Reading]:
    """Yield the readings of a component.

    A metric that a version does not have is not reported; it is never 0.  After a restart, counters
    and histograms have started anew, so only gauges are reported.
    """
    starts = [[one.value for one in scrape.select(_STARTED)] for scrape in (before, after)]
    restarted = all(starts) and starts[0] != starts[1]
    if all(starts):
        yield Reading(f"{component}.restarts", float(restarted), "1")
    for one in _metrics_of(component):
        if restarted and one.reduction is not Reduction.AFTER:
            continue
        name = f"{component}.{one.name}"
        for suffix, value in _values(one, before, after):
            if math.isfinite(value):
                yield Reading(f"{name}{suffix}", value, one.unit)


def _metrics_of(component: str) -> tuple[CuratedMetric, ...]:
    return tuple(one for one in CURATED_METRICS if one.component in ("", component))


def _values(one: CuratedMetric, before: Scrape, after: Scrape) -> Iterator[tuple[str, float]]:
    """Yield the suffix of the name and the value; nothing if the text does not have the family."""
    if one.family not in after.families:
        if one.reduction is Reduction.COUNT and one.beside in after.families:
            yield "", 0.0
        return
    if one.reduction is Reduction.ADDED and one.family not in before.families:
        return
    rises = [after.total(lines) - before.total(lines) for lines in one.selections]
    match one.reduction:
        case Reduction.AFTER:
            yield "", after.total(one.selections[0])
        case Reduction.ADDED | Reduction.COUNT | Reduction.SUM:
            # Below 0, the build freed what an earlier load had left.
            yield "", max(rises[0], 0.0)
        case Reduction.MEAN:
            if rises[1] > 0:
                yield "", max(rises[0], 0.0) / rises[1]
        case Reduction.P99:
            p99 = histogram_quantile(load_buckets(one.selections[0], before, after), _QUANTILE)
            yield from zip(("_p99", "_p99_width"), p99 or (), strict=False)


def load_buckets(selection: LineSelection, before: Scrape, after: Scrape) -> dict[float, float]:
    """Return the number of values under load up to each bound, over all series."""
    counts: dict[float, float] = {}
    for sign, scrape in ((1, after), (-1, before)):
        for one in scrape.select(selection):
            try:
                bound = float(one.labels["le"])
            except (KeyError, ValueError):
                raise ProbeError(
                    f"prometheus probe: not Prometheus text: a line of {selection.sample} has no"
                    " bound `le`"
                ) from None
            counts[bound] = counts.get(bound, 0.0) + sign * one.value
    return dict(sorted(counts.items()))
