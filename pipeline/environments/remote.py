"""Subjects in any cluster that a kubeconfig leads to."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode

from pipeline.environments.api import Api, ClusterError
from pipeline.environments.cluster import ClusterEnvironment
from pipeline.environments.cluster_settings import ClusterSettings
from pipeline.environments.connect import PortForwardConnector
from pipeline.environments.gke.resources import POOL_LABEL
from pipeline.environments.images import Image, pack
from pipeline.model.ports import Program
from pipeline.system.errors import ConfigError
from pipeline.system.log import log


class RemoteSettings(ClusterSettings):
    """A cluster that is there.

    Attributes:
        kubeconfig: Its path; empty for the one that KUBECONFIG names, or the usual one.
        context: Name of a context in it; empty for the current one.
    """

    kind: Literal["remote"] = "remote"
    kubeconfig: str = ""
    context: str = ""

    start_s: ClassVar[float] = 30.0
    is_here: ClassVar[bool] = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the programs that it wants."""
        return ("etcd", "kubectl", *self.needs_of_load)

    @property
    def facts(self) -> dict[str, str]:
        """What makes its numbers comparable only with those of the same."""
        return {
            "environment": self.kind,
            "context": self.context or "current",
            **self.facts_of_load,
        }

    @property
    def is_gke(self) -> bool:
        """Whether this is GKE: a context that gcloud wrote, or nodes that `cluster create` made."""
        return self.context.startswith("gke_") or POOL_LABEL in self.node_selector

    def api(self) -> Api:
        """Return a client of the cluster; see `Api`."""
        return Api(self.kubeconfig, self.context)

    @contextmanager
    def opened(self, programs: Mapping[str, Program]) -> Iterator[ClusterEnvironment]:
        """Enter with what launches subjects.

        Raises:
            ConfigError: The kubeconfig cannot be used.
            LaunchError: The cluster does not answer.
        """
        api = self.api()
        version = api.request("GET", "/version").get("gitVersion", "of an unknown version")
        nodes = chosen_nodes(api, self)
        log.info(
            "the cluster is Kubernetes %s; the builds run on %s",
            version,
            " and ".join(nodes[:2]) or "the nodes that the scheduler chooses",
        )
        yield ClusterEnvironment(
            settings=self,
            api=api,
            programs=programs,
            connector=PortForwardConnector(programs["kubectl"], self.kubeconfig, self.context),
            image=self._image,
            nodes=nodes[:2],
        )

    def _image(self, name: str, programs: Mapping[str, Path], digest: str) -> Image:
        """Return the image of programs in the registry, where somebody has pushed it."""
        if not self.registry:
            raise ConfigError(
                f"the cluster cannot get an image of {name}: no `registry` is set",
                hint="push what `milo-perf pack` writes to a registry, and set `registry`"
                " in [environment]; or give image:REF@sha256:… for the builds",
            )
        return pack(name, programs, digest, self.registry)


def chosen_nodes(api: Api, settings: ClusterSettings) -> list[str]:
    """Return two nodes that the arms are put on, one each; or one or none for the scheduler.

    They are the first by name of those that fit the selector, take Pods and have no taint, or of
    all that fit where the settings have tolerations.
    """
    query = {"labelSelector": ",".join(f"{k}={v}" for k, v in settings.node_selector.items())}
    try:
        listed = api.request("GET", f"/api/v1/nodes?{urlencode(query)}").get("items", ())
    except ClusterError as error:
        log.warning("nodes cannot be listed, so the scheduler puts both builds: %s", error)
        return []
    fit = [node for node in listed if _takes_pods(node, is_tolerant=bool(settings.tolerations))]
    found = sorted(str(node["metadata"]["name"]) for node in fit)
    return found[:2] if len(found) > 1 else []


def _takes_pods(node: Mapping[str, Any], *, is_tolerant: bool) -> bool:
    spec = node.get("spec", {})
    taints = [t for t in spec.get("taints") or () if t.get("effect") != "PreferNoSchedule"]
    conditions = node.get("status", {}).get("conditions") or ()
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ready and not spec.get("unschedulable") and (is_tolerant or not taints)
