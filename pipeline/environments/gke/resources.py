"""Clusters that are requested, resources that are found, and how both are named and labelled.

Labels of Google Cloud are lower case, have at most 63 characters and no slash; those of Kubernetes
have one.  The names of our clusters, and of what they leave behind, begin with `milo-perf`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pipeline.system.errors import ConfigError

OURS = "milo-perf"
MANAGED = "managed-by"
RUN = "milo-perf-run"
EXPIRES = "milo-perf-expires"

POOL_LABEL = "milo-perf/pool"
"""Label of the nodes of a pool, and taint of those of the servers."""

ZONES_OF_REGION = 3
"""Number of zones of a region in which GKE creates the nodes of a pool, the full number in each."""

MAX_LIFETIME_S = 24 * 3600.0
"""Longest lifetime that may be requested, and that a label is believed to have."""

_RUN = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")
_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_LOCATION = re.compile(r"[a-z]+-[a-z]+[0-9]+(-[a-z])?")
_NODE_TAG = re.compile(r"gke-(?P<cluster>milo-perf-[a-z0-9-]+)-[0-9a-f]{8}-node")


class ResourceKind(StrEnum):
    """Kind of a resource that a run may leave behind."""

    CLUSTER = "cluster"
    DISK = "disk"
    ADDRESS = "address"
    BALANCER = "load balancer"
    FIREWALL = "firewall rule"
    NAMESPACE = "namespace"


@dataclass(frozen=True, slots=True)
class NodePool:
    """The nodes of one machine type, for `server` or `load`; Google may reclaim spot VMs."""

    name: str
    machine_type: str
    nodes: int
    is_spot: bool
    disk_gib: int = 50


DEFAULT_POOLS = (
    NodePool("server", "n2-standard-8", 2, is_spot=False),
    NodePool("load", "n2-standard-4", 2, is_spot=True),
)


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """A cluster to create.

    Attributes:
        project: Id of a Google Cloud project, not its number.
        location: Zone (no request leaves it) or region.
        run: Name of the run, which is part of the cluster's name.
        life_s: Seconds after which anybody may delete the cluster.
        pools: Node pools.
        account: Service account of the nodes.
        network: Name of a VPC network in the project.
        subnetwork: Name of the subnetwork; empty for Google's choice.
        channel: Release channel of Kubernetes: `RAPID`, `REGULAR` or `STABLE`.

    Raises:
        ConfigError: A value is not valid.
    """

    project: str
    location: str
    run: str
    life_s: float
    pools: tuple[NodePool, ...]
    account: str
    network: str = "default"
    subnetwork: str = ""
    channel: str = "REGULAR"

    def __post_init__(self) -> None:
        require_project(self.project)
        require_run(self.run)
        if not _LOCATION.fullmatch(self.location):
            raise ConfigError(
                f"`{self.location}` is not a zone or region of Google Cloud",
                hint="such as us-central1-a; `gcloud compute zones list` shows them",
            )
        if not 0 < self.life_s <= MAX_LIFETIME_S:
            raise ConfigError(
                f"a cluster may live {MAX_LIFETIME_S / 3600:.0f} h at most,"
                f" not {self.life_s / 3600:g} h",
                hint="create a permanent cluster by hand, without milo-perf in its name",
            )

    @property
    def name(self) -> str:
        """Name of the cluster."""
        return cluster_name(self.run)

    @property
    def zones(self) -> int:
        """Number of zones in which each pool has nodes: 1 unless the location is a region."""
        return 1 if re.search(r"-[a-z]$", self.location) else ZONES_OF_REGION


@dataclass(frozen=True, slots=True)
class CloudResource:
    """A resource of Google Cloud or Kubernetes, as the sweeper sees it.

    Attributes:
        kind: Kind of the resource.
        name: Name of the resource.
        where: Zone or region of a cluster; `zones/…`, `regions/…` or `global` of what it left
            behind; context of a namespace.
        owner: Project that the resource's own address names; context of a namespace.
        created_s: Creation time, Unix time.
        is_labelled: Whether it has our label.
        run: Run that its label names; empty without.
        expires: Expiry that its label states, not parsed; empty without.
        cluster: Name of the cluster that it belongs or belonged to; may be truncated.
        account: Service account of a cluster's nodes; empty if unknown.
        is_ending: Whether it is being deleted already.
        is_used: Whether another resource uses it.
        usd_per_hour: Price; None if unknown.
        uid: `metadata.uid` of a namespace, which differs from that of a namespace of the same name.
    """

    kind: ResourceKind
    name: str
    where: str
    owner: str
    created_s: float
    is_labelled: bool = False
    run: str = ""
    expires: str = ""
    cluster: str = ""
    account: str = ""
    is_ending: bool = False
    is_used: bool = False
    usd_per_hour: float | None = field(default=None, compare=False)
    uid: str = ""

    @property
    def key(self) -> tuple[ResourceKind, str, str, str]:
        """Identity of the resource."""
        return (self.kind, self.where, self.name, self.uid)


def cluster_name(run: str) -> str:
    """Return the name of the cluster of a run, of at most 40 characters."""
    return f"{OURS}-{run}"


def labels(run: str, expires_s: float) -> dict[str, str]:
    """Return the labels of a cluster; Google copies them to its machines and disks."""
    return {MANAGED: OURS, RUN: run, EXPIRES: f"{expires_s:.0f}"}


def label_fields(labels: Mapping[str, str]) -> dict[str, Any]:
    """Return labels of Google Cloud as fields of `CloudResource`."""
    return {
        "is_labelled": labels.get(MANAGED) == OURS,
        "run": labels.get(RUN, ""),
        "expires": labels.get(EXPIRES, ""),
    }


def cluster_of_tags(tags: list[str]) -> str:
    """Return the cluster that a firewall rule belongs to, by the tag of its nodes; or empty."""
    matches = (_NODE_TAG.fullmatch(tag) for tag in tags)
    return next((match["cluster"] for match in matches if match), "")


def require_run(run: str) -> None:
    """Raise ConfigError unless the name of a run can be part of a cluster's name."""
    if not _RUN.fullmatch(run):
        raise ConfigError(
            f"`{run}` cannot be the name of a run",
            hint="lower-case letters, digits and hyphens, at most 30 of them",
        )


def require_project(project: str) -> None:
    """Raise ConfigError unless a text can be the id of a project."""
    if not _PROJECT.fullmatch(project):
        raise ConfigError(
            f"`{project}` is not the id of a Google Cloud project",
            hint="not its number or its title: `gcloud projects list` shows the ids",
        )
