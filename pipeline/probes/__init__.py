"""What watches a target while a workload runs, from outside."""

from collections.abc import Mapping

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

ALWAYS: tuple[Probe, ...] = (Process(), Containers(), Prometheus(), Etcd(), Machine())
"""Watch every workload."""

ASKED: Mapping[str, Probe] = {
    "availability": Availability(),
    "heap": Heap(),
    "projects": Projects(),
    "series": Series(),
}
"""Watch the workloads that ask for them, because they are work for a server."""
