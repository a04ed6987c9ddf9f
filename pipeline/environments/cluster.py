"""Subjects as Pods of a cluster, each build of each launch in a namespace of its own."""

import itertools
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.environments import bootstrap, components, manifests, pki
from pipeline.environments.api import Api, ClusterError
from pipeline.environments.cluster_settings import ClusterSettings
from pipeline.environments.connect import Connection, Connector, ServiceRef, until
from pipeline.environments.containers import find_processes, read_usage
from pipeline.environments.images import Image
from pipeline.environments.load_pods import POLL_S, ClusterPods
from pipeline.environments.manifests import Component, NamespaceSpec
from pipeline.environments.namespaces import LaunchNamespace, delete_namespaces
from pipeline.environments.pods import Pods
from pipeline.model.ports import Artifact, Program, Target
from pipeline.model.subject import Arm, Product
from pipeline.system import http_client
from pipeline.system.errors import LaunchError, LoadError
from pipeline.system.log import log
from pipeline.system.private_folder import private_folder

_WAY_S = 20.0


@dataclass(frozen=True, slots=True)
class ClusterEnvironment:
    """Implements `Environment` in a cluster that is there.

    Attributes:
        settings: Of every kind of cluster.
        api: Of the cluster.
        programs: By name: etcd, of which every build gets one, and what load pods need.
        connector: Connection to the components from this machine.
        image: Makes an image of programs (name, paths, digest), and sees that the cluster gets it.
        nodes: Nodes that the arms are put on, in the order in which they are started, which is
            swapped between pairs; empty for the scheduler's choice.
        is_here: Whether the cluster may run on the kernel of this machine.
        run: Id of the run.
        poll_s: Seconds between two requests to the agents of load pods.
    """

    settings: ClusterSettings
    api: Api
    programs: Mapping[str, Program]
    connector: Connector
    image: Callable[[str, Mapping[str, Path], str], Image]
    nodes: Sequence[str] = ()
    is_here: bool = False
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    poll_s: float = POLL_S
    _launches: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def launch(
        self, artifacts: Mapping[Arm, Artifact], out: Path
    ) -> Iterator[Mapping[Arm, Target]]:
        """See `Environment.launch`."""
        settings = self.settings
        with ExitStack() as stack:
            private = stack.enter_context(private_folder(out))
            number = next(self._launches)
            places = {arm: self._place(arm, at, number) for at, arm in enumerate(artifacts)}
            credentials = pki.create(
                private / "pki",
                *(
                    _inside(place, name)
                    for place in places.values()
                    for name in (pki.SERVER, "manager")
                ),
            )
            homes = {arm: self._home(place) for arm, place in places.items()}
            arms = {
                arm: _Arm(self, arm, artifact, places[arm], homes[arm], credentials, out)
                for arm, artifact in artifacts.items()
            }
            images = {arm: (one.etcd_image(), one.image()) for arm, one in arms.items()}
            pods = self._load_pods(number) if settings.load_pods else None
            of_load = [self._home(pods.spec)] if pods else []
            stack.callback(delete_namespaces, [*homes.values(), *of_load], settings.gone_s)
            stack.callback(_keep_logs, list(arms.values()))  # first, and deletion comes after all
            if pods:
                pods.create_namespace(*of_load)
            for arm, one in arms.items():
                one.begin()
                one.apply(components.etcd(settings, images[arm][0]))
            self._ready(arms, "etcd")
            for arm, one in arms.items():
                one.apply(components.server(settings, images[arm][1], one.artifact, credentials))
            self._ready(arms, "server")
            targets = {arm: one.target(stack) for arm, one in arms.items()}
            token = credentials.admin_token.read_text()
            milo = {arm: one for arm, one in arms.items() if one.artifact.product is Product.MILO}
            for arm, target in targets.items():
                if arm in milo:
                    bootstrap.definitions(target, token, str(arm), settings.ready_s)
                bootstrap.authorise(target, token, pki.LOAD_GROUP)
            for arm, one in milo.items():
                one.apply(components.manager(settings, images[arm][1], one.artifact, credentials))
            self._ready(milo, "manager")
            targets |= {arm: one.target(stack) for arm, one in milo.items()}
            bootstrap.projects(targets, token, settings.ready_s)
            yield {arm: _loaded_by(pods, places[arm], one) for arm, one in targets.items()}

    def _home(self, place: NamespaceSpec) -> LaunchNamespace:
        return LaunchNamespace(self.api, place.namespace, place.run)

    def _place(self, arm: Arm, at: int, number: int) -> NamespaceSpec:
        return replace(
            self._somewhere(str(arm), number),
            node=self.nodes[at % len(self.nodes)] if self.nodes else "",
            node_ports=self.connector.node_ports(arm),
        )

    def _somewhere(self, whose: str, number: int) -> NamespaceSpec:
        return NamespaceSpec(
            namespace=f"{self.settings.prefix}-{self.run}-{number:03}-{whose}",
            run=self.run,
            arm=whose,
            expires_s=round(time.time() + 3600 * self.settings.expires_h),
            settings=self.settings,
            pull_secret=self._pull_secret(),
        )

    def _load_pods(self, number: int) -> ClusterPods:
        return ClusterPods(
            api=self.api,
            spec=self._somewhere("load", number),
            agent=self.programs["load-agent"],
            image=self.image,
            poll_s=self.poll_s,
        )

    def _pull_secret(self) -> Mapping[str, str]:
        """Return the data of the Secret that the settings name.

        Raises:
            LaunchError: It is not there, or we may not read it.
        """
        if not self.settings.pull_secret:
            return {}
        namespace, _, name = self.settings.pull_secret.partition("/")
        secret = self.api.request_or_none("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}")
        if secret is None or secret.get("type") != "kubernetes.io/dockerconfigjson":
            raise LaunchError(
                f"there is no pull secret {self.settings.pull_secret}",
                hint="make it with `kubectl create secret docker-registry`",
            )
        return dict(secret["data"])

    def _ready(self, arms: Mapping[Arm, "_Arm"], component: str) -> None:
        for one in arms.values():
            one.pods.wait_ready([component], self.settings.ready_s)


