"""The list of probes: a new probe is one file and one line here."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pipeline.model.ports import Probe
from pipeline.probes.availability import AvailabilityProbe
from pipeline.probes.containers import ContainersProbe
from pipeline.probes.etcd import EtcdProbe
from pipeline.probes.heap import HeapProbe
from pipeline.probes.machine import MachineProbe
from pipeline.probes.process import ProcessProbe
from pipeline.probes.projects import ProjectsProbe
from pipeline.probes.prometheus import PrometheusProbe
from pipeline.probes.series import SeriesProbe

DEFAULT_PROBES: tuple[Probe, ...] = (
    ProcessProbe(),
    ContainersProbe(),
    PrometheusProbe(),
    EtcdProbe(),
    MachineProbe(),
)
"""Probes that watch every workload."""

OPT_IN_PROBES: Mapping[str, Probe] = {
    "availability": AvailabilityProbe(),
    "heap": HeapProbe(),
    "projects": ProjectsProbe(),
    "series": SeriesProbe(),
}
"""Probes that watch the workloads that name them, because they are work for a server."""

if TYPE_CHECKING:
    OptInProbe = str
else:
    OptInProbe = Literal[tuple(OPT_IN_PROBES)]
"""Type of a probe's name in a suite."""
