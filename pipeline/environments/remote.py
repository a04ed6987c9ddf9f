"""Start subjects in an existing cluster, which a kubeconfig names."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from pipeline.environments import cluster_checks
from pipeline.environments.api import Api
from pipeline.environments.cluster import ClusterEnvironment, choose_nodes
from pipeline.environments.cluster_settings import ClusterSettings
from pipeline.environments.connect import PortForwardConnector
from pipeline.environments.gke.resources import POOL_LABEL
from pipeline.environments.images import Image, pack
from pipeline.environments.profile import profile_checks
from pipeline.model.health import Check
from pipeline.model.ports import Program
from pipeline.system.errors import ConfigError
from pipeline.system.log import log


class RemoteSettings(ClusterSettings):
    """Settings of an existing cluster.

    Attributes:
        kubeconfig: Path of the kubeconfig; empty for KUBECONFIG or the default path.
        context: Name of a context in it; empty for the current one.
    """

    kind: Literal["remote"] = "remote"
    kubeconfig: str = ""
    context: str = ""

    is_here: ClassVar[bool] = False
    usual_start_s: ClassVar[float] = 30.0
    cluster_program: ClassVar[str] = "kubectl"
    direct_path: ClassVar[str] = "through the cluster's API"

    @property
    def facts(self) -> dict[str, str]:
        """See `EnvironmentSettings.facts`."""
        context = self.context or "current"
        return {"environment": self.kind, "context": context, **self.load_facts()}

    @property
    def is_gke(self) -> bool:
        """True for a context that gcloud wrote, and for nodes that `cluster create` made."""
        return self.context.startswith("gke_") or POOL_LABEL in self.node_selector

    def price(self, duration_s: float) -> str:
        """Return the price on GKE; empty for any other cluster."""
        if not self.is_gke:
            return ""
        from pipeline.environments.gke import cost

        return str(cost.run_cost(duration_s, self.load_pods, cost.prices()))

    def checks(self) -> list[Check]:
        """See `EnvironmentSettings.checks`."""
        connect = partial(Api, self.kubeconfig, self.context)
        return [*cluster_checks.checks(self, self.context, connect), *profile_checks(self)]

    @contextmanager
    def open(self, programs: Mapping[str, Program]) -> Iterator[ClusterEnvironment]:
        """See `EnvironmentSettings.open`."""
        api = Api(self.kubeconfig, self.context)
        version = api.request("GET", "/version").get("gitVersion", "of an unknown version")
        nodes = choose_nodes(api, self)
        log.info(
            "the cluster is Kubernetes %s; the builds run on %s",
            version,
            " and ".join(nodes) or "the nodes that the scheduler chooses",
        )
        yield ClusterEnvironment(
            settings=self,
            api=api,
            programs=programs,
            connector=PortForwardConnector(programs["kubectl"], self.kubeconfig, self.context),
            image=self._image,
            nodes=nodes,
        )

    def _image(self, name: str, programs: Mapping[str, Path], digest: str) -> Image:
        """Return the image of programs in the registry, to which somebody must have pushed it."""
        if not self.registry:
            raise ConfigError(
                f"the cluster cannot get an image of {name}: no `registry` is set",
                hint="push what `milo-perf pack` writes to a registry, and set `registry`"
                " in [environment]; or give image:REF@sha256:… for the builds",
            )
        return pack(name, programs, digest, self.registry)
