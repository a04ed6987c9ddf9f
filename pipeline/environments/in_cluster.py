"""Settings of every environment in which subjects are Pods of a cluster."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, StringConstraints

from pipeline.settings import Settings

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


class Toleration(Settings):
    """A taint that Pods may stand, as Kubernetes writes it."""

    key: str = ""
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""


class InCluster(Settings):
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

    @property
    def asks(self) -> str:
        """What each build asks of the nodes, requests and limits alike."""
        return ", ".join(
            f"{name} {'' if one.cpu is None else f'{one.cpu:g} CPU, '}{one.memory_mib} MiB"
            for name, one in (
                ("server", self.server),
                ("manager", self.manager),
                ("etcd", self.etcd),
            )
        )
