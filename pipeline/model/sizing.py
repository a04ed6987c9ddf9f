"""What a launch takes of a machine, estimated before anything starts, and whether it fits."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pipeline.model.headroom import Room
from pipeline.model.results import Interleave
from pipeline.model.subject import Product

GENERATOR_MEMORY = 200e6
"""Bytes of memory of k6 under the loads of the suites; measured."""

GENERATOR_FILES = 100
"""Connections that k6 opens to a server, one for each of its VUs; measured in the suite pr."""

KINDS = 2
"""`objects` are of each kind, and there are Secrets and ConfigMaps; a script may make fewer."""

COPIES = 4
"""Times that the data of an object is in memory: in etcd, its cache, the server's, an answer."""

COPIES_ON_DISK = 2
"""Times that it is on the disk: in etcd's log and in its database."""

OBJECT_MEMORY = 2e3
"""Bytes of memory of an object beside its data.  With `COPIES` it makes 10,000 objects of 1,000
bytes in 50 Projects of Milo v0.30.0 the 1,733 MB that were measured."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one build of a product takes, measured; memory in bytes.

    Attributes:
        memory: Of all its processes, without any Project.
        project_memory: More with each Project under use, deleted ones of a launch included.
        files: Open files of the process that has most, without any Project.
        project_files: More with each Project.
    """

    memory: float
    project_memory: float
    files: float
    project_files: float


MILO_SHARED = Footprint(memory=430e6, project_memory=25e6, files=57, project_files=0.5)
"""Milo from v0.30.0 on, whose storage shares a few connections to etcd.  Idle 230 MB API server,
80 MB controller-manager, 46 MB etcd and 16 MB a Project; under use, all together, 517 MB with 4
Projects and 1,149 MB with 32, and up to 25 MB a Project; 56 files with 5 Projects."""

MILO_SEPARATE = Footprint(memory=430e6, project_memory=25e6, files=57, project_files=60)
"""Milo before v0.30.0: a connection to etcd for each type in each Project, 332 files with 5."""

REFERENCE = Footprint(memory=230e6, project_memory=3e6, files=50, project_files=3)
"""The reference control plane: 180 MB server and 42 MB etcd with 2 Projects, 245 MB with 16."""

_FOOTPRINTS: Mapping[Product, Footprint] = MappingProxyType(
    {Product.REFERENCE: REFERENCE, Product.MILO: MILO_SHARED}
)


@dataclass(frozen=True, slots=True)
class Amount:
    """What one launch makes in each arm.

    Attributes:
        projects: Of all workloads together, because none of a launch is ever quite gone.
        objects: In all of them.
        data: Bytes of data in all objects.
    """

    projects: int
    objects: int
    data: float


@dataclass(frozen=True, slots=True)
class Need:
    """What a run takes at its peak.

    Attributes:
        memory: Bytes of all builds that are up together, and of k6.
        files: Open files of the process that has most.
        disk: Bytes of the folder of the run.
    """

    memory: float
    files: float
    disk: float


def footprint(product: Product, *, is_shared: bool | None) -> Footprint:
    """Return what a build takes.

    Args:
        product: What it is.
        is_shared: Of Milo, whether its storage shares connections to etcd; None where that is
            unknown: then it is taken to, so that nothing is refused that may fit.
    """
    if product is Product.MILO and is_shared is False:
        return MILO_SEPARATE
    return _FOOTPRINTS[product]


def amount(workloads: Sequence[tuple[int, int, int]]) -> Amount:
    """Return what workloads make together.

    Args:
        workloads: Of each the Projects, the objects of each kind in each, and bytes of an object.
    """
    objects = [(KINDS * projects * count, size) for projects, count, size in workloads]
    return Amount(
        projects=sum(projects for projects, _, _ in workloads),
        objects=sum(count for count, _ in objects),
        data=float(sum(count * size for count, size in objects)),
    )


def need(made: Amount, build: Footprint, interleave: Interleave, raw_bytes: float) -> Need:
    """Return what a run takes.

    Args:
        made: What one launch makes in each arm.
        build: What each of the builds takes.
        interleave: Whether both are up together.
        raw_bytes: Of the folder at its largest, without the data of objects.
    """
    arms = _arms(interleave)
    objects = made.objects * OBJECT_MEMORY + COPIES * made.data
    memory = build.memory + made.projects * build.project_memory + objects
    return Need(
        memory=arms * memory + GENERATOR_MEMORY,
        files=build.files + made.projects * build.project_files + GENERATOR_FILES,
        disk=raw_bytes + arms * COPIES_ON_DISK * made.data,
    )


def misfits(wanted: Need, room: Room) -> tuple[str, ...]:
    """Return what of a machine is not enough, each as a sentence; nothing where all is."""
    found = []
    if wanted.memory > room.memory:
        found.append(
            f"memory: a launch takes about {_gb(wanted.memory)}, and {_gb(room.memory)} are left,"
            f" {_gb(wanted.memory - room.memory)} too few"
        )
    if wanted.files > room.files:
        found.append(
            f"open files: a process opens about {wanted.files:,.0f}, and {room.files:,.0f} is the"
            f" limit (`ulimit -Hn`), {wanted.files - room.files:,.0f} too few"
        )
    if wanted.disk > room.disk:
        found.append(
            f"disk: the run takes about {_gb(wanted.disk)}, and {_gb(room.disk)} are free,"
            f" {_gb(wanted.disk - room.disk)} too few"
        )
    return tuple(found)


def most_projects(
    made: Amount, build: Footprint, interleave: Interleave, raw_bytes: float, room: Room
) -> int:
    """Return how many Projects a launch can have, each with as many objects as now; 0 for none.

    The arguments are those of `need`, and what is left of the machine.
    """

    def fits(projects: int) -> bool:
        share = projects / made.projects
        fewer = Amount(projects, math.ceil(made.objects * share), made.data * share)
        return not misfits(need(fewer, build, interleave, raw_bytes), room)

    low, high = 0, made.projects
    if not high or not fits(low):
        return 0
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _arms(interleave: Interleave) -> int:
    return 2 if interleave is Interleave.REQUEST else 1


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
