"""What the components count themselves, from their Prometheus text before and after the load."""

import csv
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.judge.stats.summary import histogram_quantile
from pipeline.model.ports import Span, Target
from pipeline.model.results import Reading
from pipeline.probes.curated import CURATED, Curated, Kind
from pipeline.probes.scrape import Line, Scrape, Selection, fetch, keep, read
from pipeline.system.clock import SteadyClock
from pipeline.system.errors import ProbeError
from pipeline.system.log import log

_STARTED = Selection("process_start_time_seconds", {})
_GOROUTINES = Selection("go_goroutines", {})
_QUANTILE = 0.99


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Scrapes before the load and after it: a scrape costs a server tens of milliseconds of CPU.

    It yields what `curated.py` lists, as `COMPONENT.NAME`, and for each component
    `COMPONENT.restarts` (1): 1 when the process is not the one that was there before, else 0.
    Warm-up and whatever else happens between the scrapes is counted too.

    Each scrape is kept in `out`, compressed, and how many goroutines it told of in
    `goroutines.csv`: two looks, because more would be CPU that the load did not ask for.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_Watch"]:
        """See `Probe.watch`.

        Raises:
            ProbeError: A component did not answer.
        """
        clock = SteadyClock()
        yield _Watch(target, out, _scrapes(target, out, "before"), clock, clock.now_s())


@dataclass(frozen=True, slots=True)
class _Watch:
    target: Target
    out: Path
    before: Mapping[str, Scrape]
    clock: SteadyClock
    before_s: float

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`."""
        after = _scrapes(self.target, self.out, "after")
        _keep(self.out / "goroutines.csv", {self.before_s: self.before, self.clock.now_s(): after})
        return tuple(
            reading
            for component, scrape in after.items()
            for reading in readings(component, self.before[component], scrape)
        )


def _keep(path: Path, looks: Mapping[float, Mapping[str, Scrape]]) -> None:
    """Write how many goroutines each component had; a full disk costs no more than this file."""
    rows = [
        (f"{component}.goroutines", time_s, scrape.total(_GOROUTINES))
        for time_s, scrapes in looks.items()
        for component, scrape in scrapes.items()
        if _GOROUTINES.sample in scrape.families
    ]
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("series", "time_s", "value"), *rows])
    except OSError as error:
        log.warning("%s: cannot be written: %s", path, error.strerror)


def _scrapes(target: Target, out: Path, when: str) -> dict[str, Scrape]:
    found = {}
    for component in target.metrics:
        text = fetch(target, component)
        keep(out / f"{component}-{when}.prom.gz", text)
        try:
            found[component] = scrape(component, text)
        except ProbeError as error:
            raise ProbeError(f"prometheus probe: {component}: {error}") from error
    return found


def scrape(component: str, text: str) -> Scrape:
    """Return what the readings of a component need of its text.

    Raises:
        ProbeError: It is not Prometheus text.
    """
    wanted = [selection for one in _of(component) for selection in one.selections]
    return read(text, [_STARTED, *wanted])


def readings(component: str, before: Scrape, after: Scrape) -> Iterator[Reading]:
    """Yield the readings of a component.

    What a version does not count is not reported; it is never 0.  After a restart, counters and
    histograms have begun anew, so that only what is there now is reported.

    Args:
        component: Such as `server`.
        before: Its text before the load.
        after: The same after it.
    """
    restarted = _restarted(before, after)
    if restarted is not None:
        yield Reading(f"{component}.restarts", float(restarted), "1")
    for one in _of(component):
        if restarted and one.kind is not Kind.AFTER:
            continue
        name = f"{component}.{one.name}"
        for suffix, value in _values(one, before, after):
            if math.isfinite(value):
                yield Reading(f"{name}{suffix}", value, one.unit)


def _of(component: str) -> tuple[Curated, ...]:
    return tuple(one for one in CURATED if one.component in ("", component))


def _restarted(before: Scrape, after: Scrape) -> bool | None:
    times = [[one.value for one in scrape.select(_STARTED)] for scrape in (before, after)]
    return times[0] != times[1] if all(times) else None


def _values(one: Curated, before: Scrape, after: Scrape) -> Iterator[tuple[str, float]]:
    """Yield what follows the name, and the value; nothing where the text does not have it."""
    if one.family not in after.families:
        if one.kind is Kind.COUNT and one.beside in after.families:
            yield "", 0.0
        return
    if one.kind is Kind.ADDED and one.family not in before.families:
        return
    rises = [_rise(selection, before, after) for selection in one.selections]
    match one.kind:
        case Kind.AFTER:
            yield "", after.total(one.selections[0])
        case Kind.ADDED | Kind.COUNT | Kind.SUM:
            # Below 0 a gauge says that the build freed what others had left: that is no leak.
            yield "", max(rises[0], 0.0)
        case Kind.MEAN:
            if rises[1] > 0:
                yield "", max(rises[0], 0.0) / rises[1]
        case Kind.P99:
            found = histogram_quantile(buckets(one.selections[0], before, after), _QUANTILE)
            yield from zip(("_p99", "_p99_width"), found or (), strict=False)


def _rise(selection: Selection, before: Scrape, after: Scrape) -> float:
    """Return after less before; a series that was not there had counted nothing."""
    return after.total(selection) - before.total(selection)


def buckets(selection: Selection, before: Scrape, after: Scrape) -> dict[float, float]:
    """Return how many values of the load were at most each bound, all series together.

    Raises:
        ProbeError: A bucket has no bound.
    """
    counts: dict[float, float] = {}
    for sign, scrape in ((1, after), (-1, before)):
        for one in scrape.select(selection):
            bound = _bound(one, selection)
            counts[bound] = counts.get(bound, 0.0) + sign * one.value
    return dict(sorted(counts.items()))


def _bound(line: Line, selection: Selection) -> float:
    try:
        return float(line.labels["le"])
    except (KeyError, ValueError):
        said = f"a line of {selection.sample} has no bound `le`"
        raise ProbeError(f"prometheus probe: not Prometheus text: {said}") from None
