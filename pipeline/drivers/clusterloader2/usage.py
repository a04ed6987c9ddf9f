"""What the components of a target use, looked at from outside, for ClusterLoader2's own forms.

ClusterLoader2 asks a kubelet for the use of containers, and reaches etcd by SSH.  Of a build that
it loads it knows neither, so its two summaries of these are written here: from /proc, or in a
cluster from what kubelets say, and from etcd's text.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil

from pipeline.drivers.clusterloader2.reported import ETCD, USAGE, Expected
from pipeline.drivers.clusterloader2.summaries import Look, write_etcd_metrics, write_resource_usage
from pipeline.model.ports import KUBELET_FINAL_SAMPLE_TIMEOUT_S, KUBELET_POLL_INTERVAL_S, Target
from pipeline.system import http_client
from pipeline.system.errors import LoadError, NetworkError
from pipeline.system.log import log
from pipeline.system.periodic import repeated

EXPECTED = (Expected(USAGE, "usage"), Expected(ETCD, "etcd"))
"""What a `Use` writes."""

_EVERY_S = 1.0
_FEWEST = 2  # looks that CPU can be told from


class Use:
    """Looks at the components of a target; complete when the block has been left."""

    def __init__(self, target: Target) -> None:
        """Look once.

        Args:
            target: With processes or with what says what its containers use, and with an etcd
                whose metrics can be read.

        Raises:
            LoadError: etcd does not answer, or nobody says what the components use.
        """
        self._target = target
        self._see = _processes(target.processes) if target.processes else _containers(target)
        self._looks: dict[str, list[Look]] = {name: [] for name in target.processes}
        self._etcd = [self._metrics()]
        self.look()

    @property
    def every_s(self) -> float:
        """Seconds from one look to the next."""
        return _EVERY_S if self._target.processes else KUBELET_POLL_INTERVAL_S

    def end(self) -> None:
        """Look for the last time."""
        self.look()
        deadline = time.monotonic() + (
            0 if self._target.processes else KUBELET_FINAL_SAMPLE_TIMEOUT_S
        )
        while self._is_short() and time.monotonic() < deadline:
            time.sleep(1.0)
            self.look()
        self._etcd.append(self._metrics())

    def write(self, folder: Path, config: str) -> None:
        """Write both summaries into a report.

        Args:
            folder: Of the report.
            config: Name of the config that was run.

        Raises:
            LoadError: They cannot be written, or a component was started again.
        """
        if not self._looks:
            raise LoadError("no kubelet has said what the components use")
        now = datetime.now(UTC)
        write_resource_usage(folder, config, self._looks, now)
        before, after = self._etcd
        write_etcd_metrics(folder, config, before, after, now)

    def look(self) -> None:
        """Look at each component, and keep what is new."""
        for name, look in self._see().items():
            looks = self._looks.setdefault(name, [])
            if not looks or look.time_s > looks[-1].time_s:
                looks.append(look)

    def _is_short(self) -> bool:
        return any(len(looks) < _FEWEST for looks in self._looks.values())

    def _metrics(self) -> str:
        return http_client.text(self._target.metrics["etcd"])


def _processes(pids: Mapping[str, int]) -> Callable[[], dict[str, Look]]:
    """Return what looks at processes; one that has ended is noticed by the target's own check."""
    known: dict[str, psutil.Process] = {}
    for name, pid in pids.items():
        with suppress(psutil.Error):
            known[name] = psutil.Process(pid)

    def see() -> dict[str, Look]:
        found = {}
        for name, process in known.items():
            with suppress(psutil.Error), process.oneshot():
                cpu, memory = process.cpu_times(), process.memory_info().rss
                found[name] = Look(time.time(), cpu.user + cpu.system, memory)
        return found

    return see


def _containers(target: Target) -> Callable[[], dict[str, Look]]:
    """Return what asks kubelets; who does not answer just now is asked again."""
    if (usage := target.usage) is None:
        raise LoadError("nobody says what the components use: there is neither process nor kubelet")

    def see() -> dict[str, Look]:
        try:
            found = usage()
        except (LoadError, NetworkError) as error:
            log.debug("what containers use is not told: %s", error)
            return {}
        return {name: Look(one.time_s, one.cpu_s, one.memory) for name, one in found.items()}

    return see


@contextmanager
def watched(target: Target) -> Iterator[Use]:
    """Look at a target while the block runs.

    Raises:
        LoadError: etcd does not answer.
    """
    use = Use(target)
    with repeated(use.look, use.every_s, "usage"):
        yield use
    use.end()
