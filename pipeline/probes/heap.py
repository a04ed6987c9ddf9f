"""What the components hold on to: the Go heap after its garbage is collected."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.model.ports import Span, Target
from pipeline.model.results import Reading
from pipeline.probes.scrape import Selection, access, fetch, read
from pipeline.system import http_client
from pipeline.system.errors import ProbeError

_COMPONENTS = ("server", "manager")
_ALLOCATED = Selection("go_memstats_heap_alloc_bytes", {})
_COLLECTIONS = 2  # a pool gives up what it holds only at the second


@dataclass(frozen=True, slots=True)
class Heap:
    """Collects garbage before the load and after it, which is why a workload must ask for it.

    It yields `COMPONENT.heap` and `COMPONENT.heap_added` (B, the second never below zero) for the
    API server and the controller-manager: memory of objects that are in use, without the garbage
    of which the resident memory is half made.  etcd is left out: it has the profile that collects
    only with `--enable-pprof`, and its data is outside the Go heap in any case.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_Watch"]:
        """See `Probe.watch`.

        Raises:
            ProbeError: A component did not answer, or does not report its heap.
        """
        yield _Watch(target, heaps(target))


@dataclass(frozen=True, slots=True)
class _Watch:
    target: Target
    before: Mapping[str, float]

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`."""
        return tuple(
            reading
            for component, size in heaps(self.target).items()
            for reading in (
                Reading(f"{component}.heap", size, "B"),
                # Below 0 the caches of an earlier load were given back: that is no leak.
                Reading(f"{component}.heap_added", max(size - self.before[component], 0.0), "B"),
            )
        )


def heaps(target: Target) -> dict[str, float]:
    """Return bytes in use by component, after two collections of garbage.

    Raises:
        ProbeError: A component did not answer, or does not report its heap.
    """
    components = [name for name in _COMPONENTS if name in target.metrics]
    for component in components:
        url = target.metrics[component].removesuffix("/metrics") + "/debug/pprof/heap?gc=1"
        ca_file, token = access(target, url)
        for _ in range(_COLLECTIONS):
            http_client.content(
                url, ca_file=ca_file, token=token
            )  # the profile itself is of no interest
    return {component: _heap(target, component) for component in components}


def _heap(target: Target, component: str) -> float:
    found = read(fetch(target, component), [_ALLOCATED]).select(_ALLOCATED)
    if not found or not math.isfinite(found[0].value):
        raise ProbeError(f"heap probe: {component} does not report {_ALLOCATED.sample}")
    return found[0].value
