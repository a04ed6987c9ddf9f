"""Settings of every environment in which subjects are Pods of a cluster."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, StringConstraints

from pipeline.storage.settings import Settings

MOST_PODS = 100
"""Of load: each is asked for its points in turn."""

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,20}[a-z0-9])?$")]


class Resources(Settings):
    """What one container gets: requests and limits are the same.

    Attributes:
        cpu: Processors, also the container's GOMAXPROCS, rounded up; without a number it takes
            what the node has left, as processes of one machine do.
        memory_mib: Memory; nine tenths of it are the container's GOMEMLIMIT.
    """

    cpu: PositiveFloat | None = None
    memory_mib: PositiveInt = 1024

    @property
    def written(self) -> str:
        """What it is, for people."""
        return f"{'' if self.cpu is None else f'{self.cpu:g} CPU, '}{self.memory_mib} MiB"


class LoadPodSettings(Settings):
    """The pods that the load comes from, instead of this machine.

    Attributes:
        resources: Of each pod.
        node_selector: Labels of the nodes that they may run on, instead of those of the builds.
        k6_operator: Whether a k6-operator that is in the cluster makes them, or never.
        keep_m: Minutes that a pod keeps its points, if nobody takes them.
    """

    resources: Resources = Resources(memory_mib=1024)
    node_selector: dict[str, str] = Field(default_factory=dict)
    k6_operator: Literal["auto", "never"] = "auto"
    keep_m: PositiveInt = 60


class Toleration(Settings):
    """A taint that Pods may stand, as Kubernetes writes it."""

    key: str = ""
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""


class ClusterSettings(Settings):
    """What the environments `kind` and `remote` share.

    Attributes:
        ready_s: Seconds that a Pod has to be Ready, its image pulled, and that a server has to make
            a first Project.
        gone_s: Seconds that the deletion of a namespace is waited for.
        prefix: Of the name of every namespace.
        expires_h: Hours after which a sweep may delete what a run that was killed has left.
        registry: Where the images of `binary:`, `source:` and `reference` subjects and of etcd
            are, such as `europe-docker.pkg.dev/me/perf`; empty where they are loaded.
        pull_secret: `NAMESPACE/NAME` of a Secret with which images are pulled, or empty.
        node_selector: Labels of the nodes that Pods may run on.
        tolerations: Taints that they may stand.
        storage_class: Of etcd's volume; empty for an emptyDir of the node.
        storage_gib: Size of that volume.
        server: Of the API server.
        manager: Of Milo's controller-manager.
        etcd: Of etcd.
        load_pods: How many pods share the load; 0 for this machine.
        load: Of those pods.
    """

    ready_s: PositiveFloat = 120.0
    gone_s: PositiveFloat = 60.0
    prefix: _Name = "milo-perf"
    expires_h: PositiveFloat = 6.0
    registry: str = ""
    pull_secret: Annotated[str, Field(pattern=r"^$|^[a-z0-9.-]+/[a-z0-9.-]+$")] = ""
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    storage_class: str = ""
    storage_gib: PositiveInt = 10
    server: Resources = Resources(memory_mib=3072)
    manager: Resources = Resources(memory_mib=1024)
    etcd: Resources = Resources(memory_mib=1024)
    load_pods: Annotated[int, Field(ge=0, le=MOST_PODS)] = 0
    load: LoadPodSettings = LoadPodSettings()

    @property
    def needs_of_load(self) -> tuple[str, ...]:
        """Names of the programs that load pods want."""
        return ("load-agent",) if self.load_pods else ()

    @property
    def facts_of_load(self) -> dict[str, str]:
        """What of the load makes numbers comparable only with those of the same."""
        return {"load pods": str(self.load_pods)} if self.load_pods else {}

    @property
    def asks(self) -> str:
        """What each build asks of the nodes, requests and limits alike."""
        return ", ".join(
            f"{name} {one.written}"
            for name, one in (
                ("server", self.server),
                ("manager", self.manager),
                ("etcd", self.etcd),
            )
        )

    @property
    def asks_for_load(self) -> str:
        """What the pods that the load comes from ask of the nodes; empty for none."""
        return f"{self.load_pods} of {self.load.resources.written}" if self.load_pods else ""
