"""Live memory of the components: the Go heap after a garbage collection."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.model.ports import Span, Target
from pipeline.model.replicas import by_component
from pipeline.model.results import Reading
from pipeline.probes.scrape import LineSelection, credentials_for, fetch_text, parse_scrape
from pipeline.system import http_client
from pipeline.system.errors import ProbeError

_COMPONENTS = ("server", "manager")
_LIVE = LineSelection("go_gc_heap_live_bytes", {})
_ALLOCATED = LineSelection("go_memstats_heap_alloc_bytes", {})  # of programs without the first
_COLLECTIONS = 2  # a sync.Pool releases its objects only in the second one


@dataclass(frozen=True, slots=True)
class HeapProbe:
    """Forces garbage collections before and after the load, so it is opt-in.

    It yields `COMPONENT.heap` and `COMPONENT.heap_added` (B, the second never below zero) for the
    API server and the controller-manager: memory of objects that the last collection found in use.
    Allocated memory would include the profile that forces it, which grows as a process ages.
    etcd is left out: it needs `--enable-pprof` for the profile that collects, and its data is
    outside the Go heap.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_HeapWatch"]:
        """See `Probe.watch`."""
        yield _HeapWatch(target, heap_sizes(target))


@dataclass(frozen=True, slots=True)
class _HeapWatch:
    target: Target
    before: Mapping[str, float]

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`."""
        return tuple(
            reading
            for component, size in heap_sizes(self.target).items()
            for reading in (
                Reading(f"{component}.heap", size, "B"),
                # Below 0, caches of an earlier load were released.
                Reading(f"{component}.heap_added", max(size - self.before[component], 0.0), "B"),
            )
        )


def heap_sizes(target: Target) -> dict[str, float]:
    """Return the bytes in use by component, over its replicas, after two garbage collections."""
    sizes = {}
    replicas = by_component(target.metrics)
    for component in filter(replicas.__contains__, _COMPONENTS):
        sizes[component] = sum(_heap_size(target, replica) for replica in replicas[component])
    return sizes


def _heap_size(target: Target, replica: str) -> float:
    url = target.metrics[replica].removesuffix("/metrics") + "/debug/pprof/heap?gc=1"
    ca_file, token = credentials_for(target, url)
    for _ in range(_COLLECTIONS):
        http_client.content(url, ca_file=ca_file, token=token)  # the profile is not used
    scrape = parse_scrape(fetch_text(target, replica), [_LIVE, _ALLOCATED])
    lines = scrape.select(_LIVE) or scrape.select(_ALLOCATED)
    if not lines or not math.isfinite(lines[0].value):
        raise ProbeError(f"heap probe: {replica} does not report {_LIVE.sample}")
    return lines[0].value
