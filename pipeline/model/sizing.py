"""Estimate the resources of a run before it starts, and compare them with the machine."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from pipeline.model.headroom import Headroom
from pipeline.model.results import Interleave
from pipeline.model.subject import Product

GENERATOR_MEMORY = 200e6
"""Memory of k6 in bytes, measured under the loads of the suites."""

GENERATOR_FILES = 100
"""Connections from k6 to a server, one for each VU; measured in the suite pr."""

OBJECT_KINDS = 2
"""`objects` counts each kind: Secrets and ConfigMaps.  A script may make fewer."""

COPIES_IN_MEMORY = 4
"""Copies of an object's data in memory: etcd, its cache, the server's cache, an answer."""

COPIES_ON_DISK = 2
"""Copies of an object's data on disk: etcd's log and its database."""

OBJECT_MEMORY = 2e3
"""Memory of an object beside its data, in bytes.  With `COPIES_IN_MEMORY` it explains the 1,733 MB
measured for 10,000 objects of 1,000 bytes in 50 Projects of Milo v0.30.0."""


WATCH_MEMORY = 100e3
"""Memory of a watch in a build, in bytes.  Of `reference`, 22.7 kB of live heap and 2.02 goroutines
were measured; the heap is half of the memory, and a stack has 8 kB."""

GENERATOR_WATCH_MEMORY = 50e3
"""Memory of a watch in the load generator, in bytes."""

WATCHES_PER_CONNECTION = 100
"""Watches that share a connection: Kubernetes' default limit of HTTP/2 streams."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """The measured resources of one build of a product.

    Attributes:
        memory: Bytes of memory of all its processes, without any Project.
        project_memory: Bytes of memory of each Project in use, including deleted ones of a launch.
        files: Open files of the process that has most, without any Project.
        project_files: Open files of each Project.
    """

    memory: float
    project_memory: float
    files: float
    project_files: float


MILO_SHARED = Footprint(memory=430e6, project_memory=25e6, files=57, project_files=0.5)
"""Milo from v0.30.0 on, whose storage shares a few connections to etcd.  Idle: 230 MB API server,
80 MB controller-manager, 46 MB etcd and 16 MB a Project.  In use, in total: 517 MB with 4 Projects
and 1,149 MB with 32, up to 25 MB a Project; 56 files with 5 Projects."""

MILO_SEPARATE = Footprint(memory=430e6, project_memory=25e6, files=57, project_files=60)
"""Milo before v0.30.0: one connection to etcd for each type in each Project, 332 files with 5."""

REFERENCE = Footprint(memory=230e6, project_memory=3e6, files=50, project_files=3)
"""The reference control plane: 180 MB server and 42 MB etcd with 2 Projects, 245 MB with 16."""

_FOOTPRINTS: Mapping[Product, Footprint] = MappingProxyType(
    {Product.REFERENCE: REFERENCE, Product.MILO: MILO_SHARED}
)


@dataclass(frozen=True, slots=True)
class ObjectCounts:
    """The objects that one launch creates in each arm.

    Attributes:
        projects: Number of Projects of all workloads; deleted ones count, since they leave traces.
        watches: Number of watches that are open at the same time.
        pods: Number of load pods; 0 if this machine applies the load.
    """

    projects: int
    objects: int
    data: float
    watches: int = 0
    pods: int = 0


@dataclass(frozen=True, slots=True)
class ResourceEstimate:
    """The resources of a run at its peak.

    Attributes:
        memory: Bytes of memory of k6 and of all builds that run at the same time.
        files: Open files of the process that has most.
    """

    memory: float
    files: float
    disk: float


def footprint(product: Product, *, is_shared: bool | None, replicas: int = 1) -> Footprint:
    """Return the footprint of a build, whose replicas have their own memory.

    `is_shared` says whether Milo's storage shares connections to etcd; None, for unknown, counts as
    shared so that nothing is refused that may fit.
    """
    is_separate = product is Product.MILO and is_shared is False
    one = MILO_SEPARATE if is_separate else _FOOTPRINTS[product]
    return replace(one, memory=replicas * one.memory, project_memory=replicas * one.project_memory)


def object_counts(workloads: Sequence[tuple[int, int, int]], watches: int = 0) -> ObjectCounts:
    """Return the objects that workloads create together.

    Each workload has Projects, objects of each kind in each Project, and bytes of an object.
    `watches` is the largest number of watches of one workload.
    """
    objects = [(OBJECT_KINDS * projects * count, size) for projects, count, size in workloads]
    return ObjectCounts(
        projects=sum(projects for projects, _, _ in workloads),
        objects=sum(count for count, _ in objects),
        data=float(sum(count * size for count, size in objects)),
        watches=watches,
    )


def estimate(
    counts: ObjectCounts, build: Footprint, interleave: Interleave, raw_bytes: float
) -> ResourceEstimate:
    """Return the resources of a run.

    `raw_bytes` is the peak size of the folder, without the data of objects.
    """
    arms = 2 if interleave is Interleave.REQUEST else 1
    objects = counts.objects * OBJECT_MEMORY + COPIES_IN_MEMORY * counts.data
    watches = counts.watches * WATCH_MEMORY
    memory = build.memory + counts.projects * build.project_memory + objects + watches
    generator = generator_estimate(counts, arms)
    server_files = build.files + counts.projects * build.project_files
    server_files += GENERATOR_FILES + _connections(counts)
    return ResourceEstimate(
        memory=arms * memory + generator.memory,
        files=server_files if counts.pods else max(server_files, generator.files),
        disk=raw_bytes + arms * COPIES_ON_DISK * counts.data,
    )


def generator_estimate(counts: ObjectCounts, arms: int) -> ResourceEstimate:
    """Return the resources of a load generator that loads one or two builds."""
    memory = GENERATOR_MEMORY + arms * counts.watches * GENERATOR_WATCH_MEMORY
    return ResourceEstimate(memory, GENERATOR_FILES + arms * _connections(counts), 0.0)


def pod_memory(watches: int, projects: int, pods: int, arms: int) -> float:
    """Return the bytes of memory of the load pod that has most Projects, with all their watches."""
    share = math.ceil(projects / pods) / projects if projects else 0.0
    return GENERATOR_MEMORY + arms * share * watches * GENERATOR_WATCH_MEMORY


def _connections(counts: ObjectCounts) -> int:
    """Return the number of connections of the watches to one build."""
    return math.ceil(counts.watches / WATCHES_PER_CONNECTION)


def shortfalls(needed: ResourceEstimate, headroom: Headroom) -> tuple[str, ...]:
    """Return a sentence for each resource of which the machine has too little."""
    sentences = []
    if needed.memory > headroom.memory:
        sentences.append(
            f"memory: a launch needs about {_gb(needed.memory)}, and {_gb(headroom.memory)} are"
            f" available, {_gb(needed.memory - headroom.memory)} too few"
        )
    if needed.files > headroom.files:
        sentences.append(
            f"open files: a process opens about {needed.files:,.0f}, and {headroom.files:,.0f} is"
            f" the limit (`ulimit -Hn`), {needed.files - headroom.files:,.0f} too few"
        )
    if needed.disk > headroom.disk:
        sentences.append(
            f"disk: the run needs about {_gb(needed.disk)}, and {_gb(headroom.disk)} are free,"
            f" {_gb(needed.disk - headroom.disk)} too few"
        )
    return tuple(sentences)


def most_projects(
    counts: ObjectCounts,
    build: Footprint,
    interleave: Interleave,
    raw_bytes: float,
    headroom: Headroom,
) -> int:
    """Return the largest number of Projects that fits, with as many objects each; 0 for none.

    The arguments are those of `estimate`, and the headroom of the machine.
    """

    def is_too_much(projects: int) -> bool:
        share = projects / counts.projects
        objects = math.ceil(counts.objects * share)
        fewer = ObjectCounts(projects, objects, counts.data * share, counts.watches, counts.pods)
        return bool(shortfalls(estimate(fewer, build, interleave, raw_bytes), headroom))

    if not counts.projects:
        return 0
    return max(0, bisect_left(range(counts.projects + 1), x=True, key=is_too_much) - 1)


def most_watches(
    counts: ObjectCounts,
    build: Footprint,
    interleave: Interleave,
    raw_bytes: float,
    headroom: Headroom,
) -> int:
    """Return the largest number of watches that fits, with all Projects; 0 for none.

    The arguments are those of `most_projects`.
    """

    def is_too_much(watches: int) -> bool:
        fewer = replace(counts, watches=watches)
        return bool(shortfalls(estimate(fewer, build, interleave, raw_bytes), headroom))

    return max(0, bisect_left(range(counts.watches + 1), x=True, key=is_too_much) - 1)


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
