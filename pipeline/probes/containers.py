"""CPU and memory of a target's containers, from kubelets, if its processes are elsewhere."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.model.ports import (
    KUBELET_FINAL_SAMPLE_TIMEOUT_S,
    KUBELET_POLL_INTERVAL_S,
    ResourceUsage,
    Span,
    Target,
)
from pipeline.model.replicas import component_of
from pipeline.model.results import Reading
from pipeline.probes.sampling import require_complete, try_write_csv, usage_readings
from pipeline.system.clock import run_periodically
from pipeline.system.errors import NetworkError, ProbeError
from pipeline.system.log import log

_RETRY_S = 2.0
_KUBELET_PERIOD_S = 15.0  # maximum interval of a kubelet's own samples


@dataclass(frozen=True, slots=True)
class ContainersProbe:
    """Polls the usage of containers every five seconds, if there are no local processes.

    For each component it yields some readings of `ProcessProbe`: `COMPONENT.cpu` (s, interpolated
    between the kubelet's samples), `COMPONENT.memory_mean`, `COMPONENT.memory_max` and
    `COMPONENT.memory_added` (B, working set).  A kubelet samples every 10 to 15 seconds, so the
    readings of a short load are rough.  Those of replicas are added up.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_ContainersWatch"]:
        """See `Probe.watch`; writes `containers.csv` into `out`."""
        if target.usage is None:
            yield _ContainersWatch(None)
            return
        watch = _ContainersWatch(target.usage)
        watch.sample()
        try:
            with run_periodically(watch.try_sample, KUBELET_POLL_INTERVAL_S, "containers probe"):
                yield watch
        finally:
            rows = (
                (component, one.time_s, one.cpu_s, one.memory)
                for component, samples in watch.samples.items()
                for one in samples
            )
            columns = ("component", "time_s", "cpu_s", "memory")
            try_write_csv(out / "containers.csv", columns, rows)


@dataclass(frozen=True, slots=True)
class _ContainersWatch:
    usage: Callable[[], Mapping[str, ResourceUsage]] | None
    samples: dict[str, list[ResourceUsage]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def sample(self) -> None:
        """Add the new sample of each container."""
        usage = self.usage() if self.usage else {}
        with self.lock:
            for component, one in usage.items():
                samples = self.samples.setdefault(component, [])
                if not samples or one.time_s > samples[-1].time_s:
                    samples.append(one)

    def try_sample(self) -> None:
        """Sample; continue if no kubelet answers now."""
        try:
            self.sample()
        except (NetworkError, ProbeError) as error:
            log.debug("containers probe: %s", error)

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`; waits for the kubelets' first sample after the span."""
        if self.usage is None:
            return ()
        deadline = time.monotonic() + KUBELET_FINAL_SAMPLE_TIMEOUT_S
        while not self._has_sample_after(span) and time.monotonic() < deadline:
            time.sleep(_RETRY_S)
            self.try_sample()
        with self.lock:
            samples = {name: tuple(ones) for name, ones in self.samples.items()}
        totals: dict[str, Reading] = {}
        for name, ones in samples.items():
            for reading in summarize_containers(name, ones, span):
                key = f"{component_of(name)}.{reading.name.rpartition('.')[2]}"
                before = totals[key].value if key in totals else 0.0
                totals[key] = replace(reading, name=key, value=before + reading.value)
        return tuple(totals.values())

    def _has_sample_after(self, span: Span) -> bool:
        with self.lock:
            return all(samples[-1].time_s >= span.end_s for samples in self.samples.values())


def summarize_containers(
    component: str, samples: Sequence[ResourceUsage], span: Span
) -> tuple[Reading, ...]:
    """Return the readings of one container over a span; see `require_complete`."""
    times_s = [one.time_s for one in samples]
    require_complete(times_s, span, _KUBELET_PERIOD_S, f"containers probe: {component}")
    return usage_readings(component, samples, span)
