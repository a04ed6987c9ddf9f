"""What is asked for, what is found, and how both are named and labelled.

Labels of Google Cloud are lower case, at most 63 characters, and have no slash; those of Kubernetes
have one. The names of clusters, and of what clusters leave behind, begin with ours.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from pipeline.system.errors import ConfigError

OURS = "milo-perf"
MANAGED = "managed-by"
RUN = "milo-perf-run"
EXPIRES = "milo-perf-expires"

ZONES_OF_REGION = 3
"""Number of zones of a region in which GKE makes the nodes of a pool, in each of them all."""

LONGEST_LIFE_S = 24 * 3600.0
"""No cluster may be asked for longer, and none is believed that says so."""

_RUN = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")
_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_LOCATION = re.compile(r"[a-z]+-[a-z]+[0-9]+(-[a-z])?")
_TAG = re.compile(r"gke-(?P<cluster>milo-perf-[a-z0-9-]+)-[0-9a-f]{8}-node")


class Kind(StrEnum):
    """What costs money, or is in the way."""

    CLUSTER = "cluster"
    DISK = "disk"
    ADDRESS = "address"
    BALANCER = "load balancer"
    FIREWALL = "firewall rule"
    NAMESPACE = "namespace"


@dataclass(frozen=True, slots=True)
class Pool:
    """Machines of one kind.

    Attributes:
        name: `server` or `load`.
        machine_type: As Google names it.
        nodes: How many.
        is_spot: Whether Google may take them back, for a lower price.
        disk_gib: Boot disk of each, in GiB.
    """

    name: str
    machine_type: str
    nodes: int
    is_spot: bool
    disk_gib: int = 50


USUAL = (
    Pool("server", "n2-standard-8", 2, is_spot=False),
    Pool("load", "n2-standard-4", 2, is_spot=True),
)
"""What a cluster is made of unless somebody says otherwise."""


@dataclass(frozen=True, slots=True)
class Order:
    """A cluster that is asked for.

    Attributes:
        project: Id of a project of Google Cloud, not its number.
        location: A zone, so that no request leaves it; or a region.
        run: What it is for; part of its name.
        life_s: After so many seconds anybody may delete it.
        pools: Its machines.
        network: Name of a VPC network in the project.
        subnetwork: Of the network; empty for the one that Google chooses.
        account: Service account that its nodes have.
        channel: From which Kubernetes comes: `RAPID`, `REGULAR` or `STABLE`.

    Raises:
        ConfigError: One of them cannot be.
    """

    project: str
    location: str
    run: str
    life_s: float
    pools: tuple[Pool, ...]
    account: str
    network: str = "default"
    subnetwork: str = ""
    channel: str = "REGULAR"

    def __post_init__(self) -> None:
        require_project(self.project)
        require_run(self.run)
        if not _LOCATION.fullmatch(self.location):
            raise ConfigError(
                f"`{self.location}` is no zone or region of Google Cloud",
                hint="such as us-central1-a; `gcloud compute zones list` shows them",
            )
        if not 0 < self.life_s <= LONGEST_LIFE_S:
            raise ConfigError(
                f"a cluster may live {LONGEST_LIFE_S / 3600:.0f} h at most,"
                f" not {self.life_s / 3600:g} h",
                hint="a cluster that stays is made by hand, under a name of another beginning",
            )

    @property
    def name(self) -> str:
        """Of the cluster."""
        return name_of(self.run)

    @property
    def zones(self) -> int:
        """Number of zones that each pool has its nodes in: 1 unless the location is a region."""
        return 1 if re.search(r"-[a-z]$", self.location) else ZONES_OF_REGION


@dataclass(frozen=True, slots=True)
class Found:
    """Something that is there, said alike for Google Cloud and for Kubernetes.

    Attributes:
        kind: See there.
        name: Its own.
        where: Of a cluster its zone or region; of its leftovers `zones/…`, `regions/…` or `global`;
            of a namespace the context.
        owner: The project that its own address names; for a namespace the context.
        created_s: Unix time.
        is_labelled: Whether it carries our label.
        run: What its label says; empty without.
        expires: What its label says, unread; empty without.
        cluster: Name of the cluster that it is or was of, as far as it says; may be cut short.
        account: Service account of a cluster's nodes; empty where that cannot be told.
        is_ending: Whether it is being deleted already.
        is_used: Whether something that is alive holds it.
        usd_per_hour: What it costs; None where we know no price.
        uid: Of a namespace, its `metadata.uid`: another one of the same name has another.
    """

    kind: Kind
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
    def key(self) -> tuple[Kind, str, str, str]:
        """What tells it from everything else."""
        return (self.kind, self.where, self.name, self.uid)


def name_of(run: str) -> str:
    """Return the name of the cluster of a run, of at most 40 characters."""
    return f"{OURS}-{run}"


def labels(run: str, expires_s: float) -> dict[str, str]:
    """Return the labels of a cluster, which Google copies to its machines and disks."""
    return {MANAGED: OURS, RUN: run, EXPIRES: f"{expires_s:.0f}"}


def cluster_of_tags(tags: list[str]) -> str:
    """Return the cluster that a firewall rule is of, by the tag of its nodes; or empty."""
    fits = (_TAG.fullmatch(tag) for tag in tags)
    return next((fit["cluster"] for fit in fits if fit), "")


def require_run(run: str) -> None:
    """Return if a run can be part of a cluster's name.

    Raises:
        ConfigError: It cannot.
    """
    if not _RUN.fullmatch(run):
        raise ConfigError(
            f"`{run}` is no name of a run",
            hint="lower-case letters, digits and hyphens, at most 30 of them",
        )


def require_project(project: str) -> None:
    """Return if this is the id of a project.

    Raises:
        ConfigError: It is not.
    """
    if not _PROJECT.fullmatch(project):
        raise ConfigError(
            f"`{project}` is no id of a project of Google Cloud",
            hint="not its number or its title: `gcloud projects list` shows the ids",
        )
