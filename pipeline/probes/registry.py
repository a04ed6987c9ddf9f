"""The list of probes: a new opt-in probe is one file, and its name and class here.

The probes are imported when they are needed, because `plan` only needs their names.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pipeline.model.ports import Probe

OPT_IN_PROBES = (
    "availability",
    "heap",
    "projects",
    "series",
)
"""Names of the probes that watch the workloads that name them: they are work for a server."""

if TYPE_CHECKING:
    OptInProbe = str
else:
    OptInProbe = Literal[OPT_IN_PROBES]
"""Type of a probe's name in a suite."""


def default_probes() -> tuple[Probe, ...]:
    """Return the probes that watch every workload."""
    from pipeline.probes.containers import ContainersProbe
    from pipeline.probes.etcd import EtcdProbe
    from pipeline.probes.machine import MachineProbe
    from pipeline.probes.process import ProcessProbe
    from pipeline.probes.prometheus import PrometheusProbe

    return (ProcessProbe(), ContainersProbe(), PrometheusProbe(), EtcdProbe(), MachineProbe())


def opt_in_probes() -> Mapping[str, Probe]:
    """Return the opt-in probes by name."""
    from pipeline.probes.availability import AvailabilityProbe
    from pipeline.probes.heap import HeapProbe
    from pipeline.probes.projects import ProjectsProbe
    from pipeline.probes.series import SeriesProbe

    return {
        "availability": AvailabilityProbe(),
        "heap": HeapProbe(),
        "projects": ProjectsProbe(),
        "series": SeriesProbe(),
    }
