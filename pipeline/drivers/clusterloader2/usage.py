"""What the components of a target use, looked at from outside, for ClusterLoader2's own forms.

ClusterLoader2 asks a kubelet for the use of containers, and reaches etcd by SSH.  Of a process it
knows neither, so its two summaries of these are written here, from /proc and from etcd's text.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil

from pipeline import web
from pipeline.drivers.clusterloader2.reported import ETCD, USAGE, Expected
from pipeline.drivers.clusterloader2.summaries import Look, write_etcd_metrics, write_resource_usage
from pipeline.ports import Target
from pipeline.repeated import repeated

EXPECTED = (Expected(USAGE, "usage"), Expected(ETCD, "etcd"))
"""What a `Usage` writes."""

_EVERY_S = 1.0


class Usage:
    """Looks at the processes of a target; complete when the block has been left."""

    def __init__(self, target: Target) -> None:
        """Look once.

        Args:
            target: With processes, and with an etcd whose metrics can be read.
        """
        self._target = target
        self._processes = {name: psutil.Process(pid) for name, pid in target.processes.items()}
        self._looks: dict[str, list[Look]] = {name: [] for name in self._processes}
        self._etcd = [self._metrics()]
        self.look()

    def end(self) -> None:
        """Look for the last time."""
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
        now = datetime.now(UTC)
        write_resource_usage(folder, config, self._looks, now)
        before, after = self._etcd
        write_etcd_metrics(folder, config, before, after, now)

    def look(self) -> None:
        """Look at each process that still lives."""
        for name, process in self._processes.items():
            with suppress(psutil.Error):  # a dead one is noticed by the target's own check
                with process.oneshot():
                    cpu, memory = process.cpu_times(), process.memory_info().rss
                self._looks[name].append(Look(time.time(), cpu.user + cpu.system, memory))

    def _metrics(self) -> str:
        return web.text(self._target.metrics["etcd"])


@contextmanager
def watched(target: Target) -> Iterator[Usage]:
    """Look at a target while the block runs.

    Raises:
        LoadError: etcd does not answer.
    """
    usage = Usage(target)
    with repeated(usage.look, _EVERY_S, "usage"):
        yield usage
    usage.end()
