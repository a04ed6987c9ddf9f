"""Settings that all environments share in which subjects are Pods of a cluster."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from pipeline.environments.profile import ProfileSettings
from pipeline.model.subject import Product
from pipeline.storage.settings import Seconds, Settings

MAX_LOAD_PODS = 100
"""Most load pods of a run: their results are downloaded one after the other."""

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,20}[a-z0-9])?$")]


class Resources(Settings):
    """Resources of one container; its requests equal its limits.

    Attributes:
        cpu: CPU limit, also the container's GOMAXPROCS, rounded up; None for no limit.
        memory_mib: Memory limit; nine tenths of it are the container's GOMEMLIMIT.
    """

    cpu: Annotated[float, Field(ge=0.001, le=1024)] | None = None
    memory_mib: Annotated[int, Field(ge=16, le=2**24)] = 1024

    def __str__(self) -> str:
        return f"{'' if self.cpu is None else f'{self.cpu:g} CPU, '}{self.memory_mib} MiB"


class LoadPodSettings(Settings):
    """Settings of the pods that apply the load.

    Attributes:
        resources: Resources of each pod.
        node_selector: Labels of the nodes for these pods, instead of those for the builds.
        k6_operator: `auto` to use a k6-operator if the cluster has one; `never` to use a Job.
        keep_m: Minutes that a pod keeps its results if they are not downloaded.
    """

    resources: Resources = Resources(memory_mib=1024)
    node_selector: dict[str, str] = Field(default_factory=dict)
    k6_operator: Literal["auto", "never"] = "auto"
    keep_m: Annotated[int, Field(ge=1, le=43_200)] = 60


class Toleration(Settings):
    """A toleration of a taint, with the keys of Kubernetes."""

    key: str = ""
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""


class ClusterSettings(ProfileSettings):
    """Settings that `kind` and `remote` share.

    Attributes:
        ready_s: Seconds until a Pod must be Ready, image pull included, and until a server must
            have made a first Project.
        gone_s: Seconds to wait for the deletion of a namespace.
        prefix: Prefix of the names of all namespaces.
        expires_h: Hours after which a sweep may delete what a killed run has left.
        registry: Registry with the images of etcd and of `binary:`, `source:` and `reference`
            subjects, such as `europe-docker.pkg.dev/me/perf`; empty if images are loaded.
        pull_secret: `NAMESPACE/NAME` of a Secret for pulling images; empty for none.
        node_selector: Labels of the nodes for the builds.
        tolerations: Tolerations of all Pods.
        storage_class: Storage class of etcd's volume; empty for an emptyDir of the node.
        storage_gib: Size of that volume.
        server: Resources of the API server.
        manager: Resources of Milo's controller-manager.
        etcd: Resources of etcd.
        load_pods: Number of pods that share the load; 0 if this machine applies it.
        load: Settings of those pods.
    """

    ready_s: Seconds = 120.0
    gone_s: Seconds = 60.0
    prefix: _Name = "milo-perf"
    expires_h: Annotated[float, Field(gt=0, le=744)] = 6.0
    registry: str = ""
    pull_secret: Annotated[str, Field(pattern=r"^$|^[a-z0-9.-]+/[a-z0-9.-]+$")] = ""
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    storage_class: str = ""
    storage_gib: Annotated[int, Field(ge=1, le=65_536)] = 10
    server: Resources = Resources(memory_mib=3072)
    manager: Resources = Resources(memory_mib=1024)
    etcd: Resources = Resources(memory_mib=1024)
    load_pods: Annotated[int, Field(ge=0, le=MAX_LOAD_PODS)] = 0
    load: LoadPodSettings = LoadPodSettings()

    starts_images: ClassVar[bool] = True
    shows_processes: ClassVar[bool] = False
    can_restart: ClassVar[bool] = False
    usual_start_s: ClassVar[float]
    cluster_program: ClassVar[str]
    direct_path: ClassVar[str]

    @property
    def needs(self) -> tuple[str, ...]:
        """See `EnvironmentSettings.needs`."""
        # A port of the node leads to any replica, so each gets a port-forward.
        forward = ("kubectl",) if self.has_replicas else ()
        load = ("load-agent",) if self.load_pods else ()
        programs = ("etcd", self.cluster_program, *forward, *self.replica_programs, *load)
        return tuple(dict.fromkeys(programs))

    @property
    def load_path(self) -> str:
        """See `EnvironmentSettings.load_path`."""
        if self.load_pods:
            return "within the cluster"
        return "through the cluster's API" if self.has_replicas else self.direct_path

    @property
    def asks(self) -> str:
        """See `EnvironmentSettings.asks`."""
        return f"server {self.server}, manager {self.manager}, etcd {self.etcd}"

    @property
    def asks_for_load(self) -> str:
        """See `EnvironmentSettings.asks_for_load`."""
        return f"{self.load_pods} of {self.load.resources}" if self.load_pods else ""

    @property
    def load_memory(self) -> float:
        """See `EnvironmentSettings.load_memory`."""
        return self.load.resources.memory_mib * 2.0**20 if self.load_pods else 0.0

    def load_facts(self) -> dict[str, str]:
        """Return the facts of the fingerprint that every cluster has."""
        pods = {"load pods": str(self.load_pods)} if self.load_pods else {}
        return {**pods, **self.profile_facts()}

    def start_s(self, product: Product) -> float:
        """See `EnvironmentSettings.start_s`."""
        return self.usual_start_s

    def price(self, duration_s: float) -> str:
        """See `EnvironmentSettings.price`."""
        return ""
