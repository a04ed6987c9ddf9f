"""CPU and memory of the containers of a target whose processes cannot be seen from here."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.model.ports import (
    KUBELET_FINAL_SAMPLE_TIMEOUT_S,
    KUBELET_POLL_INTERVAL_S,
    ResourceUsage,
    Span,
    Target,
)
from pipeline.model.results import Reading
from pipeline.probes.gaps import require_looks
from pipeline.probes.process import keep, rise
from pipeline.system.errors import NetworkError, ProbeError
from pipeline.system.log import log
from pipeline.system.periodic import run_periodically

_PAUSE_S = 2.0
_KUBELET_S = 15.0  # the longest that a kubelet waits between two looks of its own


@dataclass(frozen=True, slots=True)
class Containers:
    """Asks what containers used, every five seconds, where there is no process to look at.

    It yields, for each component, over the span, some of what `Process` does: `COMPONENT.cpu` (s),
    interpolated between the looks of the kubelet, `COMPONENT.memory_mean`, `COMPONENT.memory_max`
    and `COMPONENT.memory_added` (B, working set).  The kubelet looks every 10 to 15 seconds, so of
    a load that is not much longer, these are rough; threads and files it does not tell.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_Watch"]:
        """See `Probe.watch`; writes `containers.csv` into `out`.

        Raises:
            ProbeError: Nobody says what containers use.
        """
        if target.usage is None:
            yield _Watch(None)
            return
        watch = _Watch(target.usage)
        watch.look()
        try:
            with run_periodically(watch.try_look, KUBELET_POLL_INTERVAL_S, "containers probe"):
                yield watch
        finally:
            keep(out / "containers.csv", watch.seen, ("time_s", "cpu_s", "memory"))


@dataclass(frozen=True, slots=True)
class _Watch:
    usage: Callable[[], Mapping[str, ResourceUsage]] | None
    seen: dict[str, list[ResourceUsage]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> None:
        """Add what is new of each container.

        Raises:
            ProbeError: Nobody says.
        """
        found = self.usage() if self.usage else {}
        with self.lock:
            for component, one in found.items():
                seen = self.seen.setdefault(component, [])
                if not seen or one.time_s > seen[-1].time_s:
                    seen.append(one)

    def try_look(self) -> None:
        """Look, and go on where nobody says just now."""
        try:
            self.look()
        except (NetworkError, ProbeError) as error:
            log.debug("containers probe: %s", error)

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`; waits for the kubelets' first look after the span.

        Raises:
            ProbeError: A container was not seen over the whole span.
        """
        if self.usage is None:
            return ()
        deadline = time.monotonic() + KUBELET_FINAL_SAMPLE_TIMEOUT_S
        while not self._is_after(span) and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)
            self.try_look()
        with self.lock:
            seen = {component: tuple(found) for component, found in self.seen.items()}
        return tuple(
            reading
            for component, found in seen.items()
            for reading in summary(component, found, span)
        )

    def _is_after(self, span: Span) -> bool:
        with self.lock:
            return all(found[-1].time_s >= span.end_s for found in self.seen.values())


def summary(component: str, seen: Sequence[ResourceUsage], span: Span) -> tuple[Reading, ...]:
    """Return the readings of one container over a span.

    Of a span between two looks, memory is that of the look after it.

    Raises:
        ProbeError: The container was not seen over the whole span, or not for a part of it.
    """
    times_s = [one.time_s for one in seen]
    require_looks(times_s, span, _KUBELET_S, f"containers probe: {component}")
    within = [one for one in seen if span.start_s <= one.time_s <= span.end_s]
    within = within or [next(one for one in seen if one.time_s >= span.end_s)]
    memory = [one.memory for one in within]
    cpu = rise(times_s, [one.cpu_s for one in seen], span)
    return (
        Reading(f"{component}.cpu", cpu, "s"),
        Reading(f"{component}.memory_mean", sum(memory) / len(memory), "B"),
        Reading(f"{component}.memory_max", max(memory), "B"),
        Reading(f"{component}.memory_added", max(0, seen[-1].memory - seen[0].memory), "B"),
    )