@dataclass(frozen=True, slots=True)
class _Arm:
    """One build in one launch."""

    environment: ClusterEnvironment
    arm: Arm
    artifact: Artifact
    place: NamespaceSpec
    home: LaunchNamespace
    credentials: pki.Credentials
    out: Path
    applied: list[str] = field(default_factory=list)
    reached: dict[str, Connection] = field(default_factory=dict)

    @property
    def pods(self) -> Pods:
        return Pods(self.environment.api, self.place.namespace, str(self.arm))

    def etcd_image(self) -> str:
        etcd = self.environment.programs["etcd"]
        return self.environment.image("etcd", {"etcd": etcd.path}, etcd.digest).reference

    def image(self) -> str:
        one = self.artifact
        if one.image:
            return one.image
        name = str(one.product)
        return self.environment.image(name, {name: one.binary}, one.subject.digest).reference

    def begin(self) -> None:
        ports = tuple(components.PORTS.values()) if self.place.node_ports else ()
        is_one = self.place.settings.load_pods > 0
        self.home.create(manifests.namespace(self.place, ports, is_one_of_run=is_one))

    def apply(self, component: Component) -> None:
        for manifest in manifests.component(self.place, component):
            self.environment.api.apply(manifest)
        self.applied.append(component.name)

    def target(self, stack: ExitStack) -> Target:
        """Return what the load and the probes need of all that is ready."""
        for name in self.applied:
            if name not in self.reached:
                connector = self.environment.connector
                end = ServiceRef(self.place.namespace, self.arm, name, components.PORTS[name])
                self.reached[name] = connector.open(stack, end, self.out)
        urls = {
            name: f"{'http' if name == 'etcd' else 'https'}://{one.address}"
            for name, one in self.reached.items()
        }
        self._answers(f"{urls['server']}/readyz")
        pods = self.pods
        seen = self._processes()
        return Target(
            url=urls["server"],
            ca_file=self.credentials.ca,
            token_file=self.credentials.load_token,
            admin_token_file=self.credentials.admin_token,
            processes=seen,
            metrics={name: f"{url}/metrics" for name, url in urls.items()},
            etcd_url=urls["etcd"],
            check=partial(self._check, pods),
            usage=None if seen else partial(read_usage, pods.api, pods, tuple(self.applied)),
        )

    def _processes(self) -> dict[str, int]:
        if not self.environment.is_here:
            return {}
        pods = {str(pod["metadata"]["name"]): pod for pod in self.pods.read()}
        found = find_processes({name: pods[name] for name in self.applied if name in pods})
        if not found:
            log.debug("processes of containers are not seen: the kubelet is asked instead")
        return found

    def _answers(self, url: str) -> None:
        if not until(partial(http_client.answers, url, ca_file=self.credentials.ca), _WAY_S):
            raise LaunchError(
                f"the server of the {self.arm} is Ready in the cluster, but {url} does not"
                f" answer here after {_WAY_S:g} s",
                hint="is there a firewall between this machine and the node?",
            )

    def _check(self, pods: Pods) -> None:
        for one in self.reached.values():
            if status := one.exit_status():
                raise LoadError(f"the way to a component of the {self.arm} {status} under load")
        pods.check(self.applied)


def choose_nodes(api: Api, settings: ClusterSettings) -> list[str]:
    """Return the names of two nodes, one for each arm; empty to leave it to the scheduler.

    They are the first by name that match the node selector, are ready and schedulable, and have
    no taint. With tolerations in the settings, taints do not matter.
    """
    selector = ",".join(f"{name}={value}" for name, value in settings.node_selector.items())
    try:
        nodes = api.request("GET", "/api/v1/nodes", query={"labelSelector": selector})
    except ClusterError as error:
        log.warning("nodes cannot be listed, so the scheduler places both builds: %s", error)
        return []
    is_tolerant = bool(settings.tolerations)
    names = sorted(
        str(node["metadata"]["name"])
        for node in nodes.get("items", ())
        if _takes_pods(node, is_tolerant=is_tolerant)
    )
    return names[:2] if len(names) > 1 else []


def _takes_pods(node: Mapping[str, Any], *, is_tolerant: bool) -> bool:
    spec = node.get("spec", {})
    taints = [t for t in spec.get("taints") or () if t.get("effect") != "PreferNoSchedule"]
    conditions = node.get("status", {}).get("conditions") or ()
    is_ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return is_ready and not spec.get("unschedulable") and (is_tolerant or not taints)


def _inside(place: NamespaceSpec, component: str) -> str:
    """Return the name by which a component is found from all namespaces."""
    return f"{component}.{place.namespace}.svc"


def _loaded_by(pods: ClusterPods | None, place: NamespaceSpec, target: Target) -> Target:
    """Return a target with how load pods reach it."""
    urls = {
        name: f"{url.split(':', 1)[0]}://{_inside(place, name)}:{components.PORTS[name]}"
        for name, url in target.metrics.items()
    }
    metrics = {name: f"{url}/metrics" for name, url in urls.items()}
    return replace(target, pods=pods, url_in_pods=urls[pki.SERVER], metrics_in_pods=metrics)


def _keep_logs(arms: Sequence[_Arm]) -> None:
    for one in arms:
        one.pods.save_logs(one.applied, one.out)
