"""The list of probes: a new probe is one file and one line here."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pipeline.model.ports import Probe
from pipeline.probes.availability import Availability
from pipeline.probes.containers import Containers
from pipeline.probes.etcd import Etcd
from pipeline.probes.heap import Heap
from pipeline.probes.machine import Machine
from pipeline.probes.process import Process
from pipeline.probes.projects import Projects
from pipeline.probes.prometheus import Prometheus
from pipeline.probes.series import Series

DEFAULT_PROBES: tuple[Probe, ...] = (Process(), Containers(), Prometheus(), Etcd(), Machine())
"""Probes that watch every workload."""

OPT_IN_PROBES: Mapping[str, Probe] = {
    "availability": Availability(),
    "heap": Heap(),
    "projects": Projects(),
    "series": Series(),
}
"""Probes that watch the workloads that name them, because they are work for a server."""

if TYPE_CHECKING:
    OptInProbe = str
else:
    OptInProbe = Literal[tuple(OPT_IN_PROBES)]
"""Type of a probe's name in a suite."""
